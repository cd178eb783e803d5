# SPDX-License-Identifier: Apache-2.0
"""The neuron, the functions it is fitted to, the spiking op set and the bodies that define it in standard ONNX."""
