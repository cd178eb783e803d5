"""Train a small RoBERTa for movie-review polarity from scratch and export it to ONNX.

    python models/roberta-mr/train.py --data sentiment --output models/roberta-mr

The data is a folder with sentence_polarity.zip (MR) and subjectivity.zip (Subj). Masked-language
pre-training on the training sentences of MR and on Subj comes first, then fine-tuning on MR. Every sentence
of the validation and test splits is kept out of both (Subj and MR share several thousand sentences).
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from transformers import (
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaTokenizerFast,
)

# isort: off
import common
import measures
from common import LOG, Arrays
from muon import Optimizers

# isort: on

SEED = 22
VOCABULARY = 5000
WIDTH, DEPTH, HEADS = 192, 4, 3
LONGEST = 128
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
START, PAD, END, MASK = 0, 1, 2, 4
Labelled = list[tuple[str, int]]


def lines(archive: Path, name: str) -> list[str]:
    """Lines of a member of a zip file."""
    with zipfile.ZipFile(archive) as opened:
        text = opened.read(name).decode("utf-8")
    return [line.strip() for line in text.split("\n") if line.strip()]


def polarity_splits(data: Path) -> dict[str, Labelled]:
    """MR as stratified train (85 %), valid (5 %) and test (10 %) splits; label 1 is positive."""
    generator = np.random.default_rng(SEED)
    splits: dict[str, Labelled] = {"train": [], "valid": [], "test": []}
    for label, name in enumerate(("neg", "pos")):
        sentences = lines(data / "sentence_polarity.zip", f"sentence_polarity/rt-polarity.{name}")
        order = generator.permutation(len(sentences))
        test, valid = len(sentences) // 10, len(sentences) // 20
        parts = {"test": order[:test], "valid": order[test : test + valid], "train": order[test + valid :]}
        for part, chosen in parts.items():
            splits[part] += [(sentences[index], label) for index in chosen]
    for rows in splits.values():
        generator.shuffle(rows)
    return splits


def pretraining_text(data: Path, splits: dict[str, Labelled]) -> list[str]:
    """Training sentences of MR and all sentences of Subj that are in neither held-out split."""
    held_out = {sentence for part in ("valid", "test") for sentence, _ in splits[part]}
    text = {sentence: None for sentence, _ in splits["train"]}
    for name in ("plot", "quote"):
        text.update(dict.fromkeys(lines(data / "subjectivity.zip", f"subjectivity/{name}.tok.gt9.5000")))
    return [sentence for sentence in text if sentence not in held_out]


def make_tokenizer(text: list[str], folder: Path) -> RobertaTokenizerFast:
    """Byte-level BPE tokenizer trained on ``text``."""
    trained = ByteLevelBPETokenizer(add_prefix_space=True)
    trained.train_from_iterator(text, vocab_size=VOCABULARY, special_tokens=list(SPECIAL))
    folder.mkdir(parents=True, exist_ok=True)
    trained.save_model(str(folder))
    files = {"vocab_file": str(folder / "vocab.json"), "merges_file": str(folder / "merges.txt")}
    tokenizer = RobertaTokenizerFast(**files, add_prefix_space=True, model_max_length=LONGEST)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_config(dropout: float) -> RobertaConfig:
    """Configuration of the network."""
    return RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        hidden_act="gelu",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=LONGEST + 2,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        num_labels=2,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        attn_implementation="eager",
    )


def pad(rows: list[list[int]], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers and attention mask of sentences, padded to ``length`` or to the longest."""
    length = length or max(len(row) for row in rows)
    ids = torch.full((len(rows), length), PAD)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
    return ids, (ids != PAD).long()


def bucketed(lengths: list[int], size: int) -> Iterator[list[int]]:
    """Batches of indices in random order, each of sentences of similar length."""
    order = torch.randperm(len(lengths)).tolist()
    batches = []
    for start in range(0, len(order), 40 * size):
        pool = sorted(order[start : start + 40 * size], key=lengths.__getitem__)
        batches += [pool[first : first + size] for first in range(0, len(pool), size)]
    for index in torch.randperm(len(batches)).tolist():
        yield batches[index]


def hide(ids: torch.Tensor, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask ``rate`` of the ordinary tokens: 80 % by <mask>, 10 % by a random token, 10 % left; and where."""
    chosen = (torch.rand(ids.shape) < rate) & (ids > MASK)
    draw = torch.rand(ids.shape)
    noise = torch.randint(len(SPECIAL), VOCABULARY, ids.shape)
    hidden = torch.where(chosen & (draw < 0.8), MASK, ids)
    return torch.where(chosen & (draw > 0.9), noise, hidden), chosen


def pretrain(rows: list[list[int]], args: argparse.Namespace) -> RobertaForMaskedLM:
    """Masked-language pre-training, resuming from the checkpoint if there is one."""
    model = RobertaForMaskedLM(make_config(0.1))
    optimizers = Optimizers(
        model,
        muon={"lr": 0.01, "weight_decay": 0.05},
        adam={"lr": 2e-3, "betas": (0.9, 0.98), "weight_decay": 0.05},
    )
    ema = common.Ema(model, 0.998)
    lengths = [len(row) for row in rows]
    budget = common.Budget(args.pretrain_epochs * -(-len(rows) // 64), args.pretrain_minutes)
    checkpoint = args.work / "pretrain.pt"
    common.load_checkpoint(checkpoint, model, optimizers, ema, budget)
    model.train()
    while budget.progress < 1:
        losses = []
        for chosen in bucketed(lengths, 64):
            ids, mask = pad([rows[index] for index in chosen])
            inputs, hidden = hide(ids, 0.2)
            with torch.autocast("cpu", torch.bfloat16):
                states = model.roberta(inputs, attention_mask=mask).last_hidden_state
                logits = model.lm_head(states[hidden])
            loss = nn.functional.cross_entropy(logits.float(), ids[hidden])
            loss.backward()
            optimizers.step(common.rate_factor(budget.progress))
            ema.update(model)
            losses.append(loss.item())
            budget.advance()
            if budget.progress >= 1:
                break
        template = "pre-training step %d, %.0f s, progress %.3f: loss %.4f"
        LOG.info(template, budget.step, budget.spent, budget.progress, np.mean(losses))
        common.save_checkpoint(checkpoint, model, optimizers, ema, budget)
    model.load_state_dict(ema.shadow)
    return model


@torch.inference_mode()
def measure(model: nn.Module, rows: list[list[int]], labels: list[int]) -> float:
    """Accuracy."""
    model.eval()
    right = 0
    for start in range(0, len(rows), 64):
        ids, mask = pad(rows[start : start + 64])
        found = model(ids, attention_mask=mask).logits.argmax(-1)
        right += int((found == torch.tensor(labels[start : start + 64])).sum())
    model.train()
    return right / len(rows)


def finetune(
    pretrained: RobertaForMaskedLM,
    rows: dict[str, list[list[int]]],
    labels: dict[str, list[int]],
    epochs: int,
) -> RobertaForSequenceClassification:
    """Train the classifier with dropout and masked words; return the averaged weights."""
    model = RobertaForSequenceClassification(make_config(0.2))
    missing = model.roberta.load_state_dict(pretrained.roberta.state_dict(), strict=False)
    LOG.info("fine-tuning starts from the pre-trained encoder: %s", missing)
    optimizers = Optimizers(
        model,
        muon={"lr": 0.005, "weight_decay": 0.1},
        adam={"lr": 1e-3, "betas": (0.9, 0.98), "weight_decay": 0.1},
    )
    ema = common.Ema(model, 0.995)
    probe = RobertaForSequenceClassification(make_config(0.0))
    lengths = [len(row) for row in rows["train"]]
    budget = common.Budget(epochs * -(-len(lengths) // 32))
    model.train()
    while budget.progress < 1:
        losses = []
        for chosen in bucketed(lengths, 32):
            ids, mask = pad([rows["train"][index] for index in chosen])
            inputs, _ = hide(ids, 0.15)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(inputs, attention_mask=mask).logits
            target = torch.tensor([labels["train"][index] for index in chosen])
            loss = nn.functional.cross_entropy(logits.float(), target, label_smoothing=0.1)
            loss.backward()
            optimizers.step(common.rate_factor(budget.progress, warmup=0.1))
            ema.update(model)
            losses.append(loss.item())
            budget.advance()
        probe.load_state_dict(ema.shadow)
        held = measure(probe, rows["valid"], labels["valid"])
        template = "fine-tuning step %d: loss %.4f, validation accuracy %.4f"
        LOG.info(template, budget.step, np.mean(losses), held)
    model.load_state_dict(ema.shadow)
    return model


def sample_of(rows: list[list[int]], length: int) -> Arrays:
    """Model inputs of sentences padded to a common length."""
    ids, mask = pad(rows, length)
    return {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}


def export(
    model: RobertaForSequenceClassification,
    rows: dict[str, list[list[int]]],
    labels: dict[str, list[int]],
    args: argparse.Namespace,
) -> None:
    """Save, export, write the samples and log the accuracy of the exported file."""
    saved = args.work / "model"
    model.eval().save_pretrained(saved)
    common.copy_files(args.work / "tokenizer", saved, common.TOKENIZER_FILES)
    common.export_onnx(saved, args.output, "text-classification")
    length = max(len(row) for row in rows["train"][:256] + rows["test"])
    common.write_npz(args.output / "calibration.npz", sample_of(rows["train"][:256], length))
    sample = {**sample_of(rows["test"], length), "labels": np.array(labels["test"], dtype=np.int64)}
    common.write_npz(args.output / "test.npz", sample)
    logits = measures.run_onnx(args.output / "model.onnx", sample)
    ids, mask = pad(rows["test"], length)
    with torch.inference_mode():
        reference = model(ids, attention_mask=mask).logits.numpy()
    LOG.info("largest difference between torch and onnxruntime: %.2e", np.abs(logits - reference).max())
    LOG.info("test.npz: accuracy %.4f", measures.accuracy(logits, sample["labels"]))
    some = {"input_ids": ids[:512], "attention_mask": mask[:512]}
    measures.log_extremes(measures.activation_extremes(model, lambda: model(**some)))


def main() -> None:
    """Command line."""
    parser = common.recipe_parser(__doc__, data="folder of the two zip files", work="work-roberta", epochs=6)
    parser.add_argument("--pretrain-epochs", type=int, default=25)
    parser.add_argument("--pretrain-minutes", type=float, help="schedule by time instead of epochs")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    common.setup(SEED, args.threads)
    splits = polarity_splits(args.data)
    text = pretraining_text(args.data, splits)
    tokenizer = make_tokenizer(text, args.work / "tokenizer")
    corpus = tokenizer(text, truncation=True, max_length=LONGEST)["input_ids"]
    LOG.info("pre-training on %d sentences, %d tokens", len(corpus), sum(len(row) for row in corpus))
    rows = {
        part: tokenizer([sentence for sentence, _ in pairs], truncation=True, max_length=LONGEST)["input_ids"]
        for part, pairs in splits.items()
    }
    labels = {part: [label for _, label in pairs] for part, pairs in splits.items()}
    pretrained = pretrain(corpus, args)
    torch.manual_seed(SEED)
    export(finetune(pretrained, rows, labels, args.epochs), rows, labels, args)


if __name__ == "__main__":
    main()
