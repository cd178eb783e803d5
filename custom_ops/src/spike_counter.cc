// SPDX-License-Identifier: Apache-2.0
#include "spike_counter.h"

#include <mutex>
#include <utility>

#include "kernels.h"

namespace onnx_snn {
namespace {

// Counts that no counter has. All are zero, and go from neuron to neuron: so they stay in the caches.
class IdleLevels {
 public:
  std::unique_ptr<LevelCounts> take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        auto levels = std::move(idle_.back());
        idle_.pop_back();
        return levels;
      }
      idle_.reserve(++made_);  // so that giving back cannot fail
    }
    return std::make_unique<LevelCounts>();
  }

  void give_back(std::unique_ptr<LevelCounts> levels) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(levels));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<LevelCounts>> idle_;
  std::size_t made_ = 0;
};

IdleLevels& idle_levels() {
  static IdleLevels levels;
  return levels;
}

}  // namespace

SpikeCounter::SpikeCounter(const Neuron& neuron) : neuron_(neuron) {
  if (neuron.segments.depth == 0) {
    spikes_.resize(neuron.timesteps * neuron.bases);
    return;
  }
  levels_ = idle_levels().take();
}

SpikeCounter::~SpikeCounter() {
  if (levels_ == nullptr) return;
  kernels().unpack_levels(*levels_, neuron_);
  levels_->totals = {};
  idle_levels().give_back(std::move(levels_));
}

// Bases before and after an element's segment are silent or saturated.
void SpikeCounter::move_segments_to(std::int64_t* spikes) {
  kernels().unpack_levels(*levels_, neuron_);
  const auto [timesteps, gate] = neuron_.halving;
  std::int64_t elements = 0;
  for (std::size_t segment = 0; segment < neuron_.bases; ++segment) elements += levels_->totals[segment].elements;
  std::int64_t before = 0;
  for (std::size_t segment = 0; segment < neuron_.bases; ++segment) {
    const auto count = std::exchange(levels_->totals[segment], {});
    const std::size_t basis = neuron_.segments.basis[segment];
    const bool rising = neuron_.gain[basis] > 0;
    const std::int64_t elsewhere = rising ? elements - before - count.elements : before;
    // With a gate a saturated basis fires it and nothing else.
    const std::int64_t gated = gate ? count.saturated + elsewhere : 0;
    if (gate) spikes[basis] += gated;
    for (std::size_t t = 0; t < timesteps; ++t) {
      spikes[(t + gate) * neuron_.bases + basis] += count.bits[timesteps - 1 - t] + elsewhere - gated;
    }
    before += count.elements;
  }
}

void SpikeCounter::move_to(std::int64_t* spikes) {
  if (levels_ != nullptr) return move_segments_to(spikes);
  for (std::size_t slot = 0; slot < spikes_.size(); ++slot) {
    spikes[slot] += spikes_[slot];
    spikes_[slot] = 0;
  }
}

}  // namespace onnx_snn
