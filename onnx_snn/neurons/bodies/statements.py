# SPDX-License-Identifier: Apache-2.0
"""What the statements of all bodies have in common: the subgraph that holds those which depend on the argument."""

from __future__ import annotations

from collections.abc import Mapping

ONCE = """
    once = Constant <value = int64 {1}> ()
    go_on = Constant <value = bool {1}> ()
    """
"""The trip count and the condition of `in_subgraph`, to be written outside of it."""


def in_subgraph(statements: str, results: Mapping[str, str]) -> str:
    """`statements` inside a `Loop` that runs once and returns `results`.

    Runtimes inline a function node by node, at a cost that up to onnxruntime 1.31 grows faster than the number of nodes
    of the main graph. The nodes of a subgraph do not count.

    Args:
        statements: ONNX text; they may read every name before the loop.
        results: the names that they define and others read, with a value of the same type that exists before.
    """
    initial = ", ".join(results.values())
    entering = ", ".join(f"{_type(name)} {name}_before" for name in results)
    leaving = ", ".join(f"{_type(name)} {name}" for name in results)
    return f"""
    {", ".join(results)} = Loop (once, go_on, {initial})
        <body = single_pass (int64 pass_number, bool pass_in, {entering}) => (bool pass_out, {leaving}) {{
            pass_out = Identity (pass_in)
            {statements}
        }}>
    """


def _type(result: str) -> str:
    return "int64[]" if result.endswith("spikes") else "float[]"
