// SPDX-License-Identifier: Apache-2.0
#include "checks.h"

#include <cmath>
#include <cstring>

namespace onnx_snn {
namespace {

bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

}  // namespace

OrtKernelInfo info_of(const Case& node, const Setting& setting) {
  OrtKernelInfo info{kName, node.attributes, {}, setting.counted ? node.outputs() : 1};
  for (const OrtValue& input : node.inputs) info.constants.push_back(setting.constant ? &input : nullptr);
  info.constants[0] = nullptr;
  return info;
}

OrtKernelContext context_of(const Case& node, const Setting& setting) {
  OrtKernelContext context{{}, std::vector<bool>(setting.counted ? node.outputs() : 1, true), setting.threads, {}};
  for (const OrtValue& input : node.inputs) context.inputs.push_back(&input);
  return context;
}

void require_answer(const OrtKernelContext& context, const Case& node, const Answer& expected, bool counted) {
  REQUIRE(context.outputs[0]->sides == node.x().sides, node.op);
  for (std::size_t i = 0; i < expected.y.size(); ++i) {
    const float y = context.outputs[0]->floats()[i];
    REQUIRE(same(y, expected.y[i]), node.op + " " + std::to_string(y) + " " + std::to_string(expected.y[i]));
  }
  for (std::size_t n = 0; counted && n < expected.spikes.size(); ++n) {
    const OrtValue& spikes = *context.outputs[1 + n];
    const auto& neuron = node.neurons[n];
    const Sides per_slot{std::int64_t(neuron.timesteps), std::int64_t(neuron.bases)};
    REQUIRE((spikes.sides == (node.guarded ? Sides{1} : per_slot)), node.op);
    REQUIRE(std::memcmp(spikes.integers(), expected.spikes[n].data(), expected.spikes[n].size() * 8) == 0, node.op);
  }
}

void require_right_answer(const Case& node, const Setting& setting) {
  const HostKernel kernel(node.op, info_of(node, setting));
  REQUIRE(!kernel.failed, *kernel.failed);
  OrtKernelContext context = context_of(node, setting);
  const Failure failed = kernel.run(context);
  REQUIRE(!failed, *failed);
  require_answer(context, node, answer(node), setting.counted);
}

}  // namespace onnx_snn
