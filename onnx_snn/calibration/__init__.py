# SPDX-License-Identifier: Apache-2.0
"""Calibration: statistics of a network's tensors on real data, as histograms, and the branches that the data takes.

Begin with `statistics`: it runs the original network and adds every element of the observed tensors to histograms.
May import `fitting` and what that imports.
"""
