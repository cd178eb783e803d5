# SPDX-License-Identifier: Apache-2.0
"""What a spiking network does on data: spikes, synaptic operations and energy."""
