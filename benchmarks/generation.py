# SPDX-License-Identifier: Apache-2.0
"""Greedy text generation by converted networks beside their originals; writes docs/measurements/generation.md.

    python benchmarks/generation.py
    python benchmarks/generation.py --settings 8 --prompts 10 --tokens 60 --output build/generation.md

Both networks continue the same prompts from the test text of models/gpt2-war-and-peace, each with its own cache of
keys and values, and each on its own tokens: after they part they need not agree again. Where the positions of the
network are used up, the last half of them is read anew and the rest forgotten.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import onnx_snn
from onnx_snn.config.convert_config import GENERATING_MAX_ERROR
from onnx_snn.formatting import table

MODEL = Path("models/gpt2-war-and-peace/with-past")
PROMPTS = MODEL.parent / "test.npz"
SETTINGS: dict[str, dict[str, Any]] = {
    "16": {"timesteps": 16},
    "8": {"timesteps": 8},
    "8, fast": {"timesteps": 8, "fast": True},
    "4": {"timesteps": 4},
}
"""Options of the compared conversions, by their labels on the page."""

HORIZONS = (50, 100, 200)
"""Lengths of continuations, in tokens, for which the share of equal continuations is reported."""

HEADER = ("T", *(f"equal up to {horizon}" for horizon in HORIZONS), "first tokens", "median gap", "largest gap")
PARTED_HEADER = ("T", "prompt", "token", "original", "its p", "spiking", "its p", "gap")

Tokens = NDArray[np.int64]


class Continuation(NamedTuple):
    """A continuation by greedy decoding.

    Attributes:
        tokens: int64 [tokens], the generated tokens.
        logits: float32 [tokens, vocabulary], the logits whose argmax each token is.
    """

    tokens: Tokens
    logits: NDArray[np.float32]


class Parting(NamedTuple):
    """The first position at which two continuations differ, with the original's probabilities of both tokens there."""

    setting: str
    prompt: int
    position: int
    tokens: tuple[int, int]
    probabilities: tuple[float, float]


class Generator:
    """Greedy decoding with a cache of keys and values, one text at a time."""

    def __init__(self, file: Path, positions: int) -> None:
        options = onnx_snn.session_options(quiet=True)
        self._session = onnx_snn.session(file, session_options=options)
        self._positions = positions
        self._outputs = [value.name for value in self._session.get_outputs()]
        self._empty = {
            value.name: np.zeros([size if isinstance(size, int) else 0 for size in (1, *value.shape[1:])], np.float32)
            for value in self._session.get_inputs()
            if value.name.startswith("past_key_values")
        }

    def __call__(self, prompt: Tokens, count: int) -> Continuation:
        """`count` tokens after `prompt` int64 [length]."""
        text = [int(token) for token in prompt]
        logits: list[NDArray[np.float32]] = []
        unread, start, cache = text[:], 0, self._empty
        for _ in range(count):
            if start + len(unread) > self._positions:
                unread, start, cache = text[-self._positions // 2 :], 0, self._empty
            last, cache = self._read(unread, start, cache)
            start += len(unread)
            unread = [int(last.argmax())]
            text += unread
            logits.append(last)
        return Continuation(np.array(text[len(prompt) :], np.int64), np.stack(logits))

    def _read(self, tokens: list[int], start: int, cache: dict[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Logits after the last of `tokens`, and the cache with them."""
        length = start + len(tokens)
        feed = {
            "input_ids": np.array([tokens], np.int64),
            "attention_mask": np.ones((1, length), np.int64),
            "position_ids": np.arange(start, length, dtype=np.int64)[None],
        }
        results = dict(zip(self._outputs, self._session.run(None, feed | cache), strict=True))
        past = {name: results[name.replace("past_key_values", "present")] for name in self._empty}
        return results["logits"][0, -1], past


def parting(setting: str, prompt: int, ann: Continuation, snn: Continuation) -> Parting | None:
    """The first difference of the two continuations; None if they are equal."""
    different = np.flatnonzero(ann.tokens != snn.tokens)
    if different.size == 0:
        return None
    position = int(different[0])
    probabilities = softmax(ann.logits[position])
    chosen = int(ann.tokens[position]), int(snn.tokens[position])
    first, second = (float(probabilities[token]) for token in chosen)
    return Parting(setting, prompt, position, chosen, (first, second))


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Continue all prompts in each setting."""
    config = json.loads((MODEL / "config.json").read_text())
    with np.load(PROMPTS) as archive:
        texts = archive["input_ids"]
    prompts = texts[np.linspace(0, len(texts) - 1, options.prompts).astype(int), : options.prompt_length]
    original = Generator(MODEL / "model.onnx", config["n_positions"])
    expected = [original(prompt, options.tokens) for prompt in prompts]
    results: dict[str, Any] = {"tokens": options.tokens, "prompts": len(prompts), "partings": [], "first": {}}
    for setting in options.settings:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "model.onnx")
            onnx_snn.convert(MODEL / "model.onnx", file, MODEL / "calibration.npz", **SETTINGS[setting])
            spiking = Generator(file, config["n_positions"])
            found = [spiking(prompt, options.tokens) for prompt in prompts]
        for index, (ann, snn) in enumerate(zip(expected, found, strict=True)):
            where = parting(setting, index, ann, snn)
            results["partings"] += [] if where is None else [where._asdict()]
        firsts = [ann.tokens[0] == snn.tokens[0] for ann, snn in zip(expected, found, strict=True)]
        results["first"][setting] = float(np.mean(firsts))
    return results


def page(results: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    partings, count = results["partings"], results["prompts"]
    rows = []
    for setting, first in results["first"].items():
        here = [parting for parting in partings if parting["setting"] == setting]
        positions = [parting["position"] for parting in here]
        gaps = [gap(parting) for parting in here]
        middle_and_largest = (f"{np.median(gaps):.1e}", f"{max(gaps):.1e}") if gaps else ("", "")
        shares = [1 - sum(position < horizon for position in positions) / count for horizon in HORIZONS]
        reached = [horizon <= results["tokens"] for horizon in HORIZONS]
        cells = [f"{share:.1%}" * within for share, within in zip(shares, reached, strict=True)]
        rows.append((setting, *cells, f"{first:.0%}", *middle_and_largest))
    early = [parting for parting in partings if parting["position"] < HORIZONS[0]]
    return (
        "# Greedy text generation\n\n"
        f"Written by `python benchmarks/generation.py`; do not edit. Share of {count} prompts whose continuation by\n"
        "the converted network, scope full, equals that of the original up to a token. The gap is the difference of\n"
        "the probabilities that the original network gives, where the two part, to its own token and to the one that\n"
        "the spiking network chose. The error budget is the default for networks with a key/value cache, "
        f"{GENERATING_MAX_ERROR:.2%};\n"
        "fast: neurons by rule (`--fast`).\n\n"
        f"```text\n{table(HEADER, rows)}\n```\n\n"
        f"## Where they part within the first {HORIZONS[0]} tokens\n\n"
        "Tokens are counted from 0; all partings are in the JSON file beside this page.\n\n"
        f"```text\n{table(PARTED_HEADER, map(_cells, early))}\n```\n"
    )


def _cells(parting: dict[str, Any]) -> tuple[str, ...]:
    (ann, snn), (first, second) = parting["tokens"], parting["probabilities"]
    head = (parting["setting"], str(parting["prompt"]), str(parting["position"]))
    return (*head, str(ann), f"{first:.4f}", str(snn), f"{second:.4f}", f"{gap(parting):.1e}")


def gap(parting: dict[str, Any]) -> float:
    """How much more likely the original network finds its own token than the other one."""
    first, second = parting["probabilities"]
    return float(first - second)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--prompt-length", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/generation.md"))
    options = parser.parse_args(arguments)
    results = measure(options)
    options.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.output.write_text(page(results))
    print(options.output.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
