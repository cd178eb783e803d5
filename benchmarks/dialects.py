# SPDX-License-Identifier: Apache-2.0
"""The networks of models/ written by other exporters: accuracy after conversion; writes docs/measurements/dialects.md.

    python benchmarks/dialects.py export dynamo
    OTHER/bin/python -P benchmarks/dialects.py export transformers5
    python benchmarks/dialects.py measure

The files of models/ come from Optimum. Their weights go back into PyTorch, which is checked to give the same logits,
and out again through PyTorch's exporter that is based on torch.export (dynamo) and through the one of transformers
(5.14 or later, in an environment of its own; with -P, or it takes kernels.py of this folder for a package that it looks
for). A dialect that has not been exported is left out of the table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

MODELS = Path("models")
ARCHITECTURES = {
    "vit-cifar10": "ViTForImageClassification",
    "roberta-mr": "RobertaForSequenceClassification",
    "gpt2-war-and-peace": "GPT2LMHeadModel",
}
TIMESTEPS = (8, 4)
HEADER = ("model", "dialect", "T", "converted", "of", "metric", "original", "spiking", "relative loss", "agreement")

Arrays = dict[str, Any]


def state_of(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    """Parameters by the names that they have in PyTorch.

    The exporter keeps these names, but for the weights of linear layers, which it transposes and numbers: there the
    name of the product's node tells the module.
    """
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    state = dict(arrays)
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            module = node.name.strip("/").rpartition("/")[0].replace("/", ".")
            state[f"{module}.weight"] = arrays[node.input[1]].T
    return state


def restored(name: str) -> Any:
    """The network in PyTorch.

    Raises:
        SystemExit: it does not give the logits of the file.
    """
    import onnxruntime
    import torch
    import transformers
    from safetensors.numpy import save_file

    file = MODELS / name / "model.onnx"
    model_class = getattr(transformers, ARCHITECTURES[name])
    with tempfile.TemporaryDirectory() as scratch:
        # A checkpoint, because transformers renames the parameters of those that earlier versions wrote.
        state = {key: np.ascontiguousarray(array) for key, array in state_of(onnx.load(file)).items()}
        save_file(state, Path(scratch, "model.safetensors"), metadata={"format": "pt"})
        shutil.copy(file.with_name("config.json"), scratch)
        model = model_class.from_pretrained(scratch).eval()
    model.config.use_cache = False
    feeds = samples(name)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    expected = session.run(["logits"], feeds)[0]
    with torch.inference_mode():
        got = model(**{key: torch.tensor(array) for key, array in feeds.items()}).logits.numpy()
    difference = float(np.abs(got - expected).max() / np.abs(expected).max())
    if difference > 1e-4:
        raise SystemExit(f"{name}: PyTorch's logits differ from those of {file} by {difference:.1e}")
    return model


def samples(name: str, count: int = 2) -> Arrays:
    """The first samples of the calibration data, as many as `count`."""
    with np.load(MODELS / name / "calibration.npz") as archive:
        return {key: archive[key][:count] for key in archive.files}


def dynamo(model: Any, feeds: Arrays, file: Path) -> None:
    """Export by PyTorch's exporter that is based on torch.export."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            return self.model(**dict(zip(feeds, values, strict=True))).logits

    inputs = tuple(torch.tensor(array) for array in feeds.values())
    axes = [tuple(axes_of(array) for array in feeds.values())]
    names = list(feeds)
    program = torch.onnx.export(
        Logits(), inputs, dynamo=True, dynamic_shapes=axes, input_names=names, output_names=["logits"], verbose=False
    )
    program.save(str(file))


def transformers5(model: Any, feeds: Arrays, file: Path) -> None:
    """Export by the exporter that is part of transformers since 5.14."""
    import onnx_ir
    import torch
    from transformers.exporters import OnnxConfig, OnnxExporter

    inputs = {name: torch.tensor(array) for name, array in feeds.items()}
    axes = {name: dict.fromkeys(axes_of(array), torch.export.Dim.AUTO) for name, array in feeds.items()}
    exported = OnnxExporter().export(model, inputs, config=OnnxConfig(dynamic=True, dynamic_shapes=axes))
    onnx_ir.save(exported.program, str(file))


EXPORTERS: dict[str, Callable[[Any, Arrays, Path], None]] = {"dynamo": dynamo, "transformers5": transformers5}


def axes_of(array: Any) -> dict[int, str]:
    """The axes of an input that vary: of images the batch, of tokens also the sequence."""
    return {0: "batch"} if array.ndim > 2 else {0: "batch", 1: "sequence"}


def export(dialect: str, folder: Path) -> None:
    """Write every network in one dialect."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ARCHITECTURES:
        file = folder / f"{name}.{dialect}.onnx"
        with warnings.catch_warnings():
            # Exporters warn of every Python branch.
            warnings.simplefilter("ignore")
            EXPORTERS[dialect](restored(name), samples(name), file)
        print(file, flush=True)


def measure(folder: Path) -> Iterator[dict[str, Any]]:
    """Accuracy of every network in every dialect."""
    import onnx_snn

    for name in ARCHITECTURES:
        files = {"optimum": MODELS / name / "model.onnx"}
        files |= {dialect: folder / f"{name}.{dialect}.onnx" for dialect in EXPORTERS}
        for dialect, file in files.items():
            for timesteps in TIMESTEPS if file.exists() else ():
                with tempfile.TemporaryDirectory() as scratch:
                    spiking, data = Path(scratch, "model.onnx"), MODELS / name / "calibration.npz"
                    report = onnx_snn.convert(
                        file, spiking, data, timesteps=timesteps, scope="full", calibration_samples=64, progress=False
                    )
                    test = MODELS / name / "test.npz"
                    evaluation = onnx_snn.compare(file, spiking, test, progress=False)
                yield {
                    "model": name,
                    "dialect": dialect,
                    "timesteps": timesteps,
                    "converted": report.count(onnx_snn.Status.CONVERTED),
                    "nodes": len(report.nodes),
                    "metric": evaluation.metric,
                    "original": evaluation.original,
                    "spiking": evaluation.spiking,
                    "loss": evaluation.relative_loss,
                    "agreement": evaluation.agreement,
                }


def page(rows: list[dict[str, Any]]) -> str:
    """The measurements as Markdown."""
    from onnx_snn.conversion.report import table

    return (
        "# The same networks from other exporters\n\n"
        "Written by `python benchmarks/dialects.py measure`; do not edit. Scope full, on each model's test.npz, 64\n"
        "calibration samples; a negative loss is a gain.\n\n"
        f"```text\n{table(HEADER, map(_cells, rows))}\n```\n"
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    head = (row["model"], row["dialect"], str(row["timesteps"]), str(row["converted"]), str(row["nodes"]))
    figures = (f"{row['original']:.4f}", f"{row['spiking']:.4f}", f"{row['loss']:.3%}", f"{row['agreement']:.2%}")
    return *head, row["metric"], *figures


def main() -> int:
    """Export or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/dialects"), help="where exported files stay")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("export").add_argument("dialect", choices=EXPORTERS)
    commands.add_parser("measure").add_argument("--output", type=Path, default=Path("docs/measurements/dialects.md"))
    options = parser.parse_args()
    if options.command == "export":
        export(options.dialect, options.folder)
        return 0
    rows = []
    for row in measure(options.folder):
        rows.append(row)
        print(*_cells(row), flush=True)
    options.output.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    options.output.write_text(page(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
