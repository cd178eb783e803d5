# SPDX-License-Identifier: Apache-2.0
"""The text of each function body, one op a file; `onnx_snn.neurons.function_bodies` puts them together."""
