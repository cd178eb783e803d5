// SPDX-License-Identifier: Apache-2.0
// Classify images with a spiking network in Node.js:
//
//     npm install --ignore-scripts
//     node classify.mjs vit-snn.onnx images.bin
//
// images.bin: normalized float32 images, one after the other; ../README.md says how to make it.

import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const SHAPE = [3, 32, 32]; // channels, height, width

const [model, images] = process.argv.slice(2);
const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
const pixels = new Float32Array(new Uint8Array(readFileSync(images)).buffer);
const count = pixels.length / SHAPE.reduce((product, side) => product * side);

const { logits } = await session.run({ pixel_values: new Tensor("float32", pixels, [count, ...SHAPE]) });
const classes = logits.dims[1];
const predicted = Array.from({ length: count }, (_, image) => {
  const row = logits.data.subarray(image * classes, (image + 1) * classes);
  return row.indexOf(Math.max(...row));
});
console.log("classes:", ...predicted);
