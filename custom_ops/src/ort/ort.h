// SPDX-License-Identifier: Apache-2.0
// Thin C++ wrappers of the C interface: a failure is an exception inside the library, and a status where onnxruntime
// called it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "ort/hand_off.h"
#include "ort/ort_abi.h"
#include "ort/shape.h"

namespace onnx_snn {

class Error : public std::runtime_error {
 public:
  Error(OrtErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  OrtErrorCode code() const { return code_; }

 private:
  OrtErrorCode code_;
};

// Releases `status`, which is not success, and throws its message.
[[noreturn]] void raise(const OrtApi& api, OrtStatus* status);

inline void check(const OrtApi& api, OrtStatus* status) {
  if (status != nullptr) raise(api, status);
}

// Calls `body`; what it throws becomes a status.
template <class Body>
OrtStatus* guarded(const OrtApi& api, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Error& error) {
    return api.CreateStatus(error.code(), error.what());
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  }
}

// Names of an operator's inputs and outputs in order; the first output is the result, the others are optional
// counts.
struct Signature {
  const char* op;
  const char* const* inputs;
  std::size_t input_count;
  std::size_t output_count;
};

// A float32 tensor, whose values belong to onnxruntime.
struct Tensor {
  const float* values = nullptr;
  Shape shape;
  std::size_t elements = 0;
};

// Reads `value`, or throws what is wrong with it. Null is an input that the node leaves out.
Tensor tensor_of(const OrtApi& api, const OrtValue* value);

// The elements of `value`; may be null where it has none.
void* data_of(const OrtApi& api, OrtValue* value);

// "[2,3]"
std::string text(const Shape& shape);

// A node while its kernel is created.
class KernelInfo {
 public:
  KernelInfo(const OrtApi& api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  const OrtApi& api() const { return api_; }
  std::string node_name() const;
  std::size_t outputs() const;
  std::optional<std::int64_t> integer(const char* attribute) const;

  // The value of a constant input, which lives as long as the kernel; null for any other input.
  const OrtValue* constant(std::size_t index) const;

 private:
  const OrtApi& api_;
  const OrtKernelInfo* info_;
};

// A node while it runs.
class KernelContext {
 public:
  KernelContext(const OrtApi& api, OrtKernelContext* context) : api_(api), context_(context) {}

  const OrtApi& api() const { return api_; }
  const OrtValue* input(std::size_t index) const;  // null: left out

  // Allocates an output; null where the node leaves it out.
  OrtValue* output(std::size_t index, const Shape& shape) const;

  // Calls task(index) for all indices below `count` from the threads of the session.
  template <class Task>
  void parallel_for(std::size_t count, const Task& task) const;

 private:
  const OrtApi& api_;
  OrtKernelContext* context_;
};

template <class Task>
void KernelContext::parallel_for(std::size_t count, const Task& task) const {
  if (count <= 1) {
    if (count == 1) task(0);
    return;
  }
  struct Job {
    const Task& task;
    std::atomic<bool> failed;
    HandOff hand_off;
  } job{task, false, {}};
  const auto run = [](void* user_data, std::size_t index) noexcept {
    Job& job = *static_cast<Job*>(user_data);
    job.hand_off.begin_task();
    try {
      job.task(index);
    } catch (const std::exception&) {
      job.failed = true;
    }
    job.hand_off.end_task();
  };
  job.hand_off.call();
  check(api_, api_.KernelContext_ParallelFor(context_, run, count, 0, &job));
  job.hand_off.returned();
  if (job.failed) throw std::bad_alloc();  // the only exception of a task
}

}  // namespace onnx_snn
