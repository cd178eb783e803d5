# SPDX-License-Identifier: Apache-2.0
"""Tiny tokenizers of all kinds, and networks to pack them with."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from onnx_snn.graph.model_writer import save_model

CORPUS = [
    "the quick brown fox jumps over the lazy dog, and the dog does not mind",
    "a gripping and moving film; a dull film is long, too long, far too long",
    "Café naïve Ångström 漢字 かな привет мир 1234567890 ... !? (a) [b] don't",
] * 4

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def save(tokenizer: tokenizers.Tokenizer, folder: Path, **config: Any) -> Path:
    """Write a tokenizer as Transformers does; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"pad_token": "<pad>", "model_max_length": 48, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def byte_level(*, prefix: bool = True) -> tokenizers.Tokenizer:
    """As RoBERTa's with a space before texts, as GPT-2's without."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    if prefix:
        tokenizer.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True)])
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def wordpiece(*, lower: bool = True) -> tokenizers.Tokenizer:
    """As BERT's."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def unigram(scheme: str = "always", *, words: bool = False, normalizer: Any = None) -> tokenizers.Tokenizer:
    """As T5's."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    split = [pre_tokenizers.WhitespaceSplit(), metaspace] if words else [metaspace]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    return tokenizer


def compiled(entries: dict[str, str]) -> bytes:
    """A normalization as SentencePiece compiles it: a double-array trie of the entries, and what they become."""
    texts = b"".join(text.encode() + b"\0" for text in entries.values())
    starts = np.cumsum([0, *(len(text.encode()) + 1 for text in entries.values())]).tolist()
    units = np.zeros(1 << 16, np.uint32)
    bases = iter(range(256, len(units), 256))

    def place(node: int, members: list[tuple[bytes, int]]) -> None:
        ends = [value for key, value in members if not key]
        letters = sorted({key[0] for key, _ in members if key})
        base = next(bases)
        units[node] |= (base ^ node) << 10 | bool(ends) << 8
        if ends:
            units[base] = ends[0] | 1 << 31
        for letter in letters:
            units[base ^ letter] |= letter
            place(base ^ letter, [(key[1:], value) for key, value in members if key[:1] == bytes([letter])])

    place(0, [(key.encode(), start) for key, start in zip(entries, starts[:-1], strict=True)])
    return struct.pack("<I", units.nbytes) + units.tobytes() + texts


def classifier(path: Path, *, inputs: str = "", vocabulary: int = 400, outputs: int = 2) -> Path:
    """A network from `input_ids` and `attention_mask` to logits, with a function and metadata."""
    generator = np.random.default_rng(0)
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17, "own" : 1], metadata_props: ["made": "here"]>
        net (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask {inputs})
            => (float[batch, {outputs}] logits) {{
            vectors = Gather (table, input_ids)
            kept = Cast <to: int = 1> (attention_mask)
            axis = Constant <value_ints: ints = [-1]> ()
            weights = Unsqueeze (kept, axis)
            masked = own.Scaled (vectors, weights)
            middle = Constant <value_ints: ints = [1]> ()
            summed = ReduceSum <keepdims: int = 0> (masked, middle)
            logits = MatMul (summed, matrix)
        }}
        <domain: "own", opset_import: ["" : 17]> Scaled (x, y) => (z) {{ z = Mul (x, y) }}"""
    )
    table = generator.normal(size=(vocabulary, 400)).astype(np.float32)
    matrix = generator.normal(size=(400, outputs)).astype(np.float32)
    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in (("table", table), ("matrix", matrix))
    )
    onnx.save(model, path)
    return path


def decoder(path: Path, vocabulary: int = 400) -> Path:
    """A network from ids and positions to the logits of the next token."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        net (int64[batch, sequence] input_ids, int32[batch, sequence] position_ids)
            => (float[batch, sequence, {vocabulary}] logits) {{
            vectors = Gather (table, input_ids)
            places = Gather (table, position_ids)
            logits = Add (vectors, places)
        }}"""
    )
    table = np.random.default_rng(0).normal(size=(vocabulary, vocabulary)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    onnx.save(model, path)
    return path


def external(path: Path, source: Path) -> Path:
    """The model of `source` with its weights in a file of their own."""
    save_model(ir.load(source), path, external_data=True)
    return path
