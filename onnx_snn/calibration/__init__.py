# SPDX-License-Identifier: Apache-2.0
"""What the tensors of a network hold on real data: histograms, channel norms and the branches taken.

Begin with `statistics`: it runs the original and counts every element of the tensors to be coded.
May import `fitting` and what that imports.
"""
