// SPDX-License-Identifier: Apache-2.0
// Run a model once in a stock JavaScript runtime:
//
//     node run.mjs node|web MODEL INPUTS OUTPUTS
//
// node: onnxruntime-node; web: onnxruntime-web, WebAssembly on one thread. INPUTS and OUTPUTS are folders of raw
// little-endian tensors with a tensors.json: [{"name", "type", "shape", "file"}, ...].

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  float32: Float32Array,
  float64: Float64Array,
};

const RUNTIMES = {
  node: () => import("onnxruntime-node"),
  web: async () => {
    const runtime = await import("onnxruntime-web");
    runtime.env.wasm.numThreads = 1;
    return runtime;
  },
};

function readTensors({ Tensor }, folder) {
  const entries = JSON.parse(readFileSync(join(folder, "tensors.json"), "utf8"));
  const tensors = entries.map(({ name, type, shape, file }) => {
    const bytes = new Uint8Array(readFileSync(join(folder, file))); // a copy: aligned for every type
    return [name, new Tensor(type, new ARRAYS[type](bytes.buffer), shape)];
  });
  return Object.fromEntries(tensors);
}

function writeTensors(tensors, folder) {
  const entries = Object.entries(tensors).map(([name, { type, dims, data }], index) => {
    const file = `${index}.bin`;
    writeFileSync(join(folder, file), new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { name, type, shape: dims, file };
  });
  writeFileSync(join(folder, "tensors.json"), JSON.stringify(entries));
}

const [backend, model, inputs, outputs] = process.argv.slice(2);
const runtime = await RUNTIMES[backend]();
const providers = { node: ["cpu"], web: ["wasm"] };
const session = await runtime.InferenceSession.create(readFileSync(model), {
  executionProviders: providers[backend],
  intraOpNumThreads: 1,
  logSeverityLevel: 3,
});
writeTensors(await session.run(readTensors(runtime, inputs)), outputs);
