# SPDX-License-Identifier: Apache-2.0
"""What a spiking network does on data: spikes, synaptic operations and energy.

Begin with `profiler`: the counts of a converted network on data.
May import `conversion` and what that imports.
"""
