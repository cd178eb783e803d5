# SPDX-License-Identifier: Apache-2.0
"""From a distribution of values to the neuron that represents them best."""
