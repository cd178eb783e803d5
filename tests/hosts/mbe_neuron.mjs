// SPDX-License-Identifier: Apache-2.0
// MbeNeuron, written from docs/op_spec.md alone: numbers are float64, Math.fround rounds them to float32.
//
// Tensors are {shape, bits}: the bits of float32 numbers as an Uint32Array, so that NaN keep theirs.
export const floats = (tensor) => new Float32Array(tensor.bits.buffer);

const f32 = Math.fround;

export function mbeNeuron(x, parameters, scale, polarity) {
  const [uRest, gain, threshold, reset, intensity, weight, bias] = parameters.map(floats);
  const N = uRest.length;
  const S = threshold.length / N;
  const argument = floats(x);
  const y = { shape: x.shape, bits: new Uint32Array(x.bits.length) };
  const result = floats(y);
  const spikes = new Array(S * N).fill(0);
  const factor = along(scale, x.shape);

  for (let i = 0; i < argument.length; i++) {
    const a = f32(argument[i] / factor(i));
    const mirrored = polarity === 1 && a < 0;
    let sum = bias[0];
    for (let n = 0; n < N; n++) {
      let u = f32(f32((mirrored ? -a : a) - uRest[n]) * gain[n]);
      for (let t = n; t < S * N; t += N) {
        if (!(u >= threshold[t])) continue;
        spikes[t]++;
        u = f32(u - reset[t]);
        sum += weight[n] * intensity[t];
      }
    }
    const r = f32(sum);
    result[i] = (mirrored ? 0 - r : r) * factor(i);
    if (Number.isNaN(argument[i])) y.bits[i] = x.bits[i];
  }
  return { y, spikes };
}

// Element i of a tensor of shape `into`, of one that broadcasts into it.
export function along(tensor, into) {
  const values = floats(tensor);
  return (i) => {
    let [index, stride] = [0, 1];
    for (let axis = 1; axis <= into.length; axis++) {
      const side = tensor.shape.at(-axis) ?? 1;
      if (side !== 1) index += (i % into.at(-axis)) * stride;
      stride *= side;
      i = Math.floor(i / into.at(-axis));
    }
    return values[index];
  };
}
