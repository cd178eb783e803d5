# SPDX-License-Identifier: Apache-2.0
"""Running networks with onnxruntime: sessions with the kernels, tensors in and out, and taps of inner tensors.

Imports graph and data.
"""
