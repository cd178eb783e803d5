# SPDX-License-Identifier: Apache-2.0
"""onnxruntime sessions: with the kernels, and with tensors from within a graph as outputs."""
