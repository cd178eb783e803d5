// SPDX-License-Identifier: Apache-2.0
#include "counting/spike_counter.h"

#include <mutex>
#include <utility>

namespace onnx_snn {
namespace {

// Level counts that no counter uses, all zero. Any neuron may take them, so that few are made and they stay in the
// caches.
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

SpikeCounter::SpikeCounter(const Neuron& neuron, UnpackLevels unpack_levels)
    : neuron_(neuron), unpack_levels_(unpack_levels) {
  if (neuron.segmented()) {
    levels_ = idle_levels().take();
  } else {
    spikes_.resize(neuron.timesteps * neuron.bases);
  }
}

SpikeCounter::~SpikeCounter() {
  if (levels_ == nullptr) return;
  unpack_levels_(*levels_, neuron_);
  levels_->totals = {};
  idle_levels().give_back(std::move(levels_));
}

// Where x is in another segment, a basis is silent or saturated: saturated where its ramp rises and lies before x, or
// falls and lies after x. A saturated basis fires at all T time steps, or only its saturation spike if it has one.
void SpikeCounter::move_levels_to(std::int64_t* spikes) {
  unpack_levels_(*levels_, neuron_);
  if (LevelCounts::first_holds_all(neuron_)) levels_->keep_own_of_first(neuron_.bases);
  const std::size_t timesteps = neuron_.steps->timesteps;
  const bool saturation_spike = neuron_.steps->saturation_spike;
  std::int64_t elements = 0;
  for (std::size_t segment = 0; segment < neuron_.bases; ++segment) elements += levels_->totals[segment].elements;
  std::int64_t before = 0;
  for (std::size_t segment = 0; segment < neuron_.bases; ++segment) {
    const auto count = std::exchange(levels_->totals[segment], {});
    const std::size_t basis = neuron_.segment_basis(segment);
    const bool rising = neuron_.gain[basis] > 0;
    const std::int64_t saturated_elsewhere = rising ? elements - before - count.elements : before;
    const std::int64_t saturation_spikes = saturation_spike ? count.saturated + saturated_elsewhere : 0;
    if (saturation_spike) spikes[basis] += saturation_spikes;
    for (std::size_t t = 0; t < timesteps; ++t) {
      const std::int64_t fired = count.bits[timesteps - 1 - t] + saturated_elsewhere - saturation_spikes;
      spikes[(t + saturation_spike) * neuron_.bases + basis] += fired;
    }
    before += count.elements;
  }
}

void SpikeCounter::move_to(std::int64_t* spikes) {
  if (neuron_.segmented()) return move_levels_to(spikes);
  for (std::size_t slot = 0; slot < spikes_.size(); ++slot) {
    spikes[slot] += spikes_[slot];
    spikes_[slot] = 0;
  }
}

}  // namespace onnx_snn
