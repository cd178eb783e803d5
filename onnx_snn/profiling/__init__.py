# SPDX-License-Identifier: Apache-2.0
"""What a converted network does on data: spikes, synaptic operations, energy, and what its file says of itself.

Imports graph, neurons, data, runtime, rules and the spike outputs of conversion; nothing that tunes or reports.
"""
