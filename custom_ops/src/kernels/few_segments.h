// SPDX-License-Identifier: Apache-2.0
// Path::kFewSegments: segment and level of some vectors at once, both in registers.
//
//     charge = clip((x - u_rest) * gain, 0, top)            with the parameters of the segment of x
//     rest   = floor(charge);  for t in 0 .. T-1:  rest = min(rest, rest - units_t)      k = floor(charge) - rest
//     y      = base + weight * (k + offset)
//
// The minimum is that of unsigned numbers: where rest < units_t, the difference is negative and so larger than any
// rest. Where spikes are counted, the lowest eight bits of the rest mark which steps fired: they are below any unit, so
// that no comparison sees them.
#pragma once

#include <type_traits>

#include "counting/spike_counter.h"
#include "kernels/counted_blocks.h"
#include "kernels/interleaved.h"
#include "kernels/scale_and_sign.h"

namespace onnx_snn {

// The level and the spike word of each lane.
template <class Simd>
struct Spikes {
  typename Simd::Float level;
  typename Simd::Index word;
};

// The parameters of up to kCount segments, 4 or 8.
template <class Simd, std::size_t kCount>
class SegmentFields {
 public:
  static constexpr bool kSingle = false;
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit SegmentFields(const Neuron& neuron)
      : split_(neuron.few_segments->split),
        first_split_(Simd::broadcast(split_[0])),
        splits_(neuron.bases - 1),
        u_rest_(neuron.few_segments->u_rest),
        gain_(neuron.few_segments->gain),
        weight_(neuron.few_segments->weight),
        base_(neuron.few_segments->base),
        offset_(neuron.few_segments->offset) {}

  // The segment of each x, from 0.
  Index find(Float x) const {
    auto segment = Simd::increase(Simd::broadcast_index(0), Simd::at_least(x, first_split_));
    for (std::size_t i = 1; i < splits_; ++i) {
      segment = Simd::increase(segment, Simd::at_least(x, Simd::broadcast(split_[i])));
    }
    return segment;
  }
  Float charge(Index segment, Float x) const {
    return Simd::multiply(Simd::subtract(x, u_rest_[segment]), gain_[segment]);
  }
  Float output(Index segment, Float level) const {
    return Simd::multiply_add(Simd::add(level, offset_[segment]), weight_[segment], base_[segment]);
  }

 private:
  const float* split_;
  Float first_split_;
  std::size_t splits_;
  typename Simd::template Lookup<kCount> u_rest_, gain_, weight_, base_, offset_;
};

// One segment, which needs no offset.
template <class Simd>
class SegmentFields<Simd, 1> {
 public:
  static constexpr bool kSingle = true;
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit SegmentFields(const Neuron& neuron)
      : u_rest_(Simd::broadcast(neuron.few_segments->u_rest[0])),
        gain_(Simd::broadcast(neuron.few_segments->gain[0])),
        weight_(Simd::broadcast(neuron.few_segments->weight[0])),
        base_(Simd::broadcast(neuron.few_segments->base[0])) {}

  Index find(Float) const { return Simd::broadcast_index(0); }
  Float charge(Index, Float x) const { return Simd::multiply(Simd::subtract(x, u_rest_), gain_); }
  Float output(Index, Float level) const { return Simd::multiply_add(level, weight_, base_); }

 private:
  Float u_rest_, gain_, weight_, base_;
};

// What a charge is as a level. Of halving sizes the level is its whole part, whose bits are the spikes.
template <class Simd, bool kHalving>
class StepLevels {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit StepLevels(const Steps& steps)
      : timesteps_(steps.timesteps), size_(steps.size.data()), marked_size_(steps.marked_size.data()) {}

  Float level(Float charge) const {
    if constexpr (kHalving) return Simd::whole(charge);
    const Index whole = Simd::truncate(charge);
    Index rest = whole;
#pragma GCC unroll 4
    for (std::size_t t = 0; t < timesteps_; ++t) rest = step(rest, size_[t]);
    return Simd::to_float(Simd::subtract(whole, rest));
  }

  Spikes<Simd> spikes(Float charge) const {
    if constexpr (kHalving) return {Simd::whole(charge), Simd::truncate(charge)};
    const Index whole = Simd::truncate(charge);
    Index rest = Simd::template shift_left<kMarkBits>(whole);
    const auto spikes_of = [&](Index word) -> Spikes<Simd> {
      return {Simd::to_float(Simd::subtract(whole, Simd::template shift_right<kMarkBits>(rest))), word};
    };
    const std::size_t first = timesteps_ > kMarkBits ? timesteps_ - kMarkBits : 0;
    if (first == 0) {
      steps(rest, 0);
      return spikes_of(marks_of(rest));
    }
    for (std::size_t t = 0; t < first; ++t) rest = step(rest, marked_size_[t]);
    const Index marks = marks_of(rest);
    rest = Simd::subtract(rest, marks);
    steps(rest, first);
    return spikes_of(Simd::either(Simd::template shift_left<kMarkBits>(marks), marks_of(rest)));
  }

 private:
  // The marked steps from t on.
  void steps(Index& rest, std::size_t t) const {
#pragma GCC unroll 4
    for (; t < timesteps_; ++t) rest = step(rest, marked_size_[t]);
  }
  static Index step(Index rest, std::uint32_t size) {
    return Simd::smaller(rest, Simd::subtract(rest, Simd::broadcast_index(size)));
  }
  static Index marks_of(Index rest) { return Simd::both(rest, Simd::broadcast_index((1u << kMarkBits) - 1)); }

  std::size_t timesteps_;
  const std::uint32_t *size_, *marked_size_;
};

// Calls use(fields, levels) with the types that the neuron needs. Each pair is a copy of the kernel.
template <class Simd, class Use>
void with_few_segments(const Neuron& neuron, Use use) {
  const auto with_fields = [&](const auto& fields) {
    if (neuron.steps->halving) return use(fields, StepLevels<Simd, true>(*neuron.steps));
    use(fields, StepLevels<Simd, false>(*neuron.steps));
  };
  if (neuron.bases == 1) return with_fields(SegmentFields<Simd, 1>(neuron));
  if (neuron.bases <= 4) return with_fields(SegmentFields<Simd, 4>(neuron));
  with_fields(SegmentFields<Simd, kFewSegments>(neuron));
}

template <class Simd>
void evaluate_few_uncounted(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  const auto top = Simd::broadcast(neuron.steps->top());
  with_few_segments<Simd>(neuron, [&](const auto& fields, const auto& levels) {
    each_padded_block<LevelCounts::kElements, Simd::kLanes>(
        scale, x, y, count, [&](const float* from, float* to, std::size_t size, const Scale& here) {
          each_scaled<Simd>(neuron.odd, here, from, size, [=](std::size_t i, const auto& scaled) {
            const auto magnitude = scaled.magnitude();
            const auto segment = fields.find(magnitude);
            const auto level = levels.level(Simd::clip(fields.charge(segment, magnitude), top));
            Simd::store(to + i, scaled.restore(fields.output(segment, level)));
          });
        });
  });
}

// The same, and its spikes are counted.
template <class Simd>
void evaluate_few_counted(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                          LevelCounts& counts) {
  const auto top = Simd::broadcast(neuron.steps->top());
  const auto first_owner = Simd::broadcast_index(static_cast<std::uint32_t>(neuron.first_owner()));
  with_few_segments<Simd>(neuron, [&](const auto& fields, const auto& levels) {
    each_counted_block<Simd, LevelCounts::kElements>(
        neuron, scale, x, y, count, counts,
        [&](const float* from, float* to, std::size_t size, const Scale& here, const WaitingBytes& waiting) {
          const bool high = has_high_bits(neuron), falling = neuron.falling;
          each_scaled<Simd>(neuron.odd, here, from, size, [=](std::size_t i, const auto& scaled) {
            const auto magnitude = scaled.magnitude();
            const auto segment = fields.find(magnitude);
            const auto spikes = levels.spikes(Simd::clip(fields.charge(segment, magnitude), top));
            store_word<Simd>(high, waiting, i, spikes.word);
            if constexpr (!std::decay_t<decltype(fields)>::kSingle) {
              Simd::store_bytes(waiting.owner + i,
                                falling ? Simd::clear(scaled.is_nan(), Simd::either(segment, first_owner)) : segment);
            }
            Simd::store(to + i, scaled.restore(fields.output(segment, spikes.level)));
          });
        });
  });
}

template <class Simd>
void evaluate_few_segments(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count,
                           SpikeCounter* counter) {
  using Wide = Interleaved<Simd>;
  if (counter != nullptr) return evaluate_few_counted<Wide>(neuron, scale, x, y, count, counter->levels());
  evaluate_few_uncounted<Wide>(neuron, scale, x, y, count);
}

}  // namespace onnx_snn
