// SPDX-License-Identifier: Apache-2.0
// Classify a text with a spiking network in Node.js:
//
//     npm install --ignore-scripts
//     node classify_text.mjs sentiment-snn.onnx MODEL "a gripping film"
//
// MODEL: the folder of the original, with tokenizer.json, tokenizer_config.json and config.json.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-node";
import { feedsOfIds, idsOf, longest, probabilities } from "../web/inputs.js";

const [model, folder, text] = process.argv.slice(2);
const [file, settings, config] = ["tokenizer", "tokenizer_config", "config"].map((name) =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")),
);
const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
const ids = idsOf(new Tokenizer(file, settings), text, longest(file, settings));
const outputs = await session.run(feedsOfIds(ort, ids, session.inputNames));
const classes = probabilities(outputs[session.outputNames[0]].data, config.id2label ?? {});
for (const { label, probability } of classes.sort((a, b) => b.probability - a.probability)) {
  console.log(`${label}\t${probability.toFixed(6)}`);
}
