// SPDX-License-Identifier: Apache-2.0
// The messages for what a model may get wrong: each names the node, the operator and the input.
#include <cmath>

#include "checks.h"
#include "tests.h"

namespace onnx_snn {
namespace {

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

}  // namespace

void test_messages() {
  const auto set = [](std::size_t input, float value) {
    return [=](Case& node) { *node.inputs[input].floats() = value; };
  };
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
  require_refusal(mbe, "input scale has shape [3]; expected one that broadcasts into that of x, [2,6]",
                  reshape(8, {3}, 3));
  require_refusal(mbe, "input x has rank 17; expected at most 16", reshape(0, Sides(17, 1), 1));
  require_refusal(mbe, "attribute polarity is 2; expected 0", [](Case& node) { node.attributes["polarity"] = 2; });
  require_refusal(mbe, "attribute polarity is no integer of the node", [](Case& node) { node.attributes.clear(); });
  require_refusal(mbe, "input weight has element type 7; expected float32 (1)", [](Case& node) {
    node.inputs[6] = OrtValue(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, node.inputs[6].sides);
  });
  const auto guarded = "GuardedMbeNeuron";
  require_refusal(guarded, "input range has shape [3]; expected [2]", reshape(9, {3}, 3));
  require_refusal(guarded, "input range holds nan and ", set(9, NAN));
  require_refusal(guarded, "input range holds inf and ", set(9, INFINITY));
  require_refusal("SpikingSoftmax", "input x has shape []; expected one axis or more", reshape(0, {}, 1));
  require_refusal("SpikingSoftmax", "input reciprocal_gain holds 0; expected", set(9, 0));
  const auto layer = "SpikingLayerNormalization";
  require_refusal(layer, "input epsilon holds -1; expected a finite number, not negative", set(3, -1));
  require_refusal(layer, "input epsilon has shape [2]; expected [] or [1]", reshape(3, {2}, 2));
  require_refusal(layer, "input beta has shape [3,6]; expected one that broadcasts into", reshape(2, {3, 6}, 18));
  require_refusal(layer, "input gamma has shape [1,2,6]; expected no more axes than x, [2,6]",
                  reshape(1, {1, 2, 6}, 12));
  require_refusal("SpikingRMSNormalization", "input deviation_scale holds 0; expected positive", set(10, 0));
}

}  // namespace onnx_snn
