// SPDX-License-Identifier: Apache-2.0
// Evaluates the operators of docs/op_spec.md: a line of JSON in, one out.
//
//     {"operator", "polarity", "inputs": [{"shape", "bits"}]}  ->  {"y": bits, "spikes": [counts of each neuron]}
import { createInterface } from "node:readline";
import { layerNormalization, rmsNormalization, softmax } from "./composites.mjs";
import { mbeNeuron } from "./mbe_neuron.mjs";

const OPERATORS = {
  MbeNeuron: ([x, ...rest], polarity) => {
    const { y, spikes } = mbeNeuron(x, rest.slice(0, 7), rest[7], polarity);
    return { y, spikes: [spikes] };
  },
  SpikingSoftmax: softmax,
  SpikingLayerNormalization: layerNormalization,
  SpikingRMSNormalization: rmsNormalization,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { operator, polarity, inputs } = JSON.parse(line);
  const tensors = inputs.map(({ shape, bits }) => ({ shape, bits: Uint32Array.from(bits) }));
  const { y, spikes } = OPERATORS[operator](tensors, polarity);
  console.log(JSON.stringify({ y: Array.from(y.bits), spikes }));
}
