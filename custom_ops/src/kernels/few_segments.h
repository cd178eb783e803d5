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

// The parameters of up to kCount segments, 2, 4 or 8.
template <class Simd, std::size_t kCount>
class SegmentFields {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit SegmentFields(const FewSegments& segments)
      : u_rest_(segments.u_rest),
        gain_(segments.gain),
        weight_(segments.weight),
        base_(segments.base),
        offset_(segments.offset) {
    for (std::size_t i = 0; i + 1 < kCount; ++i) split_[i] = Simd::broadcast(segments.split[i]);
  }

  // The segment of each x, from 0.
  Index find(Float x) const {
    auto segment = Simd::broadcast_index(0);
    for (std::size_t i = 0; i + 1 < kCount; ++i) segment = Simd::increase(segment, Simd::at_least(x, split_[i]));
    return segment;
  }
  Float charge(Index segment, Float x) const {
    return Simd::multiply(Simd::subtract(x, u_rest_[segment]), gain_[segment]);
  }
  Float output(Index segment, Float level) const {
    return Simd::multiply_add(Simd::add(level, offset_[segment]), weight_[segment], base_[segment]);
  }

 private:
  Float split_[kCount - 1];
  typename Simd::template Lookup<kCount <= 4 ? 4 : 8> u_rest_, gain_, weight_, base_, offset_;
};

// One segment, which needs no offset.
template <class Simd>
class SegmentFields<Simd, 1> {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit SegmentFields(const FewSegments& segments)
      : u_rest_(Simd::broadcast(segments.u_rest[0])),
        gain_(Simd::broadcast(segments.gain[0])),
        weight_(Simd::broadcast(segments.weight[0])),
        base_(Simd::broadcast(segments.base[0])) {}

  Index find(Float) const { return Simd::broadcast_index(0); }
  Float charge(Index, Float x) const { return Simd::multiply(Simd::subtract(x, u_rest_), gain_); }
  Float output(Index, Float level) const { return Simd::multiply_add(level, weight_, base_); }

 private:
  Float u_rest_, gain_, weight_, base_;
};

// Halving sizes: the level is the whole part of the charge, and its bits are the spikes.
template <class Simd>
class HalvingLevels {
 public:
  explicit HalvingLevels(const Steps&) {}
  typename Simd::Float level(typename Simd::Float charge) const { return Simd::whole(charge); }
  Spikes<Simd> spikes(typename Simd::Float charge) const { return {Simd::whole(charge), Simd::truncate(charge)}; }
};

// Any other sizes.
template <class Simd>
class StepLevels {
 public:
  using Float = typename Simd::Float;
  using Index = typename Simd::Index;

  explicit StepLevels(const Steps& steps) : steps_(steps) {}

  Float level(Float charge) const {
    const Index whole = Simd::truncate(charge);
    Index rest = whole;
#pragma GCC unroll 4
    for (std::size_t t = 0; t < steps_.timesteps; ++t) rest = step(rest, steps_.size[t]);
    return Simd::to_float(Simd::subtract(whole, rest));
  }

  Spikes<Simd> spikes(Float charge) const {
    const Index whole = Simd::truncate(charge);
    Index rest = Simd::template shift_left<kMarkBits>(whole), word = Simd::broadcast_index(0);
    std::size_t t = 0;
    if (steps_.timesteps > kMarkBits) {
      for (; t < steps_.timesteps - kMarkBits; ++t) rest = step(rest, steps_.marked_size[t]);
      const Index marks = marks_of(rest);
      word = Simd::template shift_left<kMarkBits>(marks);
      rest = Simd::subtract(rest, marks);
    }
#pragma GCC unroll 4
    for (; t < steps_.timesteps; ++t) rest = step(rest, steps_.marked_size[t]);
    word = Simd::either(word, marks_of(rest));
    return {Simd::to_float(Simd::subtract(whole, Simd::template shift_right<kMarkBits>(rest))), word};
  }

 private:
  static Index step(Index rest, std::uint32_t size) {
    return Simd::smaller(rest, Simd::subtract(rest, Simd::broadcast_index(size)));
  }
  static Index marks_of(Index rest) { return Simd::both(rest, Simd::broadcast_index((1u << kMarkBits) - 1)); }

  const Steps& steps_;
};

// Calls use(fields, levels) with the types that the neuron needs.
template <class Simd, class Use>
void with_few_segments(const Neuron& neuron, Use use) {
  const auto of_count = [&](auto count) {
    const SegmentFields<Simd, decltype(count)::value> fields(*neuron.few_segments);
    if (neuron.steps->halving) return use(fields, HalvingLevels<Simd>(*neuron.steps));
    use(fields, StepLevels<Simd>(*neuron.steps));
  };
  if (neuron.bases == 1) return of_count(std::integral_constant<std::size_t, 1>());
  if (neuron.bases == 2) return of_count(std::integral_constant<std::size_t, 2>());
  if (neuron.bases <= 4) return of_count(std::integral_constant<std::size_t, 4>());
  of_count(std::integral_constant<std::size_t, kFewSegments>());
}

template <class Simd>
void evaluate_few_uncounted(const Neuron& neuron, const Scale& scale, const float* x, float* y, std::size_t count) {
  const auto top = Simd::broadcast(neuron.steps->top());
  with_few_segments<Simd>(neuron, [&](const auto& fields, const auto& levels) {
    each_scaled<Simd>(neuron.odd, scale, x, count, [&](std::size_t i, const auto& scaled, auto store) {
      const auto magnitude = scaled.magnitude();
      const auto segment = fields.find(magnitude);
      const auto level = levels.level(Simd::clip(fields.charge(segment, magnitude), top));
      store(y + i, scaled.restore(fields.output(segment, level)));
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
          each_scaled<Simd>(neuron.odd, here, from, size, [&](std::size_t i, const auto& scaled, auto store) {
            const auto magnitude = scaled.magnitude();
            const auto segment = fields.find(magnitude);
            const auto spikes = levels.spikes(Simd::clip(fields.charge(segment, magnitude), top));
            store_word<Simd>(neuron, waiting, i, spikes.word);
            if (neuron.bases > 1) {
              Simd::store_bytes(waiting.owner + i, Simd::clear(scaled.is_nan(), Simd::either(segment, first_owner)));
            }
            store(to + i, scaled.restore(fields.output(segment, spikes.level)));
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
