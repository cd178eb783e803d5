# SPDX-License-Identifier: Apache-2.0
"""Quantized networks: the task metric of their spiking forms beside that of the quantized originals, at T=8.

    python benchmarks/quantized.py

RoBERTa of models/, on all of its test split, and a small T5 (`benchmarks/tiny_t5.py`, trained here where its folder
does not exist) are quantized by onnxruntime: dynamically, and statically in both formats with the calibration data.
Each is converted with its calibration data and compared with itself on test data, which calibration never saw. A row
that is in the JSON file beside the table is not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from tiny_t5 import build

import onnx_snn
from onnx_snn import Status
from onnx_snn.formatting import table

TIMESTEPS, BATCH_SIZE = 8, 16
STATIC_OPERATORS = ["MatMul", "Gemm"]
"""Operators that static quantization takes. The others of a T5 compute the buckets of its relative positions, whose
whole numbers the tool would round."""

FORMS = ("dynamic", *(form.name for form in QuantFormat))
HEADER = (
    "network",
    "quantized",
    "metric",
    "original",
    "spiking",
    "relative loss",
    "weight products",
    "accumulate-only",
    "output error",
    "spikes/element",
    "energy",
)


class Reader(CalibrationDataReader):
    """The calibration data for onnxruntime's tools, in batches."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        count = len(next(iter(arrays.values())))
        self._feeds: Iterator[dict[str, NDArray[Any]]] = iter(
            {name: array[start : start + BATCH_SIZE] for name, array in arrays.items()}
            for start in range(0, count, BATCH_SIZE)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch."""
        return next(self._feeds, None)


def whole_answers(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """1 for each sample whose labels, those from 0 on, are all predicted; else 0."""
    right: NDArray[Any] = ((logits.argmax(axis=-1) == labels) | (labels < 0)).all(axis=-1)
    return right.astype(np.float64)


def quantized(model: Path, form: str, calibration: Path, folder: Path) -> Path:
    """`model` quantized by onnxruntime in one of `FORMS`."""
    path = folder / f"{form}.onnx"
    if form == "dynamic":
        quantize_dynamic(model, path)
    else:
        options = {"quant_format": QuantFormat[form], "op_types_to_quantize": STATIC_OPERATORS}
        quantize_static(model, path, Reader(dict(np.load(calibration))), **options)
    return path


def measured(name: str, folder: Path, form: str, temporary: Path) -> dict[str, Any]:
    """The figures of one network in one form."""
    calibration, spiking = folder / "calibration.npz", temporary / "spiking.onnx"
    original = quantized(folder / "model.onnx", form, calibration, temporary)
    report = onnx_snn.convert(original, spiking, calibration, timesteps=TIMESTEPS, progress=False)
    with np.load(folder / "test.npz") as data:
        test = dict(data)
    labels = test.pop("labels")
    metric = whole_answers if labels.ndim > 1 else None
    compared = onnx_snn.compare(
        original, spiking, test, labels=labels, metric=metric, batch_size=BATCH_SIZE, progress=False
    )
    products = [node for node in report.nodes if node.kind == "synapse"]
    assert report.gain is not None, "the network is small"
    return {
        "network": name,
        "form": form,
        "metric": compared.metric.replace("_", " "),
        "samples": compared.samples,
        "original": compared.original,
        "spiking": compared.spiking,
        "relative_loss": compared.relative_loss,
        "weight_products": len(products),
        "accumulate_only": sum(node.status is Status.CONVERTED for node in products),
        "refused": report.count(Status.REFUSED),
        "output_error": compared.relative_error,
        "spikes_per_element": report.gain.spikes_per_element,
        "energy": report.gain.energy,
    }


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The measurements as Markdown."""
    cells = [
        (
            row["network"],
            row["form"],
            row["metric"],
            f"{row['original']:.2%}",
            f"{row['spiking']:.2%}",
            f"{row['relative_loss']:+.2%}",
            str(row["weight_products"]),
            str(row["accumulate_only"]),
            f"{row['output_error']:.2%}",
            f"{row['spikes_per_element']:.2f}",
            f"{row['energy']:.1%}",
        )
        for row in rows
    ]
    counts = {row["network"]: row["samples"] for row in rows}
    samples = " and ".join(f"{count} samples of {name}" for name, count in counts.items())
    about = (
        f"Written by `python benchmarks/quantized.py` with onnx {version('onnx')} and onnxruntime "
        f"{version('onnxruntime')};\ndo not edit. T={TIMESTEPS}, neurons and error budgets by default."
    )
    words = (
        "Quantized by onnxruntime: dynamically (DynamicQuantizeLinear and MatMulInteger), and statically in the\n"
        "formats QDQ and QOperator. Original and spiking are the task metric of the quantized file before and after\n"
        f"conversion, over {samples}. Weight products are those of activations with\n"
        "weights, of which the accumulate-only ones read spikes. Energy is that of the spiking network over that of\n"
        "the network in floats, accumulate-only rule, on calibration samples."
    )
    return "\n\n".join(["# Quantized networks", about, words, f"```text\n{table(HEADER, cells)}\n```"]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--t5", type=Path, default=Path("build/networks/tiny-t5"), help="folder of the small T5")
    parser.add_argument("--only", nargs="*", default=FORMS, choices=FORMS)
    parser.add_argument("--output", type=Path, default=Path("docs/measurements/quantized.md"))
    options = parser.parse_args(arguments)
    if not (options.t5 / "test.npz").exists():
        build(options.t5)
    ready = options.output.with_suffix(".json")
    rows: list[dict[str, Any]] = json.loads(ready.read_text()) if ready.exists() else []
    for name, folder in {"roberta-mr": options.models / "roberta-mr", "tiny-t5": options.t5}.items():
        for form in options.only:
            if any((row["network"], row["form"]) == (name, form) for row in rows):
                continue
            with tempfile.TemporaryDirectory() as temporary:
                rows.append(measured(name, folder, form, Path(temporary)))
            print(rows[-1], flush=True)
            rows.sort(key=lambda row: (row["network"], FORMS.index(row["form"])))
            ready.write_text(json.dumps(rows, indent=1) + "\n")
            options.output.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
