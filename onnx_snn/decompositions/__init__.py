# SPDX-License-Identifier: Apache-2.0
"""Functions and fused operators written out in standard operators, so that rules find what is nonlinear in them.

One family of operators a file. May import `graph`, `neurons`, `runtime`, `rules` and what lies below these.
"""
