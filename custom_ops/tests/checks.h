// SPDX-License-Identifier: Apache-2.0
// Runs a node in the stand-in for onnxruntime and compares its outputs with the definition of the operator.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cases.h"
#include "host.h"

#define REQUIRE(condition, what)                                                                        \
  if (!(condition)) {                                                                                   \
    std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, std::string(what).c_str()); \
    std::exit(1);                                                                                       \
  }

namespace onnx_snn {

inline const std::string kName = "block 3/neuron";

// How a node is run.
struct Setting {
  bool constant;  // its parameters are constants of the model
  bool counted;   // it has spike outputs
  std::size_t threads;
};

OrtKernelInfo info_of(const Case& node, const Setting& setting);
OrtKernelContext context_of(const Case& node, const Setting& setting);

// Fails unless the outputs are those of `expected`, bit by bit.
void require_answer(const OrtKernelContext& context, const Case& node, const Answer& expected, bool counted);

// Runs a sound node and checks its outputs.
void require_right_answer(const Case& node, const Setting& setting);

}  // namespace onnx_snn
