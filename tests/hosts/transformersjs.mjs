// SPDX-License-Identifier: Apache-2.0
// Classifies texts by a folder through transformers.js: node transformersjs.mjs FOLDER TEXT ...; prints [[label, score], ...].
import path from 'node:path';

import { env, pipeline } from '@huggingface/transformers';

const [folder, ...texts] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = path.dirname(path.resolve(folder));
const classify = await pipeline('text-classification', path.basename(folder), { dtype: 'fp32' });
const answers = await classify(texts);
console.log(JSON.stringify(answers.map(({ label, score }) => [label, score])));
