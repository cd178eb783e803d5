# SPDX-License-Identifier: Apache-2.0
"""Functions and fused operators written out in standard operators, so that rules find what is nonlinear in them.

Begin with `gelu`, a typical family; `registry` lists them all, and `decomposer` goes over a model. One family a file.
May import `rules` and what that imports.
"""
