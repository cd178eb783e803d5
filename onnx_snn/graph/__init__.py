# SPDX-License-Identifier: Apache-2.0
"""What every graph tool needs: models read and written, names, new nodes, constants, subgraphs, activations.

May import `errors`, `output_files` and nothing else of the package.
"""
