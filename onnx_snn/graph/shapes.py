# SPDX-License-Identifier: Apache-2.0
"""Shapes of the values of a model in one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import onnx_ir as ir
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
"""Shape of a tensor: the size of every axis."""

MAX_RANK = 64
"""Largest number of axes of an array of NumPy; axes beyond are those of no tensor, but of a file that was damaged."""


@dataclass(frozen=True)
class Shapes:
    """Shapes of the values of a model in one run, by name.

    Attributes:
        by_name: the shapes; in the body of a Loop or Scan, those of the last iteration.
        iterations: how often the body around a value runs, for the values in one.
    """

    by_name: Mapping[str, Shape]
    iterations: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_stacked(cls, shapes: Mapping[str, NDArray[Any]]) -> Shapes:
        """From arrays int64 [rank], or [iterations, rank] for each body around a value."""
        iterations = {name: math.prod(array.shape[:-1]) for name, array in shapes.items()}
        by_name = {
            name: tuple(map(int, array[(-1,) * (array.ndim - 1)])) if iterations[name] else ()
            for name, array in shapes.items()
        }
        return cls(by_name, {name: count for name, count in iterations.items() if shapes[name].ndim > 1})

    def times(self, value: ir.Value | None) -> int:
        """How often `value` is computed in the run."""
        return self.iterations.get(str(value.name), 1) if value is not None else 1

    def of(self, value: ir.Value | None) -> Shape:
        """Shape of `value`, which must be one of them."""
        assert value is not None, "an input that is left out has no shape"
        return self.by_name[str(value.name)]

    def elements(self, value: ir.Value | None) -> int:
        """Number of elements of `value`, of all iterations together."""
        assert value is not None, "an input that is left out has no elements"
        return self.elements_of(str(value.name))

    def elements_of(self, name: str) -> int:
        """`elements` of the value called `name`."""
        return math.prod(self.by_name[name]) * self.iterations.get(name, 1)
