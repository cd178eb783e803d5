# SPDX-License-Identifier: Apache-2.0
"""Shapes of the values of a model in one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

Shape: TypeAlias = tuple[int, ...]
"""Shape of a tensor: the size of every axis."""


@dataclass(frozen=True)
class Shapes:
    """Shapes of the values of a model in one run, by name."""

    by_name: Mapping[str, Shape]

    def of(self, value: ir.Value | None) -> Shape:
        """Shape of `value`, which must be one of them."""
        assert value is not None, "an input that is left out has no shape"
        return self.by_name[str(value.name)]

    def elements(self, value: ir.Value | None) -> int:
        """Number of elements of `value`."""
        return math.prod(self.of(value))
