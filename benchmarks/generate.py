# SPDX-License-Identifier: Apache-2.0
"""Text generation by several programs from the same files; writes docs/measurements/generate.md.

    python benchmarks/generate.py
    python benchmarks/generate.py --prompts 4 --tokens 16 --genai build/llama-fp32 build/llama-int4 --output build/g.md

`onnx_snn.generate`, Optimum's ORTModelForCausalLM and onnxruntime-genai continue the same prompts greedily, by
models/gpt2-war-and-peace with its cache and by its conversion, and by decoders that onnxruntime-genai's model builder
wrote (benchmarks/genai_decoder.py makes some). The prompts are the first tokens of test texts. Tokens per second are
those of `onnx_snn.generate`, original and spiking network taking turns, prompt by prompt and in one batch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from measurement import describe_machine, machine_in_words, on_passive_threads

import onnx_snn
from onnx_snn.formatting import table

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "gpt2-war-and-peace" / "with-past"
TEXTS = MODEL.parent / "test.npz"
CONVERSION: dict[str, Any] = {"timesteps": 8, "progress": False}

PROGRAMS = ("onnxruntime", "optimum-onnx", "onnxruntime-genai")
BAR = 0.85
"""Least tokens per second of a spiking network, over those of its original."""

Rows = list[list[int]]
Program = Callable[[Path, Rows, int], Rows]
"""Continues prompts by the decoder in a folder, each by a number of tokens."""


def by_onnx_snn(folder: Path, prompts: Rows, count: int) -> Rows:
    """Tokens by onnx_snn, one prompt after the other."""
    generator = onnx_snn.TextGenerator(folder, session_options=onnx_snn.session_options(quiet=True))
    options = onnx_snn.GenerationOptions(count, stop_tokens=())
    return [list(generator.generate(prompt, options).tokens[0]) for prompt in prompts]


def by_onnx_snn_together(folder: Path, prompts: Rows, count: int) -> Rows:
    """Tokens by onnx_snn, all prompts in one batch."""
    result = onnx_snn.generate(folder, prompts, max_new_tokens=count, stop_tokens=())
    return [list(tokens) for tokens in result.tokens]


def by_optimum(folder: Path, prompts: Rows, count: int) -> Rows:
    """Tokens by Optimum with Transformers."""
    import torch
    from optimum.onnxruntime import ORTModelForCausalLM

    model = ORTModelForCausalLM.from_pretrained(folder, session_options=onnx_snn.session_options(quiet=True))
    options = {"do_sample": False, "min_new_tokens": None, "max_new_tokens": count, "pad_token_id": 0}
    model.generation_config.eos_token_id = None
    found = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        found.append(model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)[0].tolist())
    return [text[len(prompt) :] for text, prompt in zip(found, prompts, strict=True)]


def by_genai(folder: Path, prompts: Rows, count: int) -> Rows:
    """Tokens by onnxruntime-genai; it ends a text at its end token, which it leaves out."""
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(folder))
    found = []
    for prompt in prompts:
        parameters = onnxruntime_genai.GeneratorParams(model)
        parameters.set_search_options(max_length=len(prompt) + count, do_sample=False)
        generator = onnxruntime_genai.Generator(model, parameters)
        generator.append_tokens(np.array(prompt, np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        found.append(np.asarray(generator.get_sequence(0)).tolist()[len(prompt) :])
    return found


def agreement(expected: Rows, found: Rows, end: int) -> int:
    """Number of texts with the same tokens, up to the end token `end`."""

    def cut(tokens: list[int]) -> list[int]:
        return tokens[: tokens.index(end)] if end in tokens else tokens

    return sum(cut(one) == cut(other) for one, other in zip(expected, found, strict=True))


def genai_config(config: dict[str, Any]) -> dict[str, Any]:
    """What onnxruntime-genai needs to know of a GPT-2 that Optimum exported, from its config.json."""
    caches = {f"{time}_{part}_names": f"{name}.%d.{part}" for time, name in CACHES.items() for part in ("key", "value")}
    inputs = {name: name for name in ("input_ids", "attention_mask", "position_ids")}
    decoder = {
        "filename": "model.onnx",
        "head_size": config["n_embd"] // config["n_head"],
        "hidden_size": config["n_embd"],
        "num_attention_heads": config["n_head"],
        "num_key_value_heads": config["n_head"],
        "num_hidden_layers": config["n_layer"],
        "session_options": {"provider_options": []},
        "inputs": inputs | {name: value for name, value in caches.items() if name.startswith("past")},
        "outputs": {"logits": "logits"} | {name: value for name, value in caches.items() if name.startswith("present")},
    }
    special = {name: config[name] for name in ("bos_token_id", "eos_token_id", "vocab_size")}
    model = {"type": "llama", "context_length": config["n_positions"], "pad_token_id": 0, **special, "decoder": decoder}
    return {"model": model, "search": {"max_length": config["n_positions"], "past_present_share_buffer": False}}


CACHES = {"past": "past_key_values", "present": "present"}
"""Beginnings of the names of the cache in onnxruntime-genai's configuration and in the network."""


def rates(original: Path, spiking: Path, prompts: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """Tokens per second of both networks, taking turns prompt by prompt, and of all prompts in a batch."""
    generators = [
        onnx_snn.TextGenerator(
            folder, session_options=on_passive_threads(onnx_snn.session_options(quiet=True), options.threads)
        )
        for folder in (original, spiking)
    ]
    chosen = onnx_snn.GenerationOptions(options.tokens, stop_tokens=())
    for generator in generators:
        generator.generate(prompts[0], chosen)
    alone = [[generator.generate(prompt, chosen) for generator in generators] for prompt in prompts]
    together = [[generator.generate(prompts, chosen) for generator in generators] for _ in range(options.rounds)]
    found = {}
    for name, runs in (("one prompt", alone), ("batch", together)):
        speeds = [[run.rate for run in pair] for pair in runs]
        found[name] = {
            "original": statistics.median(first for first, _ in speeds),
            "spiking": statistics.median(second for _, second in speeds),
            "ratio": statistics.median(second / first for first, second in speeds),
        }
    return found


def measure_network(original: Path, data: Path, prompts: Rows, options: argparse.Namespace) -> dict[str, Any]:
    """Convert the decoder in a folder, and continue the prompts by every program from both folders."""
    programs: dict[str, Program] = {"onnx_snn in a batch": by_onnx_snn_together}
    if (original / "config.json").exists():
        programs["ORTModelForCausalLM"] = by_optimum
    if find_spec("onnxruntime_genai"):
        programs["onnxruntime-genai"] = by_genai
    with tempfile.TemporaryDirectory() as scratch:
        spiking = Path(scratch, "spiking")
        onnx_snn.convert(original, spiking, data, **CONVERSION)
        end = onnx_snn.TextGenerator(original).settings.pad
        result: dict[str, Any] = {"name": original.name, "prompts": len(prompts), "tokens": options.tokens, "equal": {}}
        own = {
            kind: by_onnx_snn(folder, prompts, options.tokens)
            for kind, folder in (("original", original), ("spiking", spiking))
        }
        for program, run in programs.items():
            result["equal"][program] = {
                kind: agreement(own[kind], run(folder, prompts, options.tokens), end)
                for kind, folder in (("original", original), ("spiking", spiking))
            }
        result["as original"] = agreement(own["original"], own["spiking"], end)
        result["distinct"] = len({tuple(row) for row in own["spiking"]})
        result["rates"] = rates(original, spiking, prompts, options)
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All networks."""
    with np.load(TEXTS) as archive:
        texts = archive["input_ids"]
    chosen = texts[np.linspace(0, len(texts) - 1, options.prompts).astype(int)]
    # Prompts of different lengths, so that a batch has padding.
    prompts = [row[: options.prompt_length + index % 4].tolist() for index, row in enumerate(chosen)]
    results: dict[str, Any] = {"machine": describe_machine(), "threads": options.threads, "networks": []}
    results["versions"] = {name: _version(name) for name in PROGRAMS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "gpt2-war-and-peace")
        shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.npz"))
        config = genai_config(json.loads((MODEL / "config.json").read_text()))
        (folder / "genai_config.json").write_text(json.dumps(config))
        data = MODEL / "calibration.npz"
        results["networks"].append(measure_network(folder, data, prompts, options))
        data = Path(scratch, "texts.txt")
        tokenizer = onnx_snn.TextGenerator(MODEL).tokenizer
        data.write_text("\n".join(" ".join(tokenizer.text(row[:32]).split()) for row in texts[::40].tolist()))
        for folder in options.genai:
            results["networks"].append(measure_network(folder, data, prompts, options))
    return results


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def page(results: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    equal_rows, rate_rows = [], []
    for network in results["networks"]:
        for program, counts in network["equal"].items():
            cells = (f"{counts[kind]} of {network['prompts']}" for kind in ("original", "spiking"))
            equal_rows.append((network["name"], program, *cells))
        for kind, rate in network["rates"].items():
            speeds = (f"{rate[name]:,.0f}" for name in ("original", "spiking"))
            rate_rows.append((network["name"], kind, *speeds, f"{rate['ratio']:.2f}"))
    first = results["networks"][0]
    own = ", ".join(
        f"{network['name']} {network['as original']} of {network['prompts']} ({network['distinct']} distinct)"
        for network in results["networks"]
    )
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        "# Text generation by several programs\n\n"
        "Written by `python benchmarks/generate.py`; do not edit. Greedy continuations of "
        f"{first['prompts']} prompts by {first['tokens']}\n"
        "tokens, by the original and by the spiking network (T=8). Decoders beside `gpt2-war-and-peace` are Llamas of\n"
        "random weights, which the model builder of onnxruntime-genai wrote (`benchmarks/genai_decoder.py`).\n"
        f"{versions}; {results['threads']} thread{'s' * (results['threads'] > 1)};\n"
        f"{machine_in_words(results['machine'])}.\n\n"
        "## Texts whose tokens are those of `onnx_snn.generate`\n\n"
        f"```text\n{table(('network', 'program', 'original', 'spiking'), equal_rows)}\n```\n\n"
        f"Texts of the spiking network that are those of the original: {own}.\n\n"
        "## Tokens per second of `onnx_snn.generate`\n\n"
        "The ratio is the median of neighbouring runs, spiking over original.\n\n"
        f"```text\n{table(('network', 'texts', 'original', 'spiking', 'ratio'), rate_rows)}\n```\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genai", type=Path, nargs="*", default=[], help="folders of genai_decoder.py")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--prompt-length", type=int, default=13)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9, help="runs of the batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/generate.md"))
    options = parser.parse_args(arguments)
    results = measure(options)
    options.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.output.write_text(page(results))
    print(options.output.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
