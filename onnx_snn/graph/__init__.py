# SPDX-License-Identifier: Apache-2.0
"""What every graph tool needs: model files, unique names, constants, subgraphs, and which values are activations.

Begin with `activation_flow`: it tells the activations of a model from its constants.
May import `errors`, `version`, `formatting` and `metadata`.
"""
