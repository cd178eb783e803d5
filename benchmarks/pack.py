# SPDX-License-Identifier: Apache-2.0
"""Packed networks beside their unpacked ones, fed by Transformers; writes docs/measurements/packed.md.

    python benchmarks/pack.py
    python benchmarks/pack.py --only roberta-mr --samples 20 --output build/packed.md

The networks of models/ and fast conversions of them are packed, each with its tokenizer or image processor, into one
file. Texts are those of test.npz, decoded; images are its pixels in PNG files, and in JPEG files by Pillow with and
without subsampled colours. An answer is right where the first label is that of the network alone, which Transformers'
tokenizer or image processor feeds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import onnxruntime as ort
from packed_inputs import Sample, image_samples, image_sources, prompt_samples, text_samples

import onnx_snn
from onnx_snn.formatting import table
from onnx_snn.runtime.extensions import extensions_library

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hosts.runner import run as run_in_host  # noqa: E402

CONVERSION = {"timesteps": 8, "fast": True, "body": "closed"}
BOTH, ALONE = "both libraries", "onnxruntime-extensions alone"
HEADER = ("network", "file", "from", "to", "host", "same answer", "same bits", "largest difference")


class Case(NamedTuple):
    """A network and what it reads.

    Attributes:
        name: Folder in models/.
        answer: What it gives, in words.
        samples: Its samples by their kind, from the number of them.
        sources: What `pack` is given beside the model, from a scratch folder.
    """

    name: str
    answer: str
    samples: Callable[[Path, int], dict[str, list[Sample]]]
    sources: Callable[[Path, Path], dict[str, Any]]


CASES = (
    Case("roberta-mr", "sentiment", text_samples, lambda model, _: {"tokenizer": model}),
    Case("vit-cifar10", "class", image_samples, lambda model, _: {"processor": model}),
    Case("resnet-cifar10", "class", image_samples, image_sources),
    Case("gpt2-war-and-peace", "next token", prompt_samples, lambda model, _: {"tokenizer": model}),
)


def sessions(packed: Path, plain: Path, *, kernels: bool) -> tuple[ort.InferenceSession, ort.InferenceSession]:
    """Of the packed file and of the network alone; without kernels as in a program that does not know onnx_snn."""
    if kernels:
        one, other = (
            onnx_snn.session(path, session_options=onnx_snn.session_options(quiet=True)) for path in (packed, plain)
        )
        return one, other
    options = onnx_snn.session_options(quiet=True, kernels=False)
    options.register_custom_ops_library(extensions_library())
    return ort.InferenceSession(str(packed), options), ort.InferenceSession(str(plain))


def measured(case: Case, file: str, plain: Path, scratch: Path, samples: dict[str, list[Sample]]) -> Iterator[Any]:
    """A row for each kind of input and host."""
    packed = scratch / f"packed-{case.name}-{file}.onnx".replace(" ", "-")
    onnx_snn.pack(plain, packed, labels=labels_of(case), **case.sources(ROOT / "models" / case.name, scratch))
    row = {"network": case.name, "file": file, "answer": case.answer}
    for host in (BOTH, ALONE) if file != "original" else (ALONE,):
        one, other = sessions(packed, plain, kernels=host == BOTH)
        for kind, each in samples.items():
            found = [compared(one, other, sample) for sample in each]
            answers, bits, differences = zip(*found, strict=True)
            counts = {"samples": len(each), "answers": int(sum(answers)), "bits": int(sum(bits))}
            yield {**row, "input": kind, "host": host, **counts, "difference": max(differences)}
    yield {**row, "input": next(iter(samples)), "host": "Node.js", "error": error_of_node(packed)}


def labels_of(case: Case) -> Path:
    """The config.json of a network; ResNet has none, and the classes of ViT."""
    own = ROOT / "models" / case.name / "config.json"
    return own if own.exists() else ROOT / "models" / "vit-cifar10" / "config.json"


def compared(packed: ort.InferenceSession, plain: ort.InferenceSession, sample: Sample) -> tuple[bool, bool, float]:
    """Whether the first label is right, whether the logits have the same bits, and their largest difference."""
    names = [output.name for output in packed.get_outputs()]
    made = dict(zip(names, packed.run(None, sample.packed), strict=True))
    wanted = plain.run(["logits"], sample.plain)[0]
    last = wanted[:, -1] if wanted.ndim == 3 else wanted
    got = made["logits"][:, -1] if wanted.ndim == 3 else made["logits"]
    right = int(np.argmax(got)) == int(np.argmax(last))
    if "next_id" in made:
        right = made["next_id"][0, 0] == np.argmax(last)
    return right, np.array_equal(made["logits"], wanted), float(np.abs(got - last).max())


def error_of_node(packed: Path) -> str:
    """Why onnxruntime-node does not load a packed file; empty if it does."""
    try:
        run_in_host("node", packed, {})
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if "Error" in line]
        return next((line for line in lines if "regist" in line or "domain" in line), lines[-1] if lines else "?")
    return ""


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a row of the table."""
    start = (row["network"], row["file"], row["input"], row["answer"], row["host"])
    if "error" in row:
        return (*start, "does not load" if row["error"] else "loads", "", "")
    of = f" of {row['samples']}"
    return (*start, f"{row['answers']}{of}", f"{row['bits']}{of}", f"{row['difference']:.2g}")


PAGE = """# Packed networks

Networks with their tokenizer or image processor before them and labels behind them, in one file (`onnx-snn pack`),
beside the same network alone, fed by Transformers: answers that agree, logits with the same bits, and the largest
difference of a logit. Converted files are fast conversions with T=8 and closed bodies. The decoder in JPEG files of
onnxruntime-extensions does not smooth subsampled colours, as Pillow's does.

`python benchmarks/pack.py`, onnxruntime {onnxruntime}, onnxruntime-extensions {extensions}, tokenizers {tokenizers},
transformers {transformers}, pillow {pillow}.

```text
{table}
```

Node.js cannot load a packed file, because onnxruntime-node has no way to register a library of operators:
`{error}`
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], default=None)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "measurements" / "packed.md")
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            if options.only and case.name not in options.only:
                continue
            model, scratch = ROOT / "models" / case.name, Path(folder)
            samples = case.samples(model, options.samples)
            spiking = scratch / f"{case.name}.onnx"
            onnx_snn.convert(model / "model.onnx", spiking, model / "calibration.npz", **CONVERSION)
            for file, plain in (("original", model / "model.onnx"), ("converted", spiking)):
                for row in measured(case, file, plain, scratch, samples):
                    rows.append(row)
                    print(*cells(row), sep="  ", flush=True)
    packages = ("onnxruntime", "onnxruntime-extensions", "tokenizers", "transformers", "pillow")
    versions = {name: version(name) for name in packages}
    options.output.with_suffix(".json").write_text(json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")
    named = {name.removeprefix("onnxruntime-"): number for name, number in versions.items()}
    error = next((row["error"] for row in rows if row.get("error")), "it loads them")
    text = table(HEADER, [cells(row) for row in rows])
    options.output.write_text(PAGE.format(table=text, error=error, **named))


if __name__ == "__main__":
    main()
