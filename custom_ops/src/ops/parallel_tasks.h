// SPDX-License-Identifier: Apache-2.0
// How the work of one run is split into tasks for the threads of the session.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "counting/spike_counter.h"
#include "simd/dispatch.h"

namespace onnx_snn {

// Elements of a task: microseconds of work, many times the cost of starting a task. A multiple of any vector.
inline constexpr std::size_t kTaskElements = 1u << 12;

// Splits `items` items of `elements` elements each into tasks of whole items.
class Tasks {
 public:
  Tasks(std::size_t items, std::size_t elements)
      : items_(items), per_task_(std::max<std::size_t>(1, kTaskElements / std::max<std::size_t>(1, elements))) {}

  std::size_t count() const { return items_ / per_task_ + (items_ % per_task_ != 0); }
  std::size_t first(std::size_t task) const { return task * per_task_; }
  std::size_t last(std::size_t task) const { return std::min(items_, first(task) + per_task_); }

 private:
  std::size_t items_;
  std::size_t per_task_;
};

// The spikes of a neuron in one run. Each running task takes a counter and gives it back for later tasks, so there are
// no more counters than threads; their sum is added to `total` at the end. Nothing is counted if `total` is null.
class RunSpikes {
 public:
  RunSpikes(std::int64_t* total, const Neuron& neuron) : total_(total), neuron_(neuron) {}
  ~RunSpikes() {
    for (const auto& counter : idle_) counter->move_to(total_);
  }
  RunSpikes(const RunSpikes&) = delete;
  RunSpikes& operator=(const RunSpikes&) = delete;

 private:
  friend class TaskSpikes;
  using Counter = std::unique_ptr<SpikeCounter>;

  Counter take() {
    if (total_ == nullptr) return nullptr;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        Counter counter = std::move(idle_.back());
        idle_.pop_back();
        return counter;
      }
      idle_.reserve(++counters_);  // so that giving back cannot fail
    }
    return std::make_unique<SpikeCounter>(neuron_, kernels().unpack_levels);
  }

  void give_back(Counter counter) {
    if (counter == nullptr) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(counter));
  }

  std::int64_t* total_;
  const Neuron& neuron_;
  std::mutex mutex_;
  std::vector<Counter> idle_;
  std::size_t counters_ = 0;
};

// The counter of a task.
class TaskSpikes {
 public:
  explicit TaskSpikes(RunSpikes& run) : run_(run), counter_(run.take()) {}
  ~TaskSpikes() { run_.give_back(std::move(counter_)); }
  TaskSpikes(const TaskSpikes&) = delete;
  TaskSpikes& operator=(const TaskSpikes&) = delete;

  SpikeCounter* counter() { return counter_.get(); }

 private:
  RunSpikes& run_;
  std::unique_ptr<SpikeCounter> counter_;
};

}  // namespace onnx_snn
