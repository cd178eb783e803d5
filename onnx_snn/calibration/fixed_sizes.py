# SPDX-License-Identifier: Apache-2.0
"""Which axes of a tensor have one size for every input that a model takes, found by running it on other sizes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnx_snn.data.specs import Feed, InputSpec, check_feed, input_specs
from onnx_snn.errors import CalibrationError
from onnx_snn.graph.shapes import Shape
from onnx_snn.runtime.tap_session import ShapeSession

logger = logging.getLogger(__name__)


def static_axes(
    model: ir.Model, value_names: Sequence[str], feed: Feed, others: Iterable[Feed] = ()
) -> dict[str, tuple[int | None, ...]]:
    """Find which axes of a tensor have one size, by running the model on inputs of other sizes.

    Symbolic dimensions of the inputs are halved, or else doubled, the same symbol alike in all inputs. No values are
    made up. Sizes that the model does not run on are taken as fixed by it, unless `others` have other ones.

    Args:
        model: The model; it is left as it is.
        value_names: Tensors of its main graph, or of subgraphs that run with `feed`.
        feed: Real inputs.
        others: Further real inputs. They are read only where sizes would be taken as fixed, and the model runs on those
            that differ in one of these.

    Returns:
        For each tensor the size of each axis, None where it depends on the inputs or is 0. All None where no
        other size could be run, so that nothing is known.

    Raises:
        CalibrationError: a tensor cannot be observed, or the model fails on `feed` itself.
    """
    specs = input_specs(model)
    feed = check_feed(feed, specs, finite=False)
    session = ShapeSession(model, value_names)
    seen = [session(feed).by_name]
    dims = _symbolic_dims(specs, feed)
    if dims:
        seen += _observe_other_sizes(session, feed, dims, others)
        if len(seen) == 1:
            logger.info("the model ran on no other sizes of its inputs: no axis is known to be fixed")
            return {name: (None,) * len(shape) for name, shape in seen[0].items()}
    return {name: _common_sizes([shapes[name] for shapes in seen]) for name in value_names}


def _common_sizes(shapes: Sequence[Shape]) -> tuple[int | None, ...]:
    """The sizes above 0 that all shapes share; None elsewhere, and everywhere where ranks differ."""
    if len({len(shape) for shape in shapes}) > 1:
        return (None,) * len(shapes[0])
    common = [sizes[0] if len(set(sizes)) == 1 else 0 for sizes in zip(*shapes, strict=True)]
    return tuple(size or None for size in common)


class _SymbolicDim(NamedTuple):
    """A symbolic dimension of an input.

    Attributes:
        name: The input.
        axis: Its axis.
        text: A symbol, or an expression of symbols.
        size: Size in the feed at hand.
    """

    name: str
    axis: int
    text: str
    size: int


def _symbolic_dims(specs: Sequence[InputSpec], feed: Feed) -> list[_SymbolicDim]:
    """The symbolic dimensions of the inputs; a nameless one is a symbol of its own."""
    return [
        _SymbolicDim(spec.name, axis, dim or f"{spec.name}[{axis}]", feed[spec.name].shape[axis])
        for spec in specs
        for axis, dim in enumerate(spec.shape)
        if not isinstance(dim, int)
    ]


def _observe_other_sizes(
    session: ShapeSession, feed: Feed, dims: Sequence[_SymbolicDim], others: Iterable[Feed]
) -> list[Mapping[str, Shape]]:
    """Outputs of the runs that succeed when symbols change: all at once, else one by one, else in groups."""
    # An empty cache is smaller than its symbol says elsewhere; the largest size of a symbol counts.
    dims = sorted(dims, key=attrgetter("size"))
    named = {dim.text: dim.size for dim in dims if dim.text.isidentifier()}
    sizes = {dim.text: dim.size for dim in dims if _symbols(dim.text, named) == {dim.text}}
    succeeded: list[Mapping[str, Shape]] = []
    fixed = {symbol for symbol, size in sizes.items() if size > 0}

    def attempt(symbols: set[str], resize: Callable[[int], int]) -> None:
        if symbols:
            try:
                succeeded.append(session(_resized(feed, dims, sizes, symbols, resize)).by_name)
            except CalibrationError as error:
                logger.debug("other sizes of %s do not run: %s", sorted(symbols), error)
            else:
                fixed.difference_update(symbols)

    for resize in (_halved, _doubled):
        attempt(set(fixed), resize)
        for symbol in sorted(fixed):
            attempt({symbol}, resize)
        # Dimensions that must agree may carry different names, or none; then they agree in size.
        for size in sorted({sizes[symbol] for symbol in fixed}):
            attempt({symbol for symbol in fixed if sizes[symbol] == size}, resize)
        attempt(set(fixed), resize)
    for other in others if fixed else ():
        differing = {dim.text for dim in dims if dim.text in fixed and other[dim.name].shape[dim.axis] != dim.size}
        if differing:
            succeeded.append(session(other).by_name)
            fixed -= differing
        if not fixed:
            break
    if fixed:
        logger.info("the model fixes the input dimensions %s", sorted(fixed))
    return succeeded


def _symbols(text: str, named: Collection[str]) -> set[str]:
    """The named symbols from which `text` is computed, or `text` itself where it cannot be."""
    if text in named:
        return {text}
    try:
        symbols = set(ir.SymbolicDim(text).free_symbols())
    except ValueError:
        return {text}
    return symbols if symbols and symbols <= set(named) else {text}


def _resized(
    feed: Feed,
    dims: Sequence[_SymbolicDim],
    sizes: Mapping[str, int],
    symbols: set[str],
    resize: Callable[[int], int],
) -> Feed:
    """`feed` cropped or repeated to the size that `resize` gives for that of `symbols`."""
    resized = dict(feed)
    other = {text: resize(size) if text in symbols else size for text, size in sizes.items()}
    for dim in dims:
        size = other[dim.text] if dim.text in other else ir.SymbolicDim(dim.text).evaluate(other)
        if isinstance(size, int) and size != dim.size > 0:
            indices = np.arange(size) % dim.size
            resized[dim.name] = np.take(resized[dim.name], indices, axis=dim.axis)
    return resized


def _halved(size: int) -> int:
    """Half of `size`, which passes where a network needs multiples of a power of two, and shows what a stride hides."""
    return {0: 0, 1: 2}.get(size, size // 2)


def _doubled(size: int) -> int:
    """Twice `size`, a multiple of all that it is a multiple of."""
    return 2 * size
