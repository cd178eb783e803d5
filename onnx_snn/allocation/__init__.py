# SPDX-License-Identifier: Apache-2.0
"""Allocation: which neuron every site gets, so that the network spends few spikes within an error at its output.

Begin with `budget`: from the candidates of every neuron (`candidates`, `knobs`) and what their errors do at the output
(`sensitivities`) to the cheapest choice (`price`). The term is bit allocation, of rate-distortion theory.
May import `profiling` and what that imports.
"""
