// SPDX-License-Identifier: Apache-2.0
// What onnxruntime's pool of threads orders, told to ThreadSanitizer. The pool is not instrumented, so that a tool
// which sees only our code takes each task for one that nothing orders with the thread which started it.
#pragma once

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ONNX_SNN_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ONNX_SNN_THREAD_SANITIZER
#endif

#if defined(ONNX_SNN_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

namespace onnx_snn {

// The two promises of a parallel loop: each task begins after the call of the loop, and ends before the loop returns.
// No task is ordered with another one, so that races between tasks are still found. Nothing in builds without the
// sanitizer.
class HandOff {
 public:
  void call() { release(&begin_); }
  void begin_task() { acquire(&begin_); }
  void end_task() { release(&end_); }
  void returned() { acquire(&end_); }

 private:
#if defined(ONNX_SNN_THREAD_SANITIZER)
  static void acquire(void* address) { __tsan_acquire(address); }
  static void release(void* address) { __tsan_release(address); }
#else
  static void acquire(void*) {}
  static void release(void*) {}
#endif

  char begin_ = 0, end_ = 0;  // their addresses stand for the two edges
};

}  // namespace onnx_snn
