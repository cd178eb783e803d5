// SPDX-License-Identifier: Apache-2.0
// How the work of one run is split into tasks for the threads of the session.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "neuron.h"

namespace onnx_snn {

// Elements of a task: some microseconds of work, against which handing it out is cheap. A multiple of any vector.
inline constexpr std::size_t kTaskElements = 1u << 12;

// `items`, each of `elements` elements, in tasks of whole items.
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

// Spikes that a task counts apart and in the end adds to those of all tasks, which `total` holds; null: no counting.
class TaskSpikes {
 public:
  TaskSpikes(std::int64_t* total, const Neuron& neuron)
      : total_(total), counts_(total == nullptr ? 0 : neuron.timesteps * neuron.bases) {}
  ~TaskSpikes() {
    for (std::size_t slot = 0; slot < counts_.size(); ++slot) {
      if (counts_[slot] != 0) __atomic_fetch_add(total_ + slot, counts_[slot], __ATOMIC_RELAXED);
    }
  }
  TaskSpikes(const TaskSpikes&) = delete;
  TaskSpikes& operator=(const TaskSpikes&) = delete;

  std::int64_t* counts() { return total_ == nullptr ? nullptr : counts_.data(); }

 private:
  std::int64_t* total_;
  std::vector<std::int64_t> counts_;
};

}  // namespace onnx_snn
