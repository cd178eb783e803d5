# SPDX-License-Identifier: Apache-2.0
"""How far a spiking network is from its original: task metrics, output errors, loss bounds, sensitivity of each node.

Imports graph, neurons, data, runtime, decompositions and calibration; nothing that converts, profiles or tunes.
"""
