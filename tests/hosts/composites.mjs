// SPDX-License-Identifier: Apache-2.0
// SpikingSoftmax and the normalizations, written from docs/op_spec.md alone.
import { along, floats, mbeNeuron } from "./mbe_neuron.mjs";

const f32 = Math.fround;
const LOG2E = 1.44269502162933349609375;
const UNSCALED = tensorOf([1]);

function tensorOf(values) {
  return { shape: [values.length], bits: new Uint32Array(Float32Array.from(values).buffer) };
}

// A neuron, whose spikes add up over its calls; the scale goes along x.
class Neuron {
  constructor(parameters, polarity = 0) {
    Object.assign(this, { parameters, polarity, spikes: Array.from(parameters[2].bits, () => 0) });
  }
  run(x, scale = UNSCALED) {
    const { y, spikes } = mbeNeuron(x, this.parameters, scale, this.polarity);
    this.spikes = this.spikes.map((count, slot) => count + spikes[slot]);
    return floats(y);
  }
}

// v = f * 2**e with f in [0.5, 1), of a positive finite float32 number.
function frexp(v) {
  let e = 0;
  for (; v >= 1; e++) v /= 2;
  for (; v < 0.5; e--) v *= 2;
  return [v, e];
}

function throughMantissa(v, neuron, root) {
  const regular = v > 0 && v < Infinity;
  const [f, e] = frexp(regular ? v : 1);
  const h = Math.floor(e / root);
  const [m] = neuron.run(tensorOf([f * 2 ** (e - root * h)]));
  const q = regular ? f32(m * 2 ** -h) : f32(1 / (root === 2 ? f32(Math.sqrt(v)) : v));
  return f32(q + 0);
}

// Calls row(first, n) for every row along the last axis.
function eachRow(x, row) {
  const n = x.shape.at(-1);
  for (let first = 0; first < x.bits.length; first += n) row(first, n);
}

const resultLike = (x) => ({ shape: x.shape, bits: new Uint32Array(x.bits.length) });

export function softmax(inputs) {
  const [x] = inputs;
  const exp2 = new Neuron(inputs.slice(1, 8));
  const reciprocal = new Neuron(inputs.slice(8, 15));
  const y = resultLike(x);
  eachRow(x, (first, n) => {
    const row = floats(x).slice(first, first + n);
    const max = Math.max(...row);
    const z = row.map((value) => f32(value - max) * LOG2E);
    const capped = z.map((value) => (value < -126 ? -126 : value));
    const p = exp2.run(tensorOf(capped.map((value) => value - Math.floor(value))));
    const w = p.map((value, i) => (z[i] < -126 ? 0 : f32(value * 2 ** Math.floor(capped[i])) + 0));
    const inverse = throughMantissa(f32(w.reduce((sum, value) => sum + value, 0)), reciprocal, 1);
    floats(y).set(w.map((value) => value * inverse), first);
  });
  return { y, spikes: [exp2.spikes, reciprocal.spikes] };
}

function normalization(inputs, polarity, centred) {
  const [x, gamma] = inputs;
  const beta = centred ? inputs[2] : undefined;
  const [epsilon, ...rest] = inputs.slice(centred ? 3 : 2);
  const deviation = new Neuron(rest.slice(0, 7), polarity);
  const rsqrt = new Neuron(rest.slice(8, 15));
  const y = resultLike(x);

  const centre = resultLike(x);
  eachRow(x, (first, n) => {
    const row = floats(x).slice(first, first + n);
    const mean = centred ? f32(row.reduce((sum, value) => sum + value, 0) / n) : 0;
    floats(centre).set(row.map((value) => value - mean), first);
  });
  const coded = deviation.run(centre, rest[7]);
  eachRow(x, (first, n) => {
    const c = coded.slice(first, first + n);
    const v = f32(f32(c.reduce((sum, value) => sum + value * value, 0) / n) + floats(epsilon)[0]);
    const inverse = throughMantissa(v, rsqrt, 2);
    const [factor, summand] = [along(gamma, x.shape), beta && along(beta, x.shape)];
    const normalized = c.map((value, i) => f32(value * inverse) * factor(first + i));
    floats(y).set(beta ? normalized.map((value, i) => value + summand(first + i)) : normalized, first);
  });
  return { y, spikes: [deviation.spikes, rsqrt.spikes] };
}

export const layerNormalization = (inputs, polarity) => normalization(inputs, polarity, true);
export const rmsNormalization = (inputs, polarity) => normalization(inputs, polarity, false);
