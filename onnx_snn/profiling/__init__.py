# SPDX-License-Identifier: Apache-2.0
"""Measurement of a spiking network on data: spikes, synaptic operations, estimated energy.

Begin with `profiler`: it runs a converted network on data and collects the counts.
May import `evaluation` and what that imports.
"""
