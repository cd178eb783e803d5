# SPDX-License-Identifier: Apache-2.0
"""Verification finds what a faulty conversion would break, and measures errors as NumPy does."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from graphs import graph
from networks import normal, run

from onnx_snn import ModelError
from onnx_snn.conversion.verification import Comparison, check_invariants, check_valid, measure

WEIGHTED = graph("h = Mul (x, factor) y = Add (h, third)", initializers="float[8] factor = {1, 2, 3, 4, 5, 6, 7, 8}")


def _rename_input(model: ir.Model) -> None:
    model.graph.inputs[0].name = "pixels"


def _fix_batch(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape([1, 4, 8])


def _rename_dimension(model: ir.Model) -> None:
    model.graph.outputs[0].shape = ir.Shape(["batch", 4, 8])


def _change_type(model: ir.Model) -> None:
    model.graph.outputs[0].type = ir.TensorType(ir.DataType.DOUBLE)


def _drop_output(model: ir.Model) -> None:
    model.graph.outputs.pop()


def _change_weight(model: ir.Model) -> None:
    model.graph.initializers["factor"].const_value = ir.tensor(np.zeros(8, np.float32))


BREAKS = {
    "interface": [_rename_input, _fix_batch, _rename_dimension, _change_type, _drop_output],
    "weight 'factor'": [_change_weight],
}


@pytest.mark.parametrize(("what", "spoil"), [(what, spoil) for what, spoils in BREAKS.items() for spoil in spoils])
def test_a_change_of_what_must_stay_is_found(what: str, spoil: Callable[[ir.Model], None]) -> None:
    changed = WEIGHTED.clone()
    spoil(changed)
    with pytest.raises(ModelError, match=f"conversion changed the .*{what}"):
        check_invariants(WEIGHTED, changed)


def test_a_copy_and_a_weight_that_is_no_longer_used_are_no_change() -> None:
    copy = WEIGHTED.clone()
    check_invariants(WEIGHTED, copy)
    del copy.graph.initializers["third"]
    check_invariants(WEIGHTED, copy)


def test_the_checker_is_asked() -> None:
    check_valid(WEIGHTED, WEIGHTED)
    broken = WEIGHTED.clone()
    broken.graph[0].op_type = "Mull"
    with pytest.raises(ModelError, match=r"does not pass onnx's checker: .*Mull"):
        check_valid(broken, WEIGHTED)


# --- errors --------------------------------------------------------------------------------------

X = normal(6, 4, 8)


def measured(original: str, converted: str, *, outputs: str = "float[N,4,8] y", **tapped: bool) -> Comparison:
    """Comparison of two bodies over two batches."""
    models = [graph(body, outputs=outputs) for body in (original, converted)]
    return measure(models[0], models[1], [{"x": X[:4]}, {"x": X[4:]}], list(tapped))


def test_errors_are_over_all_batches() -> None:
    comparison = measured("h = Gelu (x) y = Mul (h, h)", "h = Relu (x) y = Mul (h, h)", h=True)
    expected, got = (
        run(graph(f"h = {function} (x) y = Mul (h, h)", outputs="float[N,4,8] y, float[N,4,8] h"), {"x": X})
        for function in ("Gelu", "Relu")
    )
    difference = got["y"] - expected["y"]
    (output,) = comparison.outputs
    assert output.name == "y"
    relative = np.linalg.norm(difference) / np.linalg.norm(expected["y"])
    assert output.relative_error == pytest.approx(relative, rel=1e-5)
    assert output.maximum_error == pytest.approx(np.abs(difference).max(), rel=1e-5)
    assert output.agreement is None, "hidden states have no predictions"
    noise = np.linalg.norm(got["h"] - expected["h"])
    assert comparison.sqnr_db["h"] == pytest.approx(20 * np.log10(np.linalg.norm(expected["h"]) / noise), abs=1e-3)


def test_equal_networks_have_no_error() -> None:
    comparison = measured("y = Softmax (x)", "y = Softmax (x)", y=True)
    assert comparison.sqnr_db == {"y": math.inf}
    assert (comparison.outputs[0].relative_error, comparison.outputs[0].agreement) == (0.0, 1.0)


def test_a_result_that_is_not_finite_is_an_infinite_error() -> None:
    comparison = measured("y = Abs (x)", "y = Sqrt (x)", y=True)
    assert comparison.outputs[0].relative_error == math.inf
    assert comparison.outputs[0].maximum_error == math.inf
    assert comparison.sqnr_db == {"y": -math.inf}


def test_what_is_not_finite_in_the_original_is_left_out() -> None:
    comparison = measured("y = Log (x)", "a = Abs (x) y = Log (a)")
    assert comparison.outputs[0].relative_error == 0.0


def test_outputs_that_are_no_floats_are_not_compared() -> None:
    body = "y = ArgMax <axis = -1> (x)"
    assert measured(body, body, outputs="int64[N,4,1] y").outputs == []


def test_a_tensor_whose_shape_the_network_decides_has_no_error() -> None:
    """The tokens that go to one expert are others where a router decides otherwise."""
    body = "c = Relu (x) z = NonZero (c) e = Cast <to = 1> (z) k = Neg (e) y = {} (x)"
    moved = "s = Neg (x) c = Relu (s) z = NonZero (c) e = Cast <to = 1> (z) k = Neg (e) y = {} (x)"
    comparison = measured(body.format("Gelu"), moved.format("Relu"), k=True, y=True)
    assert set(comparison.sqnr_db) == {"y"}
    assert len(comparison.outputs) == 1
