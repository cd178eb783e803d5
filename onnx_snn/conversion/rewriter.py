# SPDX-License-Identifier: Apache-2.0
"""Rewrite: put the spiking ops of a plan into the graph.

Functions, softmax and normalizations are replaced by one spiking node each, whose output takes over the name
of the tensor it replaces. Products keep their native node; their activation operands pass through identity
neurons, one for each coded tensor and code in a graph, however many nodes read it there. No existing initializer
is touched. Neurons compute in float32; beside a tensor of float16 or bfloat16 stands a Cast.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnx_snn.conversion.plan import Coding, SitePlan
from onnx_snn.decompositions.type_inference import LOW_PRECISION
from onnx_snn.graph.subgraphs import graph_of
from onnx_snn.metadata import SOURCE_KEY
from onnx_snn.neurons import opset
from onnx_snn.neurons.mbe import Float32
from onnx_snn.neurons.roles import NeuronRole
from onnx_snn.rules.site import Kind, LayerNormSite, MatmulSite, NormSite, Site, SoftmaxSite

_OPERATORS = {
    Kind.FUNCTION: opset.MBE_NEURON,
    Kind.SOFTMAX: opset.SPIKING_SOFTMAX,
    Kind.LAYER_NORM: opset.SPIKING_LAYER_NORMALIZATION,
    Kind.RMS_NORM: opset.SPIKING_RMS_NORMALIZATION,
}


def rewrite(model: ir.Model, plans: Sequence[SitePlan]) -> list[str]:
    """Apply `plans` to `model` in place.

    Returns:
        The spiking op types that the model now uses, sorted.
    """
    writer = _Writer(model)
    for plan in plans:
        if plan.site.kind in _OPERATORS:
            writer.replace(plan)
    for plan in plans:
        if isinstance(plan.site, MatmulSite):
            writer.code_operands(plan.site, plan.neurons)
    model.graph.opset_imports[opset.DOMAIN] = opset.VERSION
    return sorted(writer.used)


class _Writer:
    """Adds spiking nodes and their parameters to one model."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.used: set[str] = set()
        self._constants: dict[str, ir.Value] = {}
        self._coded: dict[tuple[ir.Value, int, ir.Graph], ir.Value] = {}
        self._replaced: dict[ir.Value, ir.Value] = {}
        self._taken = {value.name for node in model.graph.all_nodes() for value in node.outputs}
        for graph in model.graphs():
            self._taken |= {*graph.initializers, *(value.name for value in graph.inputs)}

    def replace(self, plan: SitePlan) -> None:
        """Put one spiking node in the place of the nodes of a site."""
        site, operator = plan.site, _OPERATORS[plan.site.kind]
        chain = _Chain(self._replaced.get(site.inputs[0], site.inputs[0]))
        chain.cast(ir.DataType.FLOAT)
        permutation = _to_last_axis(site)
        chain.transpose(permutation)
        casts, affine = self._affine(site)
        inputs = [chain.value, *affine]
        for role in operator.roles:
            inputs += self._parameters(plan.neurons[role], role.is_scaled)
        polarity, source = plan.neurons[operator.roles[0]].neuron.polarity, site.function_name or site.rule
        chain.append(self._node(operator, inputs, site.name, source=source, polarity=polarity))
        chain.transpose(permutation)
        chain.cast(site.output.dtype)
        graph_of(site.node).insert_before(site.node, [*casts, *chain.nodes])
        for node in [*casts, *chain.nodes[:-1]]:
            node.outputs[0].name = self._free_name(f"{site.name}_output")
        self._take_over(site, chain.value)

    def _take_over(self, site: Site, output: ir.Value) -> None:
        """Give `output` the name, type and readers of the site's output and remove what is dead then."""
        old, name = site.output, site.output.name
        output.shape, output.type = old.shape, old.type
        old.name = self._free_name(f"{name}_replaced")
        output.name = name
        old.replace_all_uses_with(output, replace_graph_outputs=True)
        self._replaced[old] = output
        _remove_dead(site.nodes)

    def code_operands(self, site: MatmulSite, neurons: Mapping[NeuronRole, Coding]) -> None:
        """Let the activation operands of a product pass through identity neurons."""
        for role, reader, operand in zip(site.roles, site.readers, site.inputs, strict=True):
            code = self._code(self._replaced.get(operand, operand), neurons[role], graph_of(reader.node))
            reader.node.replace_input_with(reader.place, code)

    def _code(self, value: ir.Value, coding: Coding, graph: ir.Graph) -> ir.Value:
        """Output of the identity neuron `coding` on `value`, for readers in `graph`; made once.

        It stands right after the value. Where that lies outside `graph`, a branch, it opens the branch: another one
        has no use for it.
        """
        key = (value, id(coding), graph)
        if key not in self._coded:
            name = self._free_name(f"{value.name}/code")
            chain = _Chain(value)
            chain.cast(ir.DataType.FLOAT)
            inputs = [chain.value, *self._parameters(coding, scaled=True)]
            polarity = coding.neuron.polarity
            chain.append(self._node(opset.MBE_NEURON, inputs, name, source="identity", polarity=polarity))
            chain.cast(value.dtype)
            for node in chain.nodes:
                node.outputs[0].name = self._free_name(f"{name}_output")
            chain.value.shape, chain.value.type = value.shape, value.type
            producer = value.producer()
            if producer is not None and producer.graph is graph:
                graph.insert_after(producer, chain.nodes)
            else:
                graph.insert_before(graph[0], chain.nodes)
            self._coded[key] = chain.value
        return self._coded[key]

    def _node(
        self,
        operator: opset.Operator,
        inputs: Sequence[ir.Value],
        name: str,
        *,
        source: str,
        polarity: int = 0,
    ) -> ir.Node:
        attributes = {"polarity": polarity} if operator.polarized else None
        self.used.add(operator.name)
        return ir.node(
            operator.name,
            inputs,
            attributes,
            domain=opset.DOMAIN,
            version=opset.VERSION,
            name=name,
            metadata_props={SOURCE_KEY: source},
        )

    def _parameters(self, coding: Coding, scaled: bool) -> list[ir.Value]:
        arrays = list(coding.neuron.tensors().values()) + ([coding.scale] if scaled else [])
        return [self._constant(array) for array in arrays]

    def _affine(self, site: Site) -> tuple[list[ir.Node], list[ir.Value]]:
        """Inputs gamma, beta and epsilon of a normalization, and the nodes that bring them to float32."""
        if not isinstance(site, NormSite):
            return [], []
        affine = [_Chain(site.gamma or self._constant(np.ones(1, np.float32)))]
        if isinstance(site, LayerNormSite):
            affine.append(_Chain(site.beta or self._constant(np.zeros(1, np.float32))))
        for chain in affine:
            chain.cast(ir.DataType.FLOAT)
        epsilon = self._constant(np.asarray(site.epsilon, np.float32))
        return [node for chain in affine for node in chain.nodes], [*(chain.value for chain in affine), epsilon]

    def _constant(self, array: Float32) -> ir.Value:
        """An initializer that holds `array`; equal arrays share one."""
        digest = hashlib.sha256(repr(array.shape).encode() + array.tobytes()).hexdigest()
        if digest not in self._constants:
            name = self._free_name(f"onnx_snn.{digest[:12]}")
            value = ir.val(name, const_value=ir.tensor(array, name=name))
            self.model.graph.register_initializer(value)
            self._constants[digest] = value
        return self._constants[digest]

    def _free_name(self, name: str) -> str:
        """`name`, numbered when the model uses it already."""
        candidates = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        free = next(candidate for candidate in candidates if candidate not in self._taken)
        self._taken.add(free)
        return free


class _Chain:
    """Nodes one after the other, from a value on.

    Attributes:
        value: What comes out at the end.
        nodes: The nodes.
    """

    def __init__(self, value: ir.Value) -> None:
        self.value, self.nodes = value, list[ir.Node]()
        self._dtype = value.dtype

    def append(self, node: ir.Node) -> None:
        """Add a node that reads the value."""
        self.nodes.append(node)
        self.value = node.outputs[0]

    def cast(self, dtype: ir.DataType | None) -> None:
        """Bring the value to `dtype` where either is of low precision; neurons compute in float32."""
        if self._dtype is not dtype and LOW_PRECISION & {self._dtype, dtype}:
            self.append(ir.node("Cast", [self.value], {"to": dtype}))
            self.value.type = None if dtype is None else ir.TensorType(dtype)
            self._dtype = dtype

    def transpose(self, permutation: list[int] | None) -> None:
        """Swap axes where `permutation` is given."""
        if permutation:
            self.append(ir.node("Transpose", [self.value], {"perm": permutation}))


def _remove_dead(nodes: Iterable[ir.Node]) -> None:
    """Remove those of `nodes` that nobody reads, then what only they read: constants, initializers, inner nodes."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.graph is None or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        read = [value for value in node.inputs if value is not None]
        node.graph.remove(node, safe=True)
        waiting += [producer for value in read if (producer := value.producer()) is not None]
        for value in read:
            graph = value.graph
            if value.is_initializer() and graph is not None and not (value.uses() or value.is_graph_input()):
                graph.initializers.pop(value.name or "", None)


def _to_last_axis(site: Site) -> list[int] | None:
    """Permutation that swaps the axis of a softmax with the last one; None where it is the last one."""
    if not isinstance(site, SoftmaxSite) or site.axis == -1:
        return None
    shape = site.inputs[0].shape
    assert shape is not None, "fitting refuses it where the rank is unknown"
    permutation = list(range(len(shape)))
    permutation[site.axis], permutation[-1] = permutation[-1], permutation[site.axis]
    return permutation
