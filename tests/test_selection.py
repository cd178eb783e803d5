# SPDX-License-Identifier: Apache-2.0
"""Choice of nodes by scope, by name and by expression."""

from __future__ import annotations

import onnx_ir as ir
import pytest
from networks import NONLINEAR, SYNAPSES, transformer

from onnx_snn import ConfigError, ConvertConfig, Scope
from onnx_snn.conversion.selection import select
from onnx_snn.rules import Site, recognise

ALL = {*NONLINEAR, *SYNAPSES}


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    return recognise(ir.from_proto(transformer())).sites


def chosen(sites: list[Site], **options: object) -> set[str]:
    """Names of the sites that are to be converted."""
    kept = select(sites, ConvertConfig(**options))  # type: ignore[arg-type]
    return {site.name for site in sites if site not in kept}


def test_scope_decides_about_weight_products(sites: list[Site]) -> None:
    assert chosen(sites, scope=Scope.FULL) == ALL
    assert chosen(sites, scope=Scope.NONLINEAR) == set(NONLINEAR)


@pytest.mark.parametrize(
    ("names", "matched"),
    [
        (["gelu"], {"gelu"}),
        (["query", "key"], {"query", "key"}),
        (["norm_."], {"norm_1", "norm_2"}),
        (["norm_[12]|gelu", "up"], {"norm_1", "norm_2", "gelu", "up"}),
        ([".*"], ALL),
    ],
)
def test_names_and_expressions_match_whole_names(names: list[str], matched: set[str], sites: list[Site]) -> None:
    assert chosen(sites, include=names) == matched
    assert chosen(sites, exclude=names) == ALL - matched


def test_exclude_wins_over_include(sites: list[Site]) -> None:
    assert chosen(sites, include=["norm_.", "gelu"], exclude=["norm_1"]) == {"norm_2", "gelu"}


def test_every_decision_has_its_reason(sites: list[Site]) -> None:
    config = ConvertConfig(scope=Scope.NONLINEAR, include=("query", "gelu", "norm_1"), exclude=("gelu",))
    reasons = {site.name: reason for site, reason in select(sites, config).items()}
    assert reasons["gelu"] == "excluded by name"
    assert reasons["softmax"] == "not among the included names"
    assert reasons["query"] == "weight matmul or convolution, which scope nonlinear leaves out"
    assert "norm_1" not in reasons


@pytest.mark.parametrize("option", ["include", "exclude"])
@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("gelo", r"'gelo' matches no node that can be converted; closest are \['gelu'"),
        ("gel", "'gel' matches no node"),  # a part of a name is none
        ("embed", "'embed' matches no node that can be converted"),
        ("gelu(", r"'gelu\(' is neither a node name nor a regular expression"),
    ],
)
def test_a_name_without_a_match_is_an_error(option: str, pattern: str, says: str, sites: list[Site]) -> None:
    with pytest.raises(ConfigError, match=f"{option}: {says}"):
        chosen(sites, **{option: [pattern]})


def test_an_exact_name_need_not_be_a_valid_expression() -> None:
    model = transformer()
    for node in model.graph.node:
        node.name = node.name.replace("gelu", "block[0]/gelu(")
    assert chosen(recognise(ir.from_proto(model)).sites, include=["block[0]/gelu("]) == {"block[0]/gelu("}


def test_an_unnamed_node_goes_by_its_output() -> None:
    model = transformer()
    for node in model.graph.node:
        node.name = ""
    assert chosen(recognise(ir.from_proto(model)).sites, include=["activated"]) == {"activated"}
