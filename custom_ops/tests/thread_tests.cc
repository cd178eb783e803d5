// SPDX-License-Identifier: Apache-2.0
// One kernel in several threads at once; the thread sanitizer watches.
#include <thread>
#include <vector>

#include "checks.h"
#include "tests.h"

namespace onnx_snn {
namespace {

// One kernel in several threads at once, each with its own context, as sessions run it.
void run_concurrently(const Case& node, const Setting& setting, int runs) {
  const Answer expected = answer(node);
  const HostKernel kernel(node.op, info_of(node, setting));
  const auto work = [&] {
    for (int run = 0; run < runs; ++run) {
      OrtKernelContext context = context_of(node, setting);
      const Failure failed = kernel.run(context);
      REQUIRE(!failed, *failed);
      require_answer(context, node, expected, setting.counted);
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

void test_threads() {
  Random random(5);
  for (const std::string& op : kOperators) {
    const Case small = draw_case(random, op, {2, 7});
    const Case large = draw_case(random, op, {5, 4096});
    for (const bool counted : {false, true}) {
      run_concurrently(small, {true, counted, 1}, 200);
      run_concurrently(large, {true, counted, 2}, 1);
    }
  }
}

}  // namespace onnx_snn
