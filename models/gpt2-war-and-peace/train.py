"""Train a small GPT-2 on War and Peace from scratch and export it to ONNX, without and with past_key_values.

    python models/gpt2-war-and-peace/train.py --data war-and-peace --output models/gpt2-war-and-peace

The data is a folder with the plain texts wap.train.txt, wap.valid.txt and wap.test.txt. They hold the lines
of the book, dealt out at random but in order, so a line of the test text seldom continues the one before it.
"""

from __future__ import annotations

import argparse
import math
import sys
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

# isort: off
import common
import measures
from common import LOG, Arrays
from kneser_ney import KneserNey
from muon import Optimizers

# isort: on

SEED = 21
VOCABULARY = 2048
WIDTH, DEPTH, HEADS = 192, 3, 3
CONTEXT, BATCH = 128, 8
WINDOW = 128
PREFIX = 64
END = "<|endoftext|>"


def make_tokenizer(data: Path, folder: Path) -> GPT2TokenizerFast:
    """Byte-level BPE tokenizer trained on the training text."""
    trained = ByteLevelBPETokenizer()
    trained.train([str(data / "wap.train.txt")], vocab_size=VOCABULARY, special_tokens=[END])
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    files = {"vocab_file": str(folder / "vocab.json"), "merges_file": str(folder / "merges.txt")}
    special = {"bos_token": END, "eos_token": END, "unk_token": END}
    tokenizer = GPT2TokenizerFast(**files, **special, model_max_length=CONTEXT)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_config(dropout: float, fused: bool = False) -> GPT2Config:
    """Configuration of the network; ``fused`` takes the one-kernel form of the same GELU (faster)."""
    return GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=CONTEXT,
        n_embd=WIDTH,
        n_layer=DEPTH,
        n_head=HEADS,
        activation_function="gelu_pytorch_tanh" if fused else "gelu_new",
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="eager",
    )


def tokens_of(tokenizer: GPT2TokenizerFast, path: Path) -> np.ndarray:
    """Token numbers of a whole text file."""
    encoded = tokenizer.backend_tokenizer.encode(path.read_text(encoding="utf-8"))
    return np.array(encoded.ids, dtype=np.int64)


def windows(tokens: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Consecutive windows of a text and the next token of each position."""
    count = (len(tokens) - 1) // length
    used = count * length
    return tokens[:used].reshape(count, length), tokens[1 : used + 1].reshape(count, length)


def dealt(tokens: np.ndarray, newline: int, seed: int, groups: int = 5) -> np.ndarray:
    """Deal the lines of a text out to ``groups`` at random and join these, each in the order of the text.

    A group of the training text (70 % of the book) has about as wide gaps as the test text (15 %) has.
    """
    lines = np.split(tokens, np.flatnonzero(tokens == newline) + 1)
    group = np.random.default_rng(seed).integers(groups, size=len(lines))
    return np.concatenate([lines[index] for index in np.argsort(group, kind="stable")])


def model_inputs(inputs: np.ndarray, past: int = 0) -> Arrays:
    """The arrays that the exported model takes, without the past."""
    count, length = inputs.shape
    positions = np.broadcast_to(np.arange(past, past + length, dtype=np.int64), (count, length))
    mask = np.ones((count, past + length), dtype=np.int64)
    return {"input_ids": inputs, "attention_mask": mask, "position_ids": np.ascontiguousarray(positions)}


@torch.inference_mode()
def measure(model: GPT2LMHeadModel, tokens: np.ndarray) -> float:
    """Perplexity over consecutive windows of ``WINDOW`` tokens."""
    model.eval()
    inputs, labels = (torch.from_numpy(part) for part in windows(tokens, WINDOW))
    total = 0.0
    for start in range(0, len(inputs), 32):
        logits = model(inputs[start : start + 32]).logits
        target = labels[start : start + 32].flatten()
        total += nn.functional.cross_entropy(logits.flatten(0, 1), target, reduction="sum").item()
    model.train()
    return math.exp(total / labels.numel())


def train(texts: dict[str, np.ndarray], newline: int, args: argparse.Namespace) -> GPT2LMHeadModel:
    """Train for the budget, resuming from the checkpoint if there is one; return the averaged weights."""
    model = GPT2LMHeadModel(make_config(args.dropout, fused=True))
    per_epoch = len(texts["train"]) // (BATCH * CONTEXT)
    optimizers = Optimizers(
        model,
        muon={"lr": 0.01, "weight_decay": 0.1, "transposed": True},
        adam={"lr": 2e-3, "betas": (0.9, 0.98), "weight_decay": 0.1},
    )
    ema = common.Ema(model, 0.998)
    budget = common.Budget(args.epochs * per_epoch, args.minutes)
    checkpoint = args.work / "checkpoint.pt"
    if common.load_checkpoint(checkpoint, model, optimizers, ema, budget):
        LOG.info("resumed at step %d", budget.step)
    averaged = GPT2LMHeadModel(make_config(0.0))
    span = torch.arange(CONTEXT + 1)
    model.train()
    while budget.progress < 1 and not args.export_only:
        losses = []
        text = torch.from_numpy(dealt(texts["train"], newline, SEED + budget.step))
        for _ in range(per_epoch):
            starts = torch.randint(0, len(text) - CONTEXT, (BATCH, 1))
            rows = text[starts + span]
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(rows[:, :-1], use_cache=False).logits
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
            loss.backward()
            optimizers.step(common.rate_factor(budget.progress, hold=0.2))
            ema.update(model)
            losses.append(loss.item())
            budget.advance()
            if budget.progress >= 1:
                break
        averaged.load_state_dict(ema.shadow)
        measured = measure(averaged, texts["valid"][:20000])
        template = "step %d, %.0f s, progress %.3f: training perplexity %.2f, validation perplexity %.2f"
        LOG.info(template, budget.step, budget.spent, budget.progress, math.exp(np.mean(losses)), measured)
        common.save_checkpoint(checkpoint, model, optimizers, ema, budget)
    averaged.load_state_dict(ema.shadow)
    return averaged


def with_empty_past(arrays: Arrays) -> Arrays:
    """The inputs of the export with past that reads a text from its beginning, whose first token is unlike all others.

    The keys and values that later steps find in the cache are among those that are computed then.
    """
    empty = np.zeros((len(arrays["input_ids"]), HEADS, 0, WIDTH // HEADS), np.float32)
    return arrays | {f"past_key_values.{index}.{part}": empty for index in range(DEPTH) for part in ("key", "value")}


@torch.inference_mode()
def with_past(model: GPT2LMHeadModel, tokens: np.ndarray, count: int, new: int) -> Arrays:
    """Inputs and labels of the export with past: keys and values of random prefixes, then new tokens.

    Keys and values are rounded to 8 significant bits so that the file stays small.
    """
    starts = np.random.default_rng(SEED).choice(len(tokens) - PREFIX - new - 1, count, replace=False)
    rows = tokens[starts[:, None] + np.arange(PREFIX + new + 1)]
    arrays = model_inputs(rows[:, PREFIX:-1], past=PREFIX)
    cache = model(torch.from_numpy(rows[:, :PREFIX]), use_cache=True).past_key_values
    for index in range(DEPTH):
        keys, values = cache[index][:2]
        arrays[f"past_key_values.{index}.key"] = keys.bfloat16().float().numpy()
        arrays[f"past_key_values.{index}.value"] = values.bfloat16().float().numpy()
    arrays["labels"] = rows[:, PREFIX + 1 :]
    return arrays


def check(path: Path, arrays: Arrays, name: str) -> None:
    """Log the perplexity of an exported model on a sample."""
    logits = measures.run_onnx(path, arrays, batch=16)
    labels = arrays["labels"]
    LOG.info("%s: perplexity %.3f of %d tokens", name, measures.perplexity(logits, labels), labels.size)


def export(model: GPT2LMHeadModel, texts: dict[str, np.ndarray], args: argparse.Namespace) -> None:
    """Export twice, write the samples and log the perplexities."""
    saved = args.work / "model"
    model.eval().save_pretrained(saved)
    common.copy_files(args.work / "tokenizer", saved, common.TOKENIZER_FILES)
    common.export_onnx(saved, args.output, "text-generation")
    past = args.output / "with-past"
    common.export_onnx(saved, past, "text-generation-with-past")
    generator = np.random.default_rng(SEED)
    inputs, _ = windows(texts["train"], WINDOW)
    chosen = np.sort(generator.choice(len(inputs), 64, replace=False))
    calibration = model_inputs(inputs[chosen])
    common.write_npz(args.output / "calibration.npz", calibration)
    common.write_npz(past / "calibration.npz", with_empty_past(calibration))
    inputs, labels = windows(texts["test"], WINDOW)
    sample = {**model_inputs(inputs), "labels": labels}
    common.write_npz(args.output / "test.npz", sample)
    sample_past = with_past(model, texts["test"], 32, CONTEXT - PREFIX)
    common.write_npz(past / "test.npz", sample_past)
    LOG.info("torch on the test text: perplexity %.3f", measure(model, texts["test"]))
    check(args.output / "model.onnx", sample, "test.npz")
    check(past / "model.onnx", sample_past, "with-past/test.npz")
    ids = torch.from_numpy(inputs[:128])
    measures.log_extremes(measures.activation_extremes(model, lambda: model(ids)))


def baseline(texts: dict[str, np.ndarray], newline: int) -> None:
    """Log the perplexity of n-gram models on the same test tokens; they see across window borders."""
    given = {"as it is": texts["train"], "lines dealt out": dealt(texts["train"], newline, SEED)}
    tokens = texts["test"][: windows(texts["test"], WINDOW)[1].size + 1].tolist()
    for order, kind in product((3, 4, 5), given):
        model = KneserNey(given[kind].tolist(), order, VOCABULARY)
        LOG.info("Kneser-Ney %d-gram, text %s: perplexity %.3f", order, kind, model.perplexity(tokens))


def main() -> None:
    """Command line."""
    parser = common.recipe_parser(__doc__, data="folder of the three texts", work="work-gpt2", epochs=19)
    parser.add_argument("--minutes", type=float, help="schedule by wall-clock time instead of epochs")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    parser.add_argument("--baseline", action="store_true", help="only measure the n-gram baseline")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    common.setup(SEED, args.threads)
    tokenizer = make_tokenizer(args.data, args.work / "tokenizer")
    texts = {part: tokens_of(tokenizer, args.data / f"wap.{part}.txt") for part in ("train", "valid", "test")}
    newline = int(tokenizer.backend_tokenizer.token_to_id("Ċ"))
    LOG.info("tokens: %s", {part: len(tokens) for part, tokens in texts.items()})
    if args.baseline:
        baseline(texts, newline)
        return
    export(train(texts, newline, args), texts, args)


if __name__ == "__main__":
    main()
