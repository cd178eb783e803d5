// SPDX-License-Identifier: Apache-2.0
// The execution path that the parameters of a neuron lead to.
#include <vector>

#include "checks.h"
#include "neuron/neuron.h"
#include "tests.h"

namespace onnx_snn {
namespace {

// A neuron whose kernels are threshold = reset = intensity = `kernel`, with ramps that start at u_rest.
Path path_of(const std::vector<float>& u_rest, const std::vector<float>& kernel) {
  const std::size_t bases = u_rest.size(), timesteps = kernel.size();
  std::vector<float> per_slot;
  for (const float value : kernel) per_slot.insert(per_slot.end(), bases, value);
  const std::vector<float> ones(bases, 1.0f);
  NeuronTensors tensors{};
  tensors.bases = bases;
  tensors.timesteps = timesteps;
  tensors.u_rest = u_rest.data();
  tensors.gain = tensors.weight = ones.data();
  tensors.threshold = tensors.reset = tensors.intensity = per_slot.data();
  return Neuron(tensors).path;
}

std::vector<float> starts(std::size_t bases, float distance) {
  std::vector<float> u_rest;
  for (std::size_t n = 0; n < bases; ++n) u_rest.push_back(static_cast<float>(n) * distance);
  return u_rest;
}

}  // namespace

void test_paths() {
  const std::vector<float> halving{1, 0.5f, 0.25f};  // a ramp from u_rest + 0.25 to u_rest + 1.75
  REQUIRE(path_of(starts(1, 2), halving) == Path::kSegmented, "");
  REQUIRE(path_of(starts(kMaxSegments, 2), halving) == Path::kSegmented, "");
  REQUIRE(path_of(starts(kMaxSegments + 1, 2), halving) == Path::kGeneric, "more segments than the tables hold");
  REQUIRE(path_of(starts(2, 1), halving) == Path::kGeneric, "ramps that overlap");

  const std::vector<float> beta{1, 0.75f, 0.5625f};
  REQUIRE(path_of(starts(1, 2), beta) == Path::kSingleBasis, "");
  REQUIRE(path_of(starts(2, 2), beta) == Path::kGeneric, "two bases");
  REQUIRE(path_of(starts(1, 2), {1, 0x1p-24f}) == Path::kGeneric, "a sum of intensities that float32 rounds");
  const std::vector<float> most(kMaxSingleBasisTimesteps, 1.0f), more(kMaxSingleBasisTimesteps + 1, 1.0f);
  REQUIRE(path_of(starts(1, 2), most) == Path::kSingleBasis, "");
  REQUIRE(path_of(starts(1, 2), more) == Path::kGeneric, "more time steps than are counted in vectors");
}

}  // namespace onnx_snn
