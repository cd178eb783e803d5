# SPDX-License-Identifier: Apache-2.0
"""The statements of the function bodies by op; `onnx_snn.neurons.function_bodies` makes functions of them."""
