# SPDX-License-Identifier: Apache-2.0
"""Spike trains of neurons, in files: begin with `export`."""
