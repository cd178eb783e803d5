// SPDX-License-Identifier: Apache-2.0
// What networks take, made of texts and pixels as their folders say, and what their outputs mean. Nothing here needs a
// page: ../node uses it too.

/**
 * Ids of a text, with the special tokens around them that the tokenizer puts there, cut off on the right.
 *
 * @param tokenizer Tokenizer of @huggingface/tokenizers.
 * @param length ids that the network takes at most.
 */
export function idsOf(tokenizer, text, length) {
  const { ids } = tokenizer.encode(text);
  if (ids.length <= length) return ids;
  const words = tokenizer.encode(text, { add_special_tokens: false }).ids;
  const special = ids.length - words.length;
  const before = ids.findIndex((_, start) => words.every((id, i) => ids[start + i] === id));
  return [...ids.slice(0, before), ...words.slice(0, length - special), ...ids.slice(before + words.length)];
}

/** Ids that a network takes at most, from tokenizer.json and tokenizer_config.json. */
export const longest = (tokenizer, config) => tokenizer.truncation?.max_length ?? config.model_max_length ?? Infinity;

/** Inputs of a network of texts, those that it has: `names`. */
export function feedsOfIds(ort, ids, names) {
  const values = { input_ids: ids, attention_mask: ids.map(() => 1), token_type_ids: ids.map(() => 0) };
  const tensor = (name) => new ort.Tensor("int64", BigInt64Array.from(values[name], BigInt), [1, ids.length]);
  return Object.fromEntries(names.map((name) => [name, tensor(name)]));
}

/**
 * Input of a network of images.
 *
 * @param rgba bytes of interleaved red, green, blue and opacity, rows from the top.
 * @param processor preprocessor_config.json: (value * rescale_factor - mean) / deviation of each channel.
 */
export function feedsOfPixels(ort, rgba, width, height, processor, [name]) {
  const area = width * height;
  const { rescale_factor: factor, image_mean: mean, image_std: deviation } = processor;
  const value = (_, i) => {
    const channel = Math.floor(i / area);
    const level = Math.fround(rgba[(i % area) * 4 + channel] * (processor.do_rescale === false ? 1 : factor));
    return processor.do_normalize === false ? level : Math.fround(level - mean[channel]) / deviation[channel];
  };
  return { [name]: new ort.Tensor("float32", Float32Array.from({ length: 3 * area }, value), [1, 3, height, width]) };
}

/** Classes with their probabilities, in the order of the network. */
export function probabilities(logits, labels) {
  const largest = Math.max(...logits);
  const shares = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = shares.reduce((sum, share) => sum + share);
  return shares.map((share, index) => ({ label: labels[index] ?? String(index), probability: share / total }));
}
