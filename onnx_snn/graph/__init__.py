# SPDX-License-Identifier: Apache-2.0
"""Tools for ONNX graphs: reading and writing models, names, new nodes, constants, subgraphs, classification of values.

Begin with `activation_flow`: it classifies the values of a model as activations, constants or neither.
May import the modules at the top of the package below it: `errors`, `output_files`, `arrays` and the like.
"""
