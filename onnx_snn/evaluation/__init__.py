# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a spiking network against its original: task metrics, output errors, sensitivity to each node.

Begin with `comparison`: it runs both networks on the same data.
May import `calibration` and what that imports.
"""
