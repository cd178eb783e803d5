// SPDX-License-Identifier: Apache-2.0
// The execution path that the parameters of a neuron lead to.
#include <cmath>
#include <vector>

#include "checks.h"
#include "neuron/neuron.h"
#include "tests.h"

namespace onnx_snn {
namespace {

// A neuron with step sizes, and ramps that start at u_rest; each test changes something.
struct Plan {
  std::vector<float> u_rest;
  std::vector<float> sizes;
  std::vector<float> threshold, reset, intensity;  // [S, N]
  std::vector<float> gain, weight;
  float bias = 0;

  Plan(const std::vector<float>& starts, const std::vector<float>& step_sizes)
      : u_rest(starts), sizes(step_sizes), gain(starts.size(), 1.0f), weight(starts.size(), 1.0f) {
    for (const float size : sizes) add_step(size, size);
  }

  void add_step(float size, float decrease) {
    threshold.insert(threshold.end(), u_rest.size(), size);
    reset.insert(reset.end(), u_rest.size(), decrease);
    intensity.insert(intensity.end(), u_rest.size(), size);
  }

  Neuron neuron() const {
    NeuronTensors tensors{};
    tensors.bases = u_rest.size();
    tensors.timesteps = threshold.size() / u_rest.size();
    tensors.u_rest = u_rest.data();
    tensors.gain = gain.data();
    tensors.weight = weight.data();
    tensors.threshold = threshold.data();
    tensors.reset = reset.data();
    tensors.intensity = intensity.data();
    tensors.bias = bias;
    return Neuron(tensors);
  }
  Path path() const { return neuron().path; }
};

std::vector<float> starts(std::size_t bases, float distance) {
  std::vector<float> u_rest;
  for (std::size_t n = 0; n < bases; ++n) u_rest.push_back(static_cast<float>(n) * distance);
  return u_rest;
}

const std::vector<float> kHalving{1, 0.5f, 0.25f};  // a ramp from u_rest + 0.25 to u_rest + 1.75
const std::vector<float> kBeta{1, 0.75f, 0.5625f};  // from u_rest + 0.5625 to u_rest + 2.3125

void test_halving_paths() {
  REQUIRE(Plan(starts(1, 2), kHalving).path() == Path::kFewSegments, "");
  REQUIRE(Plan(starts(kFewSegments + 1, 2), kHalving).path() == Path::kSegmented, "");
  REQUIRE(Plan(starts(kMaxSegments, 2), kHalving).path() == Path::kSegmented, "");
  REQUIRE(Plan(starts(kMaxSegments + 1, 2), kHalving).path() == Path::kGeneric, "more segments than the tables hold");
  REQUIRE(Plan(starts(2, 1), kHalving).path() == Path::kGeneric, "ramps that overlap");
}

void test_step_paths() {
  REQUIRE(Plan(starts(1, 2.5f), kBeta).path() == Path::kFewSegments, "");
  REQUIRE(Plan(starts(kFewSegments, 2.5f), kBeta).path() == Path::kFewSegments, "");
  REQUIRE(Plan(starts(kFewSegments + 1, 2.5f), kBeta).path() == Path::kGeneric, "more segments than a register holds");
  REQUIRE(Plan(starts(2, 1.75f), kBeta).path() == Path::kGeneric, "one ramp begins where the other ends");
  REQUIRE(Plan(starts(2, 1.76f), kBeta).path() == Path::kFewSegments, "the next step up begins after");
  REQUIRE(Plan(starts(1, 2), {0.25f, 1, 0.25f}).path() == Path::kFewSegments, "sizes in any order");
  const std::vector<float> most(kMaxSteps, 1.0f), more(kMaxSteps + 1, 1.0f);
  REQUIRE(Plan(starts(1, 2), most).path() == Path::kFewSegments, "");
  REQUIRE(Plan(starts(1, 2), more).path() == Path::kGeneric, "more time steps than a spike word has bits");
  REQUIRE(Plan(starts(1, 2), {1, 0x1p-23f}).path() == Path::kFewSegments, "");
  REQUIRE(Plan(starts(1, 2), {1, 0x1p-24f}).path() == Path::kGeneric, "a sum of sizes that float32 rounds");
  REQUIRE(Plan(starts(1, 2), {1, 0}).path() == Path::kGeneric, "a step without size");
}

void test_near_steps() {
  Plan columns(starts(2, 4), kBeta);
  columns.threshold[3] = columns.reset[3] = columns.intensity[3] = 0.5f;
  REQUIRE(columns.path() == Path::kGeneric, "another size in the second column");
  for (std::vector<float> Plan::* const kernel : {&Plan::threshold, &Plan::reset, &Plan::intensity}) {
    Plan plan(starts(2, 4), kBeta);
    (plan.*kernel)[2] = (plan.*kernel)[3] = 0.5f;
    REQUIRE(plan.path() == Path::kGeneric, "threshold, reset and intensity differ");
  }
  Plan gated(starts(2, 4), {2.3125f});
  gated.reset = {INFINITY, INFINITY};
  for (const float size : kBeta) gated.add_step(size, size);
  REQUIRE(gated.path() == Path::kFewSegments && gated.neuron().steps->saturation_spike, "");
  gated.threshold[0] = gated.threshold[1] = 2.25f;
  REQUIRE(gated.path() == Path::kGeneric, "a gate below the sum of all sizes");
}

void test_few_segment_sums() {
  Plan plan(starts(3, 2.5f), kBeta);
  REQUIRE(plan.path() == Path::kFewSegments && plan.neuron().few_segments->offset[1] == 0, "");
  plan.bias = 0x1p-30f;
  REQUIRE(plan.path() == Path::kFewSegments && plan.neuron().few_segments->offset[1] == 37, "37 levels of 1/16");
  plan.weight = {1 + 0x1p-22f, 1024, 1024};
  REQUIRE(plan.path() == Path::kGeneric, "a base that float32 cannot hold, less than a level of the next segment");
  plan.bias = 0;
  plan.weight = {1 + 0x1p-22f, 0x1p-2f, 1};
  REQUIRE(plan.path() == Path::kFewSegments && plan.neuron().few_segments->offset[1] != 0, "");
  plan.weight[1] = 0x1p-20f;
  REQUIRE(plan.path() == Path::kGeneric, "more levels in the offset than float32 holds");
  plan.weight[1] = 0x1p-40f;
  REQUIRE(plan.path() == Path::kGeneric, "a sum that float64 rounds");
  Plan far(starts(1, 2), {0x1p-100f, 0x1p-101f});
  REQUIRE(far.path() == Path::kGeneric, "a unit out of range");
}

}  // namespace

void test_paths() {
  test_halving_paths();
  test_step_paths();
  test_near_steps();
  test_few_segment_sums();
}

}  // namespace onnx_snn
