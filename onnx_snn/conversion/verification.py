# SPDX-License-Identifier: Apache-2.0
"""Verify: checks of the converted model, and its error against the original.

Invariants: inputs and outputs have the same names, types and dimensions; every initializer that is still used
has the same values; the model passes onnx's checker. Then both models run on calibration samples, and the
errors at the outputs and at every converted node are measured in one pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnx_ir as ir

from onnx_snn.conversion.report import OutputReport
from onnx_snn.data.specs import Feed
from onnx_snn.errors import ModelError
from onnx_snn.evaluation.class_scores import has_class_scores
from onnx_snn.evaluation.error_stats import Difference
from onnx_snn.graph.declared_shapes import is_consistent
from onnx_snn.graph.external_weights import detach_weights, with_mapped_weights
from onnx_snn.graph.map_types import to_proto
from onnx_snn.graph.model_checks import checkable
from onnx_snn.graph.subgraphs import EMPTY
from onnx_snn.profiling.spike_outputs import is_count
from onnx_snn.runtime.tap_session import Observer, quiet_options_with_kernels

logger = logging.getLogger(__name__)


def check_invariants(original: ir.Model, converted: ir.Model) -> None:
    """Check that interface and weights are unchanged, apart from spike counts as further outputs.

    Raises:
        ModelError: an input, output or weight changed; it names the first one.
    """
    outputs = [value for value in converted.graph.outputs if not is_count(value)]
    for before, after in (
        (original.graph.inputs, converted.graph.inputs),
        (original.graph.outputs, outputs),
        (original.graph.outputs, converted.graph.outputs[: len(original.graph.outputs)]),
    ):
        old, new = [_signature(value) for value in before], [_signature(value) for value in after]
        if old != new:
            raise ModelError(f"conversion changed the model's interface from {old} to {new}")
    # Initializers of different branches may have the same name.
    tensors: dict[str, list[ir.TensorProtocol | None]] = {}
    for name, value in _initializers(original):
        tensors.setdefault(name, []).append(value.const_value)
    for name, value in _initializers(converted):
        if name in tensors and not any(_same_tensor(tensor, value.const_value) for tensor in tensors[name]):
            raise ModelError(f"conversion changed the weight {name!r}")


def check_valid(model: ir.Model, original: ir.Model) -> None:
    """Run onnx's checker with shape inference on `model`, without the data of its large weights.

    Where onnx's shape inference fails on the original too, which onnxruntime runs, it is left out.

    Raises:
        ModelError: the checker rejects the model.
    """
    copy = with_mapped_weights(model)
    detach_weights(copy)
    proto = checkable(to_proto(copy))
    try:
        onnx.checker.check_model(proto)
        onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"the converted model does not pass onnx's checker: {error}") from error
    except onnx.shape_inference.InferenceError as error:
        if is_consistent(original):
            raise ModelError(f"the converted model does not pass onnx's shape inference: {error}") from error
        logger.warning("onnx's shape inference fails on the original, and so on the converted model: %s", error)


@dataclass
class Comparison:
    """Errors of the converted model.

    Attributes:
        outputs: one report for each floating-point output of the model.
        sqnr_db: signal-to-error ratio of each tapped tensor in decibels, without tensors whose shape depends on
            decisions of the network, such as the tokens routed to one expert.
        worst_sample: largest relative error of an output on a single sample.
    """

    outputs: list[OutputReport] = field(default_factory=list)
    sqnr_db: dict[str, float] = field(default_factory=dict)
    worst_sample: float = 0.0

    @property
    def worst_error(self) -> float:
        """Largest relative error of an output over all samples; 0 without floating-point outputs."""
        return max((output.relative_error for output in self.outputs), default=0.0)


def measure(
    original: ir.Model,
    converted: ir.Model,
    feeds: Iterable[Feed],
    taps: Sequence[str],
    *,
    decomposed: ir.Model | None = None,
) -> Comparison:
    """Run both models on `feeds` and compare their outputs and the tensors `taps`.

    Spiking nodes run by the kernels where these are installed.

    Args:
        original: the original model.
        converted: the spiking model.
        feeds: inputs, one sample each.
        taps: names of inner tensors that both models have.
        decomposed: the original with decomposed fused operators, which has the taps; None where `original` has them.
    """
    outputs = [value.name or "" for value in original.graph.outputs]
    names = list(dict.fromkeys([*outputs, *taps]))
    differences = {name: Difference() for name in names}
    references = _references(original, decomposed or original, outputs, names)
    spiking = Observer(converted, names, session_options=quiet_options_with_kernels)
    data_dependent: set[str] = set()
    for feed in feeds:
        observed = [reference(feed) for reference in references]
        expected, actual = observed[-1] | observed[0], spiking(feed)
        data_dependent |= {name for name in names if expected[name].shape != actual[name].shape}
        for name in differences.keys() - data_dependent:
            if np.issubdtype(expected[name].dtype, np.floating) and expected[name].shape != EMPTY:
                differences[name].add(expected[name], actual[name])
    comparison = Comparison(sqnr_db={name: differences[name].sqnr_db for name in taps if name not in data_dependent})
    for value in original.graph.outputs:
        name = value.name or ""
        difference = differences[name]
        if difference.signal or difference.rows:
            comparison.worst_sample = max(comparison.worst_sample, difference.worst)
            agreement = difference.agreement if has_class_scores(value) else None
            comparison.outputs.append(OutputReport(name, difference.relative_error, difference.largest, agreement))
    return comparison


def _references(
    original: ir.Model, decomposed: ir.Model, outputs: Sequence[str], names: Sequence[str]
) -> list[Observer]:
    """Observers of the `outputs` of `original` and, last, of all `names` of `decomposed`."""
    if decomposed is original:
        return [Observer(original, names)]
    try:
        return [Observer(original, outputs), Observer(decomposed, names)]
    except ModelError as error:
        logger.warning("onnxruntime cannot run the original; errors are relative to its decomposed form: %s", error)
        return [Observer(decomposed, names)]


def _initializers(model: ir.Model) -> Iterator[tuple[str, ir.Value]]:
    """Names and values of the initializers of the main graph and its subgraphs."""
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from graph.initializers.items()


def _signature(value: ir.Value) -> tuple[str | None, str, str]:
    """Name, type and shape of an input or output."""
    return value.name, str(value.type), str(value.shape)


def _same_tensor(before: ir.TensorProtocol | None, after: ir.TensorProtocol | None) -> bool:
    if before is after:
        return True
    return before is not None and after is not None and before.tobytes() == after.tobytes()
