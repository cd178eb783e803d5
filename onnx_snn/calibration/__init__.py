# SPDX-License-Identifier: Apache-2.0
"""What the tensors of a network hold on real data: histograms, channel norms and the branches taken."""
