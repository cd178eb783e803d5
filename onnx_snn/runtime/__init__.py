# SPDX-License-Identifier: Apache-2.0
"""onnxruntime sessions: with the kernels, and with inner tensors of a graph as outputs.

Begin with `session`: it finds the library of kernels and registers it.
May import `data` and what that imports.
"""
