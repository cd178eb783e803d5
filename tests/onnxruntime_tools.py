# SPDX-License-Identifier: Apache-2.0
"""Networks as onnxruntime's tools quantize and optimize them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from networks import Feeds
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration data as onnxruntime's quantization takes it."""

    def __init__(self, feeds: list[Feeds]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> Feeds | None:
        return next(self._feeds, None)


# A quantized sum with a mask of -10000 would leave nothing of the scores.
OPERATORS = ("MatMul", "Gather", "LayerNormalization", "Gelu")


def quantized(
    model: onnx.ModelProto,
    folder: Path,
    feeds: Feeds,
    form: QuantFormat = QuantFormat.QDQ,
    operators: Sequence[str] = OPERATORS,
) -> Path:
    """The file of `model` with quantized `operators` in the format `form`."""
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "model.onnx",
        Reader([feeds]),
        quant_format=form,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=list(operators),
        reduce_range=True,  # sums of two products of 8 bits saturate on processors without dot products of them
    )
    return folder / "model.onnx"


def by_optimizer(model: onnx.ModelProto, path: Path, kind: str, *, multi_head: bool = False) -> None:
    """Write what onnxruntime's optimizer for Transformers of a `kind` makes of `model`."""
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    fusions = FusionOptions(kind)
    fusions.use_multi_head_attention = multi_head
    onnx.save(model, path.with_name("original.onnx"))
    optimized = optimizer.optimize_model(
        str(path.with_name("original.onnx")),
        model_type=kind,
        num_heads=4,
        hidden_size=32,
        optimization_options=fusions,
        opt_level=0,
    )
    optimized.save_model_to_file(str(path))
