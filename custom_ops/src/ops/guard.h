// SPDX-License-Identifier: Apache-2.0
// The saturated elements of one run, counted by its tasks.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "kernels/kernels.h"
#include "ops/node.h"
#include "ops/parameters.h"

namespace onnx_snn {

// Output 1 of a guarded node, which is written when the run ends; no guard where the node has no range, or leaves the
// output out.
class RunGuard {
 public:
  RunGuard(const Node& node, const KernelContext& context, const std::optional<Parameter<RangeReader>>& range) {
    if (!range) return;
    const Range& checked = range->value(context, local_);
    output_ = node.saturated(context, 1);
    if (output_ != nullptr) guard_.emplace(Guard{checked, count_});
  }
  ~RunGuard() {
    if (output_ != nullptr) *output_ = count_;
  }
  RunGuard(const RunGuard&) = delete;
  RunGuard& operator=(const RunGuard&) = delete;

  const std::optional<Guard>& get() const { return guard_; }

 private:
  Parameter<RangeReader>::Local local_;
  std::atomic<std::int64_t> count_{0};
  std::int64_t* output_ = nullptr;
  std::optional<Guard> guard_;
};

}  // namespace onnx_snn
