# SPDX-License-Identifier: Apache-2.0
"""Metadata keys (`metadata_props`) of a converted model and of its nodes."""

VERSION_KEY = "onnx_snn.version"
"""Key of a model's metadata: the version of onnx-snn that converted it."""

CONFIG_KEY = "onnx_snn.config"
"""Key of a model's metadata: the options of the conversion, as JSON."""

UPGRADED_KEY = "onnx_snn.upgraded_from"
"""Key of a model's metadata: the opset of the original, where it was older than conversions need."""

GUARD_KEY = "onnx_snn.guard"
"""Key of a model's metadata, as JSON: the name of the output that counts saturated elements (`output`), the names of
the nodes by index of that output (`nodes`), and nodes that are not guarded, with the reason (`unguarded`)."""

INLINED_KEY = "onnx_snn.inlined"
"""Key of a model's metadata, where its spiking nodes are written as standard operators: a JSON list of these nodes,
each with its name (`name`), spiking op (`operator`), what it replaces (`source`), and its time steps times bases
(`slots`)."""

SOURCE_KEY = "pkg.onnx_snn.source"
"""Key of a spiking node's metadata: the function that it replaces, such as "gelu"; "identity" for a code."""

IDENTITY = "identity"
"""Value under `SOURCE_KEY` for a code, which replaces no function: it converts an activation into spikes."""

ORIGIN_KEY = "pkg.onnx_snn.origin"
"""Key of the metadata of a node of a decomposition: the name of the original's fused node that was decomposed."""

PART_OF_KEY = "pkg.onnx_snn.part_of"
"""Key, in the metadata of a node, of the name of the spiking node with which it replaces a node of the original, or
that it is a part of in a file without functions."""
