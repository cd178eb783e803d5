# SPDX-License-Identifier: Apache-2.0
"""Decomposition of functions and fused operators into standard operators, so that rules match inside them.

Begin with `gelu`, a typical family; `registry` lists all of them, and `decomposer` applies them to a model.
May import `rules` and what that imports.
"""
