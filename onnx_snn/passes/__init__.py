# SPDX-License-Identifier: Apache-2.0
"""Stages of a conversion that read or edit the graph, one file a stage."""
