# SPDX-License-Identifier: Apache-2.0
"""Networks that call functions of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from networks import normal
from onnx_ir.passes.common import RemoveUnusedFunctionsPass

import onnx_snn
from onnx_snn import ConversionReport

X = {"x": normal(16, 4, 8)}
WEIGHT = "float[8,8] w = {" + ", ".join(str((i % 9 - 4) / 8) for i in range(64)) + "}"

FUNCTIONS = """
    <domain: "local", opset_import: ["" : 20, "local" : 1]> Block <slope> (x, w) => (y) {
        [dense] h = MatMul (x, w)
        [act] g = local.Gate (h)
        [leak] y = LeakyRelu <alpha: float = @slope> (g)
    }
    <domain: "local", opset_import: ["" : 20]> Gate (x) => (y) { s = Sigmoid (x) [gate] y = Mul (x, s) }
    <domain: "local", opset_import: ["" : 20]> Shift (x) => (y) { y = Add (x, x) }
    <domain: "local", opset_import: ["" : 20]> Root (x) => (y) { [size] a = Round (x) r = Ceil (a) y = Add (r, x) }
"""


def network(body: str, functions: str = FUNCTIONS) -> onnx.ModelProto:
    """A model from `x` to `y` with those of the functions that it calls."""
    header = '<ir_version: 10, opset_import: ["" : 20, "local" : 1, "com.microsoft" : 1]>'
    text = f"{header} main (float[N, 4, 8] x) => (float[N, 4, 8] y) <{WEIGHT}> {{ {body} }} {functions}"
    model = ir.from_proto(onnx.parser.parse_model(text))
    RemoveUnusedFunctionsPass()(model)
    return ir.to_proto(model)


def converted(model: Any, folder: Path, **options: Any) -> tuple[onnx.ModelProto, ConversionReport]:
    """The conversion of `model` with `X`, and its report."""
    report = onnx_snn.convert(model, folder / "spiking.onnx", X, progress=False, fast=True, **options)
    return onnx.load(folder / "spiking.onnx"), report
