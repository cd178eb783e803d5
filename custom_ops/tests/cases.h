// SPDX-License-Identifier: Apache-2.0
// Random nodes of every operator, with the outputs that they must have.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "host.h"
#include "reference.h"

namespace onnx_snn {

using Sides = std::vector<std::int64_t>;

// Random numbers that are the same in every run.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  bool chance(double probability) { return std::bernoulli_distribution(probability)(engine_); }
  float normal(double deviation) { return static_cast<float>(std::normal_distribution<>(0, deviation)(engine_)); }
  template <class T>
  const T& of(const std::vector<T>& choices) {
    return choices[static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(choices.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

// The outputs of a node.
struct Answer {
  std::vector<float> y;
  std::vector<std::vector<std::int64_t>> spikes;  // of a guarded node: the number of its saturated elements
};

// A node, with its inputs in the order of the operator.
struct Case {
  std::string op;
  std::map<std::string, std::int64_t> attributes;
  std::vector<OrtValue> inputs;
  std::vector<reference::Parameters> neurons;
  std::size_t scale_input;  // 0: none
  bool guarded = false;     // its last input is a range

  const OrtValue& x() const { return inputs[0]; }
  std::size_t outputs() const { return 1 + (guarded ? 1 : neurons.size()); }
};

inline const std::vector<std::string> kOperators{"MbeNeuron",
                                                 "SpikingSoftmax",
                                                 "SpikingLayerNormalization",
                                                 "SpikingRMSNormalization",
                                                 "GuardedMbeNeuron",
                                                 "GuardedSpikingLayerNormalization",
                                                 "GuardedSpikingRMSNormalization"};

Case draw_case(Random& random, const std::string& op);
Case draw_case(Random& random, const std::string& op, const Sides& x);

// The outputs by the definition of the operator.
Answer answer(const Case& node);

}  // namespace onnx_snn
