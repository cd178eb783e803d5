// SPDX-License-Identifier: Apache-2.0
#include "cases.h"

#include <algorithm>
#include <numeric>

namespace onnx_snn {
namespace {

const std::vector<float> kSpecial{NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-45f, 3e38f, -3e38f};

std::size_t product(const Sides& sides) {
  std::size_t count = 1;
  for (const std::int64_t side : sides) count *= static_cast<std::size_t>(side);
  return count;
}

template <class Draw>
std::vector<float> draw_values(std::size_t count, Draw draw) {
  std::vector<float> values(count);
  for (float& value : values) value = draw();
  return values;
}

// Step sizes: halves, those of a beta code of base 1/0.7, or any numbers.
std::vector<float> draw_sizes(Random& random, std::size_t timesteps, bool halving) {
  std::vector<float> sizes;
  const bool beta = random.chance(0.5);
  for (std::size_t t = 0; t < timesteps; ++t) {
    const float decay = std::pow(0.7f, static_cast<float>(t));
    const float any = static_cast<float>(random.integer(1, 4096)) / 4096;
    sizes.push_back(halving ? std::ldexp(1.0f, -static_cast<int>(t)) : beta ? std::round(4096 * decay) / 4096 : any);
  }
  return sizes;
}

// Threshold = reset = intensity = size, with or without a saturation spike first.
void set_steps(reference::Parameters& p, const std::vector<float>& sizes, bool saturation_spike) {
  const auto append = [&](float size, float reset) {
    p.threshold.insert(p.threshold.end(), p.bases, size);
    p.reset.insert(p.reset.end(), p.bases, reset);
    p.intensity.insert(p.intensity.end(), p.bases, size);
  };
  if (saturation_spike) append(std::accumulate(sizes.begin(), sizes.end(), 0.0f), INFINITY);
  for (const float size : sizes) append(size, size);
  p.timesteps = sizes.size() + saturation_spike;
}

// Any kernels.
void set_kernels(reference::Parameters& p, Random& random, std::size_t timesteps) {
  const std::size_t slots = timesteps * p.bases;
  p.threshold = draw_values(slots, [&] { return random.normal(1); });
  p.reset = draw_values(slots, [&] { return random.chance(0.1) ? INFINITY : random.normal(1); });
  p.intensity = draw_values(slots, [&] { return static_cast<float>(random.integer(-64, 64)) / 64; });
  p.timesteps = timesteps;
}

// A neuron whose weights and intensities are multiples of powers of two, so that all sums are exact.
reference::Parameters draw_neuron(Random& random, bool odd) {
  reference::Parameters p{};
  p.odd = odd;
  const bool few = random.chance(0.4);  // often Path::kFewSegments
  p.bases = static_cast<std::size_t>(few                  ? random.integer(1, 5)
                                     : random.chance(0.1) ? random.integer(33, 70)
                                                          : random.integer(1, 32));
  const auto timesteps = static_cast<std::size_t>(random.integer(1, few || random.chance(0.2) ? 16 : 8));
  float reach = 2;  // sum of the step sizes
  if (random.chance(0.85)) {
    const std::vector<float> sizes = draw_sizes(random, timesteps, !few || random.chance(0.3));
    set_steps(p, sizes, random.chance(0.5));
    reach = std::accumulate(sizes.begin(), sizes.end(), 0.0f);
  } else {
    set_kernels(p, random, timesteps);
  }
  const bool segments = random.chance(few ? 0.8 : 0.5);  // ramps that do not overlap
  const std::int64_t first_rising =
      segments && random.chance(0.4) ? random.integer(0, static_cast<std::int64_t>(p.bases)) : 0;
  for (std::size_t n = 0; n < p.bases; ++n) {
    const bool falls = segments ? static_cast<std::int64_t>(n) < first_rising : random.chance(0.3);
    p.u_rest.push_back(segments ? static_cast<float>(n + falls) * reach / 16 : random.normal(2));
    p.gain.push_back(segments ? 16.0f : 0.1f + std::fabs(random.normal(2)));
    if (falls) p.gain.back() = -p.gain.back();
    p.weight.push_back(static_cast<float>(random.integer(-4096, 4096)) / 1024);
  }
  p.bias = static_cast<float>(random.integer(-4096, 4096)) / 1024;
  return p;
}

void add_neuron(Case& node, Random& random, bool odd) {
  const reference::Parameters p = draw_neuron(random, odd);
  const Sides per_basis{static_cast<std::int64_t>(p.bases)};
  const Sides per_slot{static_cast<std::int64_t>(p.timesteps), static_cast<std::int64_t>(p.bases)};
  node.inputs.emplace_back(per_basis, p.u_rest);
  node.inputs.emplace_back(per_basis, p.gain);
  node.inputs.emplace_back(per_slot, p.threshold);
  node.inputs.emplace_back(per_slot, p.reset);
  node.inputs.emplace_back(per_slot, p.intensity);
  node.inputs.emplace_back(per_basis, p.weight);
  node.inputs.emplace_back(random.chance(0.5) ? Sides{} : Sides{1}, std::vector<float>{p.bias});
  node.neurons.push_back(p);
}

// Replaces some elements of x by inputs that a basis can just reach or just miss: sums of thresholds over its gain.
void add_boundaries(Case& node, Random& random) {
  const reference::Parameters& p = node.neurons[0];
  for (std::size_t i = 0; i < node.x().elements(); i += static_cast<std::size_t>(random.integer(1, 4))) {
    const auto n = static_cast<std::size_t>(random.integer(0, static_cast<std::int64_t>(p.bases) - 1));
    float charge = 0;
    for (std::size_t t = 0; t < p.timesteps; ++t) charge += random.chance(0.5) ? p.threshold[t * p.bases + n] : 0;
    float& x = node.inputs[0].floats()[i];
    x = p.u_rest[n] + charge / p.gain[n];
    if (random.chance(0.6)) x = std::nextafter(x, random.chance(0.5) ? INFINITY : -INFINITY);
  }
}

// A shape that broadcasts into `sides`, often with the last axis alone.
Sides draw_broadcast(Random& random, const Sides& sides) {
  if (random.chance(0.3) || sides.empty()) return {1};
  if (random.chance(0.4)) return {sides.back()};
  Sides shape = sides;
  for (std::int64_t& side : shape) side = random.chance(0.5) ? side : 1;
  shape.erase(shape.begin(), shape.begin() + random.integer(0, static_cast<std::int64_t>(shape.size())));
  return shape;
}

void add_scale(Case& node, Random& random, const Sides& x) {
  node.scale_input = node.inputs.size();
  const Sides sides = draw_broadcast(random, x);
  const bool powers = random.chance(0.7), one = random.chance(0.2);
  node.inputs.emplace_back(sides, draw_values(product(sides), [&] {
                             if (one) return 1.0f;
                             return powers ? std::ldexp(1.0f, static_cast<int>(random.integer(-4, 4)))
                                           : 0.1f + std::fabs(random.normal(1));
                           }));
}

void add_values(Case& node, Random& random, const Sides& x) {
  const Sides sides = draw_broadcast(random, x);
  node.inputs.emplace_back(sides, draw_values(product(sides), [&] { return random.normal(1); }));
}

Sides draw_sides(Random& random, const std::string& op) {
  const bool rows = op != "MbeNeuron";
  if (random.chance(0.04)) return {random.integer(3, 5), 7, 900};  // work for several tasks
  Sides sides(static_cast<std::size_t>(random.integer(rows, 4)));
  for (std::int64_t& side : sides) side = random.integer(random.chance(0.05) ? 0 : 1, 9);
  if (rows) sides.back() = std::max<std::int64_t>(1, random.chance(0.3) ? random.integer(60, 200) : sides.back());
  return sides;
}

// The value of `tensor` that goes with an element of `x`.
float along(const OrtValue& tensor, const OrtValue& x, std::size_t element) {
  std::size_t offset = 0, stride = 1;
  for (std::size_t axis = 0; axis < x.sides.size() && axis < tensor.sides.size(); ++axis) {
    const auto x_side = static_cast<std::size_t>(x.sides[x.sides.size() - 1 - axis]);
    const auto side = static_cast<std::size_t>(tensor.sides[tensor.sides.size() - 1 - axis]);
    if (side != 1) offset += element % x_side * stride;
    stride *= side;
    element /= x_side;
  }
  return tensor.floats()[offset];
}

std::vector<float> floats_of(const OrtValue& tensor) {
  return std::vector<float>(tensor.floats(), tensor.floats() + tensor.elements());
}

std::vector<float> all_along(const OrtValue& tensor, const OrtValue& x) {
  std::vector<float> values(x.elements());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = along(tensor, x, i);
  return values;
}

void answer_neuron(const Case& node, Answer& result) {
  const std::vector<float> scale = all_along(node.inputs[node.scale_input], node.x());
  for (std::size_t i = 0; i < scale.size(); ++i) {
    result.y[i] = reference::neuron(node.neurons[0], node.x().floats()[i], scale[i], result.spikes[0].data());
  }
}

void answer_softmax(const Case& node, Answer& result) {
  const auto length = static_cast<std::size_t>(node.x().sides.back());
  for (std::size_t i = 0; i < result.y.size(); i += length) {
    reference::softmax(node.neurons[0], node.neurons[1], node.x().floats() + i, result.y.data() + i, length,
                       result.spikes[0].data(), result.spikes[1].data());
  }
}

void answer_normalization(const Case& node, Answer& result, bool centred) {
  const auto length = static_cast<std::size_t>(node.x().sides.back());
  const std::vector<float> scale = all_along(node.inputs[node.scale_input], node.x());
  const std::vector<float> gamma = all_along(node.inputs[1], node.x());
  const std::vector<float> beta = centred ? all_along(node.inputs[2], node.x()) : std::vector<float>();
  const float epsilon = *node.inputs[centred ? 3 : 2].floats();
  for (std::size_t i = 0; i < result.y.size(); i += length) {
    const reference::Row row{&scale[i], &gamma[i], centred ? &beta[i] : nullptr};
    reference::normalize(node.neurons[0], node.neurons[1], row, epsilon, node.x().floats() + i, result.y.data() + i,
                         length, result.spikes[0].data(), result.spikes[1].data());
  }
}

const std::string kGuarded = "Guarded";

// Makes a node the guarded form of its operator.
void add_range(Case& node, Random& random) {
  const float high = std::fabs(random.normal(2)), low = random.chance(0.5) ? -high : -std::fabs(random.normal(2));
  node.inputs.emplace_back(
      Sides{2}, std::vector<float>{random.chance(0.2) ? -INFINITY : low, random.chance(0.2) ? INFINITY : high});
  node.op = kGuarded + node.op;
  node.guarded = true;
}

// The output of the operator itself, and the elements of its argument beyond the range.
Answer guarded_answer(const Case& node) {
  Case plain{node.op.substr(kGuarded.size()), node.attributes, {}, node.neurons, node.scale_input};
  for (const OrtValue& input : node.inputs) {
    if (&input != &node.inputs.back()) plain.inputs.emplace_back(input.sides, floats_of(input));
  }
  const bool centred = plain.op == "SpikingLayerNormalization";
  const auto length = centred ? static_cast<std::size_t>(node.x().sides.back()) : 1;
  const std::vector<float> scale = all_along(node.inputs[node.scale_input], node.x());
  const float* const range = node.inputs.back().floats();
  std::int64_t beyond = 0;
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const float* const row = node.x().floats() + i / length * length;
    double sum = 0;
    for (std::size_t j = 0; centred && j < length; ++j) sum += row[j];
    const float argument = row[i % length] - static_cast<float>(sum / static_cast<double>(length));
    beyond += argument < range[0] * scale[i] || argument > range[1] * scale[i];
  }
  return {answer(plain).y, {{beyond}}};
}

}  // namespace

Case draw_case(Random& random, const std::string& op) { return draw_case(random, op, draw_sides(random, op)); }

Case draw_case(Random& random, const std::string& op, const Sides& x) {
  if (op.find(kGuarded) == 0) {
    Case node = draw_case(random, op.substr(kGuarded.size()), x);
    add_range(node, random);
    return node;
  }
  Case node{op, {}, {}, {}, 0};
  const bool special = op == "MbeNeuron" && random.chance(0.5);
  node.inputs.emplace_back(x, draw_values(product(x), [&] {
                             return special && random.chance(0.1) ? random.of(kSpecial) : random.normal(3);
                           }));
  if (op == "SpikingSoftmax") {
    add_neuron(node, random, false);
    add_neuron(node, random, false);
    return node;
  }
  const bool odd = random.chance(0.5);
  node.attributes["polarity"] = odd;
  if (op == "MbeNeuron") {
    add_neuron(node, random, odd);
    add_scale(node, random, x);
    if (random.chance(0.5)) add_boundaries(node, random);
    return node;
  }
  add_values(node, random, x);
  if (op == "SpikingLayerNormalization") add_values(node, random, x);
  node.inputs.emplace_back(Sides{}, std::vector<float>{1e-5f});
  add_neuron(node, random, odd);
  add_scale(node, random, x);
  add_neuron(node, random, false);
  return node;
}

Answer answer(const Case& node) {
  if (node.guarded) return guarded_answer(node);
  Answer result{std::vector<float>(node.x().elements()), {}};
  for (const auto& neuron : node.neurons) result.spikes.emplace_back(neuron.timesteps * neuron.bases);
  if (node.op == "MbeNeuron") {
    answer_neuron(node, result);
  } else if (node.op == "SpikingSoftmax") {
    answer_softmax(node, result);
  } else {
    answer_normalization(node, result, node.op == "SpikingLayerNormalization");
  }
  return result;
}

}  // namespace onnx_snn
