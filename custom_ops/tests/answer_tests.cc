// SPDX-License-Identifier: Apache-2.0
// Right answers: every operator against its definition, bit by bit.
#include <cstring>

#include "checks.h"
#include "counting/level_counts.h"
#include "tests.h"

namespace onnx_snn {

void test_answers() {
  Random random(1);
  for (int repetition = 0; repetition < 60; ++repetition) {
    for (const std::string& op : kOperators) {
      const Setting setting{random.chance(0.5), random.chance(0.5), random.chance(0.5) ? 1u : 3u};
      require_right_answer(draw_case(random, op), setting);
    }
  }
}

// Vectors, rows and blocks that are not full, each with several neurons.
void test_every_length() {
  Random random(6);
  for (std::int64_t length = 1; length <= 150; ++length) {
    for (int repetition = 0; repetition < 3; ++repetition) {
      require_right_answer(draw_case(random, "MbeNeuron", {length}), {random.chance(0.5), true, 1});
    }
  }
}

// More elements than the counters of a segmented neuron hold before they are unpacked.
void test_many_elements() {
  Random random(7);
  constexpr std::int64_t kElements = LevelCounts::kMostGroups * LevelCounts::kRows * Row::kBytes;
  for (int repetition = 0; repetition < 3; ++repetition) {
    require_right_answer(draw_case(random, "MbeNeuron", {kElements + 1000}), {true, true, 1});
  }
}

// Outputs that a node leaves out, as "" in the file.
void test_left_out_outputs() {
  Random random(2);
  const Case node = draw_case(random, "SpikingSoftmax", {3, 5});
  const Answer expected = answer(node);
  const Setting setting{true, true, 1};
  const HostKernel kernel(node.op, info_of(node, setting));
  OrtKernelContext context = context_of(node, setting);
  context.wanted[1] = false;
  REQUIRE(!kernel.run(context), "");
  REQUIRE(!context.outputs[1] && context.outputs[2], "");
  REQUIRE(std::memcmp(context.outputs[2]->integers(), expected.spikes[1].data(), expected.spikes[1].size() * 8) == 0,
          "");
  context.wanted = {false, true, true};
  const Failure failed = kernel.run(context);
  REQUIRE(failed && failed->find("output y is missing") != std::string::npos, "");
}

}  // namespace onnx_snn
