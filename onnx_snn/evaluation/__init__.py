# SPDX-License-Identifier: Apache-2.0
"""How far a spiking network is from its original: metrics, errors and the share of each node in them.

Begin with `comparison`: both networks on the same data.
May import `calibration` and what that imports.
"""
