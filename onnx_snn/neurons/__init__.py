# SPDX-License-Identifier: Apache-2.0
"""The neuron, the functions it is fitted to, the spiking op set and the functions that define it in standard ONNX.

Begin with `mbe`: the equations of the neuron, in NumPy.
May import `graph` and what that imports.
"""
