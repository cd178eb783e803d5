// SPDX-License-Identifier: Apache-2.0
// Keeps the sessions of files of one network and answers with each of them, off the page's thread.
//
// Takes  { folder, image, which, threads }       first: where the network lies, what it takes, names of its files
//        { id, text } or { id, pixels, width, height }    an input
// Posts  { state: "loading", which, loaded, total }       bytes
//        { state: "creating", which }, { state: "created", which, seconds }, { state: "ready", processor }
//        { state: "answer", id, which, classes, milliseconds, counts }    one for each file, then { state: "done", id }
//        { state: "error", message }

import { Tokenizer } from "./node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs";
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { feedsOfIds, feedsOfPixels, idsOf, longest, probabilities } from "./inputs.js";
import { countsOf } from "./spikes.js";

const sessions = {};
let feedsOf, labels;

async function bytesOf(address, progress) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get("Content-Length"));
  const bytes = new Uint8Array(total);
  let loaded = 0;
  for (const reader = response.body.getReader(); ; progress(loaded, total)) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes.set(value, loaded);
    loaded += value.length;
  }
}

const json = async (address) => (await fetch(address)).json();

async function create(which, folder) {
  const bytes = await bytesOf(`${folder}/${which}.onnx`, (loaded, total) =>
    postMessage({ state: "loading", which, loaded, total }),
  );
  postMessage({ state: "creating", which });
  const start = performance.now();
  sessions[which] = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], logSeverityLevel: 3 });
  postMessage({ state: "created", which, seconds: (performance.now() - start) / 1000 });
}

async function open({ folder, image, which, threads }) {
  ort.env.wasm.numThreads = threads;
  const config = await json(`${folder}/config.json`);
  labels = config.id2label ?? {};
  let processor;
  if (image) {
    processor = await json(`${folder}/preprocessor_config.json`);
    feedsOf = ({ pixels, width, height }, names) => feedsOfPixels(ort, pixels, width, height, processor, names);
  } else {
    const [file, settings] = await Promise.all(
      ["tokenizer", "tokenizer_config"].map((n) => json(`${folder}/${n}.json`)),
    );
    const tokenizer = new Tokenizer(file, settings);
    feedsOf = ({ text }, names) => feedsOfIds(ort, idsOf(tokenizer, text, longest(file, settings)), names);
  }
  for (const name of which) await create(name, folder);
  postMessage({ state: "ready", processor });
}

async function answer(input) {
  for (const [which, session] of Object.entries(sessions)) {
    const feeds = feedsOf(input, session.inputNames);
    const start = performance.now();
    const outputs = await session.run(feeds);
    const milliseconds = performance.now() - start;
    const classes = probabilities(outputs[session.outputNames[0]].data, labels);
    postMessage({ state: "answer", id: input.id, which, classes, milliseconds, counts: countsOf(outputs) });
  }
  postMessage({ state: "done", id: input.id });
}

addEventListener("message", async ({ data }) => {
  try {
    await (data.folder ? open(data) : answer(data));
  } catch (error) {
    postMessage({ state: "error", message: String(error.message ?? error) });
  }
});
