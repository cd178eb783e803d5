// SPDX-License-Identifier: Apache-2.0
// What the library tells onnxruntime about its operators.
#include <utility>

#include "checks.h"
#include "tests.h"

namespace onnx_snn {

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

// An operator calls back the onnxruntime that registered it, also where there is another one in the process.
void test_two_onnxruntimes() {
  OrtSessionOptions one, other, again;
  REQUIRE(!register_in(one, host()) && !register_in(other, other_host()) && !register_in(again, host()), "");
  REQUIRE(one.domains[0] != other.domains[0], "both have the domain of the first");
  REQUIRE(one.domains[0] == again.domains[0], "a domain is made for every session");
}

// What onnxruntime calls without asking whether it is there.
void test_declarations() {
  for (const std::string& name : kOperators) {
    const OrtCustomOp& op = registered(name);
    REQUIRE(op.version == kApiVersion &&
                op.GetOutputTypeCount(&op) == (name == "MbeNeuron" || name.find("Guarded") == 0 ? 2 : 3),
            name);
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

}  // namespace onnx_snn
