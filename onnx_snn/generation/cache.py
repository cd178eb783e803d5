# SPDX-License-Identifier: Apache-2.0
"""Keys and values of the tokens that a decoder has read, in memory of onnxruntime.

Outputs of one run are bound to the inputs of the next one, so that nothing is copied between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir
import onnxruntime as ort

from onnx_snn.data.caches import empty_cache
from onnx_snn.data.specs import InputSpec
from onnx_snn.runtime.execution import ort_value

Cache = dict[str, ort.OrtValue]
"""Tensors with keys or values, by the name of the input that reads them."""


def new_cache(specs: Sequence[InputSpec], batch: int, folders: Sequence[Path]) -> Cache:
    """The cache of `batch` texts of which nothing was read, for the inputs `specs`.

    Raises:
        ModelError: the size of a head is not known.
    """
    return {spec.name: ort_value(ir.Tensor(empty_cache(spec, batch, folders))) for spec in specs}
