# SPDX-License-Identifier: Apache-2.0
"""Run a model once where onnx_snn is not installed.

    python -I run.py python|reference MODEL INPUTS OUTPUTS

python: onnxruntime with nothing registered; reference: ONNX's reference evaluator. INPUTS and OUTPUTS are
folders as in `runner`, which this script does not import: it stands for a machine without this project.
"""

import importlib.abc
import json
import sys
from pathlib import Path

import numpy as np


class Uninstalled(importlib.abc.MetaPathFinder):
    """Makes onnx_snn missing, also where the tests installed it."""

    def find_spec(self, fullname, path=None, target=None):  # noqa: ARG002  (the signature is Python's)
        if fullname.partition(".")[0] == "onnx_snn":
            raise ModuleNotFoundError(fullname)


def run_onnxruntime(model, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [output.name for output in session.get_outputs()], session.run(None, feeds)


def run_reference(model, feeds):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    with np.errstate(all="ignore"):
        return evaluator.output_names, evaluator.run(None, feeds)


def read_tensors(folder):
    for entry in json.loads((folder / "tensors.json").read_text()):
        yield entry["name"], np.fromfile(folder / entry["file"], entry["type"]).reshape(entry["shape"])


def write_tensors(names, tensors, folder):
    entries = []
    for index, (name, tensor) in enumerate(zip(names, tensors, strict=True)):
        file = f"{index}.bin"
        tensor.tofile(folder / file)
        entries.append({"name": name, "type": tensor.dtype.name, "shape": tensor.shape, "file": file})
    (folder / "tensors.json").write_text(json.dumps(entries))


def main(backend, model, inputs, outputs):
    run = {"python": run_onnxruntime, "reference": run_reference}[backend]
    write_tensors(*run(model, dict(read_tensors(Path(inputs)))), Path(outputs))
    if "onnx_snn" in sys.modules:
        sys.exit("onnx_snn was imported")


sys.meta_path.insert(0, Uninstalled())
main(*sys.argv[1:])
