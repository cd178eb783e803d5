// SPDX-License-Identifier: Apache-2.0
// Random defects of nodes: a kernel gives an output or a message, and never breaks a rule that a sanitizer checks.
#include <limits>
#include <map>
#include <utility>

#include "checks.h"
#include "tests.h"

namespace onnx_snn {
namespace {

float special(Random& random) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  return random.of<float>({nan, infinity, -infinity, 0.0f, -0.0f, 1e-45f, 3e38f, -3e38f, -1.0f, 0x1p111f, 0x1p112f});
}

void mutate_values(OrtValue& input, Random& random) {
  if (input.type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT || input.elements() == 0) return;
  const bool all = random.chance(0.3);
  const auto chosen = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(input.elements()) - 1));
  const float value = special(random);
  for (std::size_t i = 0; i < input.elements(); ++i) {
    if (all || i == chosen) input.floats()[i] = value;
  }
}

Sides mutated(Sides sides, Random& random) {
  const auto axis = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(sides.size())));
  switch (random.integer(0, 4)) {
    case 0: sides.insert(sides.begin() + static_cast<std::ptrdiff_t>(axis), random.of<std::int64_t>({0, 1, 2})); break;
    case 1:
      if (axis < sides.size()) sides.erase(sides.begin() + static_cast<std::ptrdiff_t>(axis));
      break;
    case 2:
      if (axis < sides.size()) sides[axis] = random.of<std::int64_t>({0, 1, sides[axis] + 1, 65, 4097});
      break;
    case 3: sides.insert(sides.begin(), static_cast<std::size_t>(random.integer(1, 20)), 1); break;
    default: sides = {std::int64_t{1} << 40, std::int64_t{1} << 40, 0};
  }
  return sides;
}

void mutate_shape(OrtValue& input, Random& random) {
  Sides sides = mutated(input.sides, random);
  std::size_t elements = 1;
  for (const std::int64_t side : sides) elements *= static_cast<std::size_t>(side);
  if (elements > 1u << 20) return;
  input = OrtValue(std::move(sides), std::vector<float>(elements, random.normal(1)));
}

}  // namespace

void test_broken_nodes() {
  Random random(3);
  std::size_t refused = 0;
  for (int repetition = 0; repetition < 800; ++repetition) {
    Case node = draw_case(random, random.of(kOperators), {random.integer(1, 3), random.integer(1, 9)});
    const Setting setting{random.chance(0.5), random.chance(0.5), 2};
    OrtKernelInfo info = info_of(node, setting);
    OrtKernelContext context = context_of(node, setting);
    for (std::int64_t mutation = random.integer(1, 3); mutation > 0; --mutation) {
      const auto index = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(node.inputs.size()) - 1));
      OrtValue& input = node.inputs[index];
      const std::int64_t kind = random.integer(0, 9);
      if (kind == 0) {
        context.inputs[index] = info.constants[index] = nullptr;
      } else if (kind == 1) {
        input = OrtValue(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, input.sides);
      } else if (kind == 2) {
        node.attributes = {{"polarity", random.integer(-1, 3)}};
        info.attributes = random.chance(0.5) ? node.attributes : std::map<std::string, std::int64_t>{};
      } else if (kind < 6) {
        mutate_values(input, random);
      } else {
        mutate_shape(input, random);
      }
    }
    const HostKernel kernel(node.op, info);
    const Failure failed = kernel.failed ? kernel.failed : kernel.run(context);
    if (failed) {
      ++refused;
      REQUIRE(failed->find(kName) != std::string::npos && failed->find(node.op) != std::string::npos, *failed);
    } else {
      REQUIRE(context.outputs[0]->sides == node.x().sides, node.op);
    }
  }
  REQUIRE(refused > 500 && refused < 1400, std::to_string(refused));
}

}  // namespace onnx_snn
