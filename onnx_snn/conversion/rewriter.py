# SPDX-License-Identifier: Apache-2.0
"""Rewrite: put the spiking ops of a plan into the graph.

Each function, softmax and normalization is replaced by one spiking node, whose output takes the name of the tensor it
replaces; a function of arguments of any magnitude has exact arithmetic around it (`argument_reduction`). Matmuls and
convolutions keep their node, and their activation operands pass through identity neurons: one for each tensor and code
in a graph, whatever the number of readers. No existing initializer is changed. Neurons compute in float32, so tensors
of float16, bfloat16 or float64 are cast before and after them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnx_snn.allocation.plan import Coding, SitePlan
from onnx_snn.arrays import Float32
from onnx_snn.conversion.argument_reduction import OF_MAGNITUDES, Arithmetic, reduction_of
from onnx_snn.conversion.normalized_axes import normalized_axes, on_last_axis
from onnx_snn.decompositions.type_inference import CAST_TYPES
from onnx_snn.graph.node_builder import NodeBuilder, SharedInitializers
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.graph.unique_names import UniqueNames
from onnx_snn.metadata import PART_OF_KEY, SOURCE_KEY
from onnx_snn.neurons import functions, opset
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Kind, LayerNormSite, MatmulSite, NormSite, Site

_OPERATORS = {
    Kind.FUNCTION: opset.MBE_NEURON,
    Kind.SOFTMAX: opset.SPIKING_SOFTMAX,
    Kind.LAYER_NORM: opset.SPIKING_LAYER_NORMALIZATION,
    Kind.RMS_NORM: opset.SPIKING_RMS_NORMALIZATION,
}
"""Spiking op that replaces each kind of site; sites of other kinds keep their node."""


def rewrite(
    model: ir.Model, plans: Sequence[SitePlan], precision: opset.Precision = opset.Precision.DOUBLE
) -> list[str]:
    """Apply `plans` to `model` in place, with the arithmetic around neurons in `precision`.

    Returns:
        The spiking op types that the model now uses, sorted.
    """
    rewriter = _Rewriter(model, precision)
    for plan in plans:
        if plan.site.kind in _OPERATORS:
            rewriter.replace(plan)
    for plan in plans:
        if isinstance(plan.site, MatmulSite):
            rewriter.code_operands(plan.site, plan.neurons)
    model.graph.opset_imports[opset.DOMAIN] = opset.VERSION
    return sorted(rewriter.used)


class _Rewriter:
    """Adds spiking nodes and their parameters to one model."""

    def __init__(self, model: ir.Model, precision: opset.Precision) -> None:
        self.used: set[str] = set()
        self._names = UniqueNames.of(model)
        self._constants = SharedInitializers(model, self._names)
        self._precision = precision
        self._coded: dict[tuple[ir.Value, int, ir.Graph], ir.Value] = {}
        self._replaced: dict[ir.Value, ir.Value] = {}

    def replace(self, plan: SitePlan) -> None:
        """Replace the nodes of a site by one spiking node."""
        site, operator = plan.site, _OPERATORS[plan.site.kind]
        builder = NodeBuilder(self._names)
        affine = self._affine(site, builder)
        x = self._replaced.get(site.inputs[0], site.inputs[0])
        parameters = [*affine]
        for role in operator.roles:
            parameters += self._parameters(plan.neurons[role], role.is_scaled)
        polarity, source = plan.neurons[operator.roles[0]].neuron.polarity, site.function_name or site.rule

        def neuron(of: ir.Value) -> ir.Value:
            return self._spiking(builder, operator, [of, *parameters], site.name, source=source, polarity=polarity)

        argument = _in_float32(builder, x)
        around = reduction_of(site.function_name)
        if around:
            if site.function_name in OF_MAGNITUDES and x.producer() is not None:
                argument = builder.op("Abs", [argument])
            y = around(Arithmetic(builder, self._constants, self._precision), argument, neuron)
        else:
            y = on_last_axis(builder, self._constants, site, argument, neuron)
        bounded = bool(site.function_name) and functions.get(site.function_name).nonnegative
        if bounded:
            y = builder.op("Relu", [y])
        y = _cast(builder, y, _computed_type(x), site.output.dtype)
        if around or bounded or len(normalized_axes(site)) > 1:
            _mark_parts(builder.nodes, site.name, self._names)
        graph_of(site.node).insert_before(site.node, builder.nodes)
        builder.name_outputs(builder.nodes[:-1], f"{site.name}_output")
        self._take_over(site, y)

    def _take_over(self, site: Site, output: ir.Value) -> None:
        """Give `output` the name, type and readers of the site's output, and remove nodes that are dead afterwards."""
        old, name = site.output, site.output.name
        output.shape, output.type = old.shape, old.type
        old.name = self._names.take(f"{name}_replaced")
        output.name = name
        old.replace_all_uses_with(output, replace_graph_outputs=True)
        self._replaced[old] = output
        _remove_dead(site.nodes)

    def code_operands(self, site: MatmulSite, neurons: Mapping[NeuronRole, Coding]) -> None:
        """Insert identity neurons before the activation operands of a matmul."""
        for role, reader, operand in zip(site.roles, site.readers, site.inputs, strict=True):
            code = self._code(self._replaced.get(operand, operand), neurons[role], graph_of(reader.node))
            reader.node.replace_input_with(reader.input_index, code)

    def _code(self, value: ir.Value, coding: Coding, graph: ir.Graph) -> ir.Value:
        """Output of the identity neuron `coding` on `value`, for readers in `graph`; added once.

        The neuron follows the node that produces `value`. If that lies outside `graph`, which is then a branch, the
        neuron comes first in the branch, so that it does not run where the branch is not taken.
        """
        key = (value, id(coding), graph)
        if key not in self._coded:
            builder, name = NodeBuilder(self._names), self._names.take(f"{value.name}/code")
            inputs = [_in_float32(builder, value), *self._parameters(coding, scaled=True)]
            polarity = coding.neuron.polarity
            y = self._spiking(builder, opset.MBE_NEURON, inputs, name, source="identity", polarity=polarity)
            y = _cast(builder, y, _computed_type(value), value.dtype)
            builder.name_outputs(builder.nodes, f"{name}_output")
            y.shape, y.type = value.shape, value.type
            producer = value.producer()
            if producer is not None and producer.graph is graph:
                graph.insert_after(producer, builder.nodes)
            else:
                graph.insert_before(graph[0], builder.nodes)
            self._coded[key] = y
        return self._coded[key]

    def _spiking(
        self,
        builder: NodeBuilder,
        operator: opset.Operator,
        inputs: Sequence[ir.Value],
        name: str,
        *,
        source: str,
        polarity: int = 0,
    ) -> ir.Value:
        """Output of a new spiking node called `name`; `source` is what it computes in the original network."""
        self.used.add(operator.name)
        return builder.op(
            operator.name,
            inputs,
            {"polarity": polarity} if operator.polarized else None,
            domain=opset.DOMAIN,
            version=opset.VERSION,
            name=name,
            metadata_props={SOURCE_KEY: source},
        )

    def _parameters(self, coding: Coding, scaled: bool) -> list[ir.Value]:
        """Initializers of the parameters of a neuron; with `scaled`, of its channel scales as well."""
        arrays = list(coding.neuron.tensors().values()) + ([coding.scale] if scaled else [])
        return [self._constant(array) for array in arrays]

    def _affine(self, site: Site, builder: NodeBuilder) -> list[ir.Value]:
        """Inputs gamma, beta and epsilon of a normalization, in float32."""
        if not isinstance(site, NormSite):
            return []
        affine = [site.gamma or self._constant(np.ones(1, np.float32))]
        if isinstance(site, LayerNormSite):
            affine.append(site.beta or self._constant(np.zeros(1, np.float32)))
        row = self._constants.get([-1], ir.DataType.INT64, "onnx_snn.constant")
        flat = [value.shape is not None and len(value.shape) == 1 for value in affine]
        affine = [
            value if is_flat else builder.op("Reshape", [value, row])
            for value, is_flat in zip(affine, flat, strict=True)
        ]
        epsilon = self._constant(np.asarray(site.epsilon, np.float32))
        return [*(_cast(builder, value, value.dtype, ir.DataType.FLOAT) for value in affine), epsilon]

    def _constant(self, array: Float32) -> ir.Value:
        """An initializer that holds `array`; equal arrays share one, which is named after their content."""
        digest = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
        return self._constants.get(array, ir.DataType.FLOAT, f"onnx_snn.{digest[:12]}")


def _cast(builder: NodeBuilder, value: ir.Value, source: ir.DataType | None, target: ir.DataType | None) -> ir.Value:
    """`value` cast from `source` to `target`, where either type is one that neurons do not take."""
    if source is target or not CAST_TYPES & {source, target}:
        return value
    cast = builder.op("Cast", [value], {"to": target})
    cast.type = None if target is None else ir.TensorType(target)
    return cast


def _in_float32(builder: NodeBuilder, value: ir.Value) -> ir.Value:
    """`value` in float32, as neurons take it.

    onnxruntime removes two casts in a row that change nothing, float32 to float64 and back, but overlooks that a Loop
    reads what they compute: a Sum of one operand in front of the neuron reads it instead.
    """
    narrow = _cast(builder, value, value.dtype, ir.DataType.FLOAT)
    wide = _cast_operand(narrow)
    if wide is None or wide.dtype is not ir.DataType.DOUBLE or _cast_operand(wide) is None:
        return narrow
    return builder.op("Sum", [narrow])


def _cast_operand(value: ir.Value) -> ir.Value | None:
    """What the Cast that computes `value` reads; None where another node computes it."""
    producer = value.producer()
    return producer.inputs[0] if producer is not None and producer.op_type in ("Cast", "CastLike") else None


def _computed_type(value: ir.Value) -> ir.DataType | None:
    """Element type of the output of a neuron on `value`: float32 if the value was cast, else its own type."""
    return ir.DataType.FLOAT if value.dtype in CAST_TYPES else value.dtype


def _mark_parts(nodes: Iterable[ir.Node], name: str, names: UniqueNames) -> None:
    """Mark the standard operators among `nodes` as parts of what the spiking node called `name` replaces.

    They are named after it, by unused `names`.
    """
    for node in nodes:
        if node.domain == "":
            node.metadata_props[PART_OF_KEY] = name
            node.name = names.take(f"{name}/{node.op_type}")


def _remove_dead(nodes: Iterable[ir.Node]) -> None:
    """Remove the nodes without readers among `nodes`, then the nodes and initializers that only those read."""
    queue = list(nodes)
    while queue:
        node = queue.pop()
        if node.graph is None or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        inputs = [value for value in node.inputs if value is not None]
        node.graph.remove(node, safe=True)
        queue += [producer for value in inputs if (producer := value.producer()) is not None]
        for value in inputs:
            graph = value.graph
            if value.is_initializer() and graph is not None and not (value.uses() or value.is_graph_input()):
                graph.initializers.pop(value.name or "", None)
