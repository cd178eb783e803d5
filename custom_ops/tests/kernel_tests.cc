// SPDX-License-Identifier: Apache-2.0
// The operators through the C interface: right answers, and a message for whatever a model may get wrong.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>

#include "cases.h"
#include "host.h"
#include "kernels.h"
#include "level_counts.h"

using namespace onnx_snn;

namespace {

#define REQUIRE(condition, what)                                                                       \
  if (!(condition)) {                                                                                  \
    std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, std::string(what).c_str()); \
    std::exit(1);                                                                                      \
  }

const std::string kName = "block 3/neuron";

// How a node is run.
struct Setting {
  bool constant;
  bool metered;
  std::size_t threads;
};

OrtKernelInfo info_of(const Case& node, const Setting& setting) {
  OrtKernelInfo info{kName, node.attributes, {}, setting.metered ? 1 + node.neurons.size() : 1};
  for (const OrtValue& input : node.inputs) info.constants.push_back(setting.constant ? &input : nullptr);
  info.constants[0] = nullptr;
  return info;
}

OrtKernelContext context_of(const Case& node, const Setting& setting) {
  OrtKernelContext context{{}, std::vector<bool>(setting.metered ? 1 + node.neurons.size() : 1, true),
                           setting.threads, {}};
  for (const OrtValue& input : node.inputs) context.inputs.push_back(&input);
  return context;
}

bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

void require_answer(const OrtKernelContext& context, const Case& node, const Answer& expected, bool metered) {
  REQUIRE(context.outputs[0]->sides == node.x().sides, node.op);
  for (std::size_t i = 0; i < expected.y.size(); ++i) {
    const float y = context.outputs[0]->floats()[i];
    REQUIRE(same(y, expected.y[i]), node.op + " " + std::to_string(y) + " " + std::to_string(expected.y[i]));
  }
  for (std::size_t n = 0; metered && n < expected.spikes.size(); ++n) {
    const OrtValue& spikes = *context.outputs[1 + n];
    const auto& neuron = node.neurons[n];
    REQUIRE((spikes.sides == Sides{std::int64_t(neuron.timesteps), std::int64_t(neuron.bases)}), node.op);
    REQUIRE(std::memcmp(spikes.integers(), expected.spikes[n].data(), expected.spikes[n].size() * 8) == 0, node.op);
  }
}

void require_right_answer(const Case& node, const Setting& setting) {
  const HostKernel kernel(node.op, info_of(node, setting));
  REQUIRE(!kernel.failed, *kernel.failed);
  OrtKernelContext context = context_of(node, setting);
  const Failure failed = kernel.run(context);
  REQUIRE(!failed, *failed);
  require_answer(context, node, answer(node), setting.metered);
}

void test_answers() {
  Random random(1);
  for (int repetition = 0; repetition < 150; ++repetition) {
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
    for (int repetition = 0; repetition < 6; ++repetition) {
      require_right_answer(draw_case(random, "MbeNeuron", {length}), {random.chance(0.5), true, 1});
    }
  }
}

// More elements than one thread counts before it must unpack its counters.
void test_many_elements() {
  Random random(7);
  constexpr std::int64_t kElements = LevelCounts::kMostGroups * LevelCounts::kRows * Row::kBytes;
  for (int repetition = 0; repetition < 6; ++repetition) {
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
  REQUIRE(std::memcmp(context.outputs[2]->integers(), expected.spikes[1].data(), expected.spikes[1].size() * 8) == 0, "");
  context.wanted = {false, true, true};
  const Failure failed = kernel.run(context);
  REQUIRE(failed && failed->find("output y is missing") != std::string::npos, "");
}

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
    case 0:
      sides.insert(sides.begin() + static_cast<std::ptrdiff_t>(axis), random.of<std::int64_t>({0, 1, 2}));
      break;
    case 1:
      if (axis < sides.size()) sides.erase(sides.begin() + static_cast<std::ptrdiff_t>(axis));
      break;
    case 2:
      if (axis < sides.size()) sides[axis] = random.of<std::int64_t>({0, 1, sides[axis] + 1, 65, 4097});
      break;
    case 3:
      sides.insert(sides.begin(), static_cast<std::size_t>(random.integer(1, 20)), 1);
      break;
    default:
      sides = {std::int64_t{1} << 40, std::int64_t{1} << 40, 0};
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

// Whatever a file may say, a kernel answers or says what is wrong; the sanitizer watches.
void test_broken_nodes() {
  Random random(3);
  std::size_t refused = 0;
  for (int repetition = 0; repetition < 1500; ++repetition) {
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

// Changes one input of a sound node and expects a message about it.
template <class Change>
void require_refusal(const std::string& op, const std::string& message, Change change) {
  for (const bool constant : {false, true}) {
    Random random(4);
    Case node = draw_case(random, op, {2, 6});
    change(node);
    const Setting setting{constant, true, 1};
    const HostKernel kernel(op, info_of(node, setting));
    OrtKernelContext context = context_of(node, setting);
    const Failure failed = kernel.failed ? kernel.failed : kernel.run(context);
    REQUIRE(failed, op + ": " + message);
    REQUIRE(failed->find("node '" + kName + "' (" + op + "): " + message) == 0, *failed);
  }
}

void test_messages() {
  const auto set = [](std::size_t input, float value) { return [=](Case& node) { *node.inputs[input].floats() = value; }; };
  const auto reshape = [](std::size_t input, Sides sides, std::size_t elements) {
    return [=](Case& node) { node.inputs[input] = OrtValue(sides, std::vector<float>(elements, 1.0f)); };
  };
  const auto mbe = "MbeNeuron";
  require_refusal(mbe, "input gain holds 0; expected magnitudes above 0 and up to 2**111", set(2, 0));
  require_refusal(mbe, "input gain holds inf; expected", set(2, INFINITY));
  require_refusal(mbe, "input reset holds -inf; expected finite values or +inf", set(4, -INFINITY));
  require_refusal(mbe, "input u_rest holds nan; expected finite values", set(1, NAN));
  require_refusal(mbe, "input scale holds -2; expected positive finite values", set(8, -2));
  require_refusal(mbe, "input u_rest has shape []; expected [N]", reshape(1, {}, 1));
  require_refusal(mbe, "input u_rest has 0 bases; expected 1 to 4096", reshape(1, {0}, 0));
  require_refusal(mbe, "input u_rest has 4097 bases; expected 1 to 4096", reshape(1, {4097}, 4097));
  require_refusal(mbe, "input threshold has 65 time steps; expected 1 to 64", reshape(3, {65, 3}, 195));
  require_refusal(mbe, "input threshold has shape [1,0]; expected [", reshape(3, {1, 0}, 0));
  require_refusal(mbe, "input bias has shape [2]; expected [] or [1]", reshape(7, {2}, 2));
  require_refusal(mbe, "input scale has shape [3]; expected one that broadcasts into that of x, [2,6]", reshape(8, {3}, 3));
  require_refusal(mbe, "input x has rank 17; expected at most 16", reshape(0, Sides(17, 1), 1));
  require_refusal(mbe, "attribute polarity is 2; expected 0", [](Case& node) { node.attributes["polarity"] = 2; });
  require_refusal(mbe, "attribute polarity is no integer of the node", [](Case& node) { node.attributes.clear(); });
  require_refusal(mbe, "input weight has element type 7; expected float32 (1)", [](Case& node) {
    node.inputs[6] = OrtValue(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, node.inputs[6].sides);
  });
  require_refusal("SpikingSoftmax", "input x has shape []; expected a last axis that is not empty", reshape(0, {}, 1));
  require_refusal("SpikingSoftmax", "input x has shape [2,0]; expected a last axis", reshape(0, {2, 0}, 0));
  require_refusal("SpikingSoftmax", "input reciprocal_gain holds 0; expected", set(9, 0));
  const auto layer = "SpikingLayerNormalization";
  require_refusal(layer, "input epsilon holds -1; expected a finite number, not negative", set(3, -1));
  require_refusal(layer, "input epsilon has shape [2]; expected [] or [1]", reshape(3, {2}, 2));
  require_refusal(layer, "input beta has shape [3,6]; expected one that broadcasts into", reshape(2, {3, 6}, 18));
  require_refusal(layer, "input gamma has shape [1,2,6]; expected no more axes than x, [2,6]", reshape(1, {1, 2, 6}, 12));
  require_refusal("SpikingRMSNormalization", "input deviation_scale holds 0; expected positive", set(10, 0));
}

// One kernel in several threads at once, each with its own context, as sessions run it.
void run_concurrently(const Case& node, const Setting& setting, int runs) {
  const Answer expected = answer(node);
  const HostKernel kernel(node.op, info_of(node, setting));
  const auto work = [&] {
    for (int run = 0; run < runs; ++run) {
      OrtKernelContext context = context_of(node, setting);
      const Failure failed = kernel.run(context);
      REQUIRE(!failed, *failed);
      require_answer(context, node, expected, setting.metered);
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

void test_threads() {
  Random random(5);
  for (const std::string& op : kOperators) {
    const Case small = draw_case(random, op, {2, 7});
    const Case large = draw_case(random, op, {5, 4096});
    for (const bool metered : {false, true}) {
      run_concurrently(small, {true, metered, 1}, 500);
      run_concurrently(large, {true, metered, 2}, 1);
    }
  }
}

void test_shape_inference() {
  const OrtCustomOp& op = registered("MbeNeuron");
  const auto inferred = [&](Sides sides, std::vector<std::string> names) {
    OrtShapeInferContext context{{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, std::move(sides), std::move(names)}, {}};
    REQUIRE(op.InferOutputShapeFn(&op, &context) == nullptr, "");
    return context.output;
  };
  const auto batch = inferred({-1, 8}, {"batch", ""});
  REQUIRE(batch && batch->sides == Sides({-1, 8}) && batch->names[0] == "batch", "");
  REQUIRE(!inferred({-1, 8}, {"", ""}), "a side without a name would become -1");
  REQUIRE(!inferred({}, {}), "an unknown shape would become that of a scalar");
}

void test_older_onnxruntime() {
  newest_api = kApiVersion - 1;
  OrtSessionOptions options;
  const Failure failed = register_in(options);
  newest_api = kApiVersion;
  REQUIRE(failed && failed->find("need onnxruntime 1.17") != std::string::npos, "");
}

// What onnxruntime calls without asking whether it is there.
void test_declarations() {
  for (const std::string& name : kOperators) {
    const OrtCustomOp& op = registered(name);
    REQUIRE(op.version == kApiVersion && op.GetOutputTypeCount(&op) == (name == "MbeNeuron" ? 2 : 3), name);
    REQUIRE(std::string(op.GetExecutionProviderType(&op)) == "CPUExecutionProvider", name);
    for (std::size_t input = 0; input < op.GetInputTypeCount(&op); ++input) {
      REQUIRE(op.GetInputType(&op, input) == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, name);
      REQUIRE(op.GetInputCharacteristic(&op, input) == INPUT_OUTPUT_REQUIRED, name);
      REQUIRE(op.GetInputMemoryType(&op, input) == OrtMemTypeDefault, name);
    }
    REQUIRE(op.GetOutputType(&op, 1) == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, name);
    REQUIRE(op.GetOutputCharacteristic(&op, 0) == INPUT_OUTPUT_REQUIRED, name);
    REQUIRE(op.GetOutputCharacteristic(&op, 1) == INPUT_OUTPUT_OPTIONAL, name);
    REQUIRE(op.GetVariadicInputMinArity(&op) == 0 && op.GetVariadicOutputMinArity(&op) == 0, name);
    REQUIRE(op.GetVariadicInputHomogeneity(&op) == 0 && op.GetVariadicOutputHomogeneity(&op) == 0, name);
    REQUIRE(op.GetStartVersion(&op) == 1 && op.GetEndVersion(&op) >= 1, name);
  }
}

}  // namespace

int main() {
  const char* const wanted = std::getenv("ONNX_SNN_ISA");
  if (wanted != nullptr && std::strcmp(wanted, kernels().name) != 0) {
    std::printf("this processor has no %s\n", wanted);
    return 77;  // skipped, says CMakeLists.txt
  }
  test_older_onnxruntime();
  test_declarations();
  test_shape_inference();
  test_messages();
  test_left_out_outputs();
  test_answers();
  test_every_length();
  test_many_elements();
  test_broken_nodes();
  test_threads();
  std::printf("all passed with the %s kernels\n", kernels().name);
}
