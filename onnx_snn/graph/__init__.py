# SPDX-License-Identifier: Apache-2.0
"""What every graph tool needs: models read and written, names, new nodes, constants, subgraphs, activations.

Begin with `activation_flow`: it tells the activations of a model from its constants.
May import the modules at the top of the package: `errors`, `output_files`, `formatting`, `metadata`, `version`.
"""
