# SPDX-License-Identifier: Apache-2.0
"""What every graph tool needs: model files, names, constants, subgraphs, and which values are activations."""
