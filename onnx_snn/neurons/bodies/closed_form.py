# SPDX-License-Identifier: Apache-2.0
"""The closed form in the body of `MbeNeuron`: few nodes, and few operations on float32.

Several bases are halving. Each answers the level floor(u / bit) in units of its last intensity, with u limited to what
the steps can take. A single basis may have any step sizes. The steps subtract from its u what fires, which is
exact; what they took is the answer.
"""

from __future__ import annotations

from onnx_snn.neurons.bodies.guarantees import MOST_CHARGE, Guarantees

_BELOW_TWO = 2.0 - 2.0**-23
"""The float32 number before 2: with it as limit of the charge, every halving basis answers at most its last level."""

_PARAMETERS = """
    final = Constant <value = int64 {-1}> ()
    first = Constant <value = int64 {0}> ()
    one_int = Constant <value = int64[1] {1}> ()
    bases = Shape (u_rest)
    single = Equal (bases, one_int)
    steps = Size (reset)
    """

_SIZES = "sizes = Identity (reset)"

# The saturation spike of a single basis does not change what it answers.
_UNGATED_SIZES = """
    silencing = IsInf (reset)
    sizes = Where (silencing, zero, reset)
    """


def parameters(guarantees: Guarantees) -> str:
    """What depends on the parameters alone, which a runtime computes once."""
    return _PARAMETERS + _bit("") + (_SIZES if guarantees.ungated_singles else _UNGATED_SIZES)


def weighted_sum(product: str, guarantees: Guarantees) -> str:
    """sum [1, elements] of weighted intensities from centred [N, elements].

    Args:
        product: statements for RESULT, the product of the weights with o.
        guarantees: whether sums are float32, or else float64, and how many bases neurons have.
    """
    if guarantees.one_basis is not None:
        return (_of_steps if guarantees.one_basis else _of_levels)("sum", product, guarantees.float32_sums)
    kind = "float" if guarantees.float32_sums else "double"
    return f"""
    sum = If (single) <
        then_branch = one_basis () => ({kind}[] sum_of_steps) {{
            {_of_steps("sum_of_steps", product, guarantees.float32_sums)}
        }},
        else_branch = halving_bases () => ({kind}[] sum_of_levels) {{
            {_of_levels("sum_of_levels", product, guarantees.float32_sums)}
        }}>
    """


def _of_steps(result: str, product: str, float32_sums: bool) -> str:  # noqa: ARG001  (as `_of_levels`)
    """The sum of one basis, whose steps subtract from its charge what fires."""
    return f"""
    u = Mul (centred, gain_column)
    most = Constant <value = float {{{MOST_CHARGE!r}}}> ()
    charge = Clip (u, zero, most)
    rest = Loop (steps, go_on, charge) <body =
        step (int64 t, bool step_in, float[] u_now) => (bool step_out, float[] u_next) {{
            step_out = Identity (step_in)
            size = Gather (sizes, t)
            s = GreaterOrEqual (u_now, size)
            s_float = Cast <to = 1> (s)
            fired = Mul (s_float, size)
            u_next = Sub (u_now, fired)
        }}>
    o = Sub (charge, rest)
    {product.replace("RESULT", result)}
    """


def _of_levels(result: str, product: str, float32_sums: bool) -> str:
    """The sum of halving bases, in units of their last intensity."""
    return f"""
    below_two = Constant <value = float {{{_BELOW_TWO!r}}}> ()
    {_halving("", "gain_column")}
    {product.replace("RESULT", "sum_in_bits")}
    {"" if float32_sums else "bit_double = Cast <to = 11> (bit)"}
    {result} = Mul (sum_in_bits, {"bit" if float32_sums else "bit_double"})
    """


def _bit(prefix: str) -> str:
    """The last intensity, scalar."""
    return f"""
    {prefix}intensity_final = Gather ({prefix}intensity, final)
    {prefix}bit = Gather ({prefix}intensity_final, first)
    """


def _halving(prefix: str, gain: str) -> str:
    """Levels o of halving bases from centred; `gain` has a shape that goes with it."""
    return f"""
    {prefix}level_gain = Div ({gain}, {prefix}bit)
    {prefix}level_limit = Div (below_two, {prefix}bit)
    {prefix}level = Mul ({prefix}centred, {prefix}level_gain)
    {prefix}level_limited = Clip ({prefix}level, zero, {prefix}level_limit)
    {prefix}o = Floor ({prefix}level_limited)
    """
