# SPDX-License-Identifier: Apache-2.0
"""Cuts of graphs: they part the work, and what lies behind them computes the same."""

from __future__ import annotations

import networks
import numpy as np
import onnx_ir as ir
from networks import tokens

from onnx_snn.evaluation.graph_cuts import cut_at, cuts_of
from onnx_snn.runtime.tap_session import Observer


def test_cuts_part_the_work_and_what_is_behind_computes_the_same() -> None:
    model = ir.from_proto(networks.transformer())
    cuts = cuts_of(model.graph, ["logits"], 4)
    assert cuts
    assert [cut.saved for cut in cuts] == sorted({cut.saved for cut in cuts})
    whole = Observer(model, ["logits", *(cut.tensor for cut in cuts)])(tokens())
    for cut in cuts:
        assert cut.tensor in cut.before
        part = model.clone()
        start = cut_at(part, cut.tensor, ir.DataType.FLOAT, ["logits"])
        assert len(list(part.graph)) < len(list(model.graph))
        found = Observer(part, ["logits"])({**tokens(), start: whole[cut.tensor]})
        np.testing.assert_allclose(found["logits"], whole["logits"], rtol=1e-5, atol=1e-6)


def test_a_graph_with_no_tensor_to_cut_at_has_no_cuts() -> None:
    model = ir.from_proto(networks.classifier())
    assert cuts_of(model.graph, ["scores"], 0) == []
    assert all(cut.saved > 0 for cut in cuts_of(model.graph, ["scores"], 3))
