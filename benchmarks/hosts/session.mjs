// SPDX-License-Identifier: Apache-2.0
// Seconds that a session takes to create and to run, the median, and the float32 outputs of the last run, in a stock
// JavaScript runtime. In a page this module
// is imported; in Node.js, where the seconds are those of the processor, it is the program:
//
//     node session.mjs ROOT MODEL FEEDS RUNS
//
// ROOT is the folder with node_modules; FEEDS a JSON file [{"name", "type", "shape", "data"}, ...].

const OUTPUT_ELEMENTS = 10000; // outputs of more elements are not returned
const WARM_UP = 3; // runs that do not count: a browser still compiles
const ARRAYS = { float32: Float32Array, int64: BigInt64Array };

const NODE = typeof process !== "undefined";
const milliseconds = NODE
  ? () => Object.values(process.cpuUsage()).reduce((sum, part) => sum + part) / 1000
  : () => performance.now();

export async function timed(ort, create, feeds, runs) {
  const inputs = {};
  for (const { name, type, shape, data } of feeds) {
    inputs[name] = new ort.Tensor(type, ARRAYS[type].from(type === "int64" ? data.map(BigInt) : data), shape);
  }
  let start = milliseconds();
  const session = await create();
  const creation = milliseconds() - start;
  for (let run = 0; run < WARM_UP; run++) await session.run(inputs);
  const durations = [];
  const outputs = {};
  for (let run = 0; run < runs; run++) {
    start = milliseconds();
    const results = await session.run(inputs);
    durations.push(milliseconds() - start);
    for (const [name, { type, data }] of Object.entries(results)) {
      if (type === "float32" && data.length <= OUTPUT_ELEMENTS) outputs[name] = Array.from(data);
    }
  }
  durations.sort((a, b) => a - b);
  return { create: creation / 1000, run: durations[runs >> 1] / 1000, outputs };
}

export const OPTIONS = { intraOpNumThreads: 1, logSeverityLevel: 3 };

if (NODE) {
  const { createRequire } = await import("node:module");
  const { readFileSync } = await import("node:fs");
  const [root, model, feeds, runs] = process.argv.slice(2);
  const ort = createRequire(`${root}/package.json`)("onnxruntime-node");
  const create = () => ort.InferenceSession.create(model, { ...OPTIONS, executionProviders: ["cpu"] });
  console.log(JSON.stringify(await timed(ort, create, JSON.parse(readFileSync(feeds)), Number(runs))));
}
