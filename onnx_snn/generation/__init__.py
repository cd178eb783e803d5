# SPDX-License-Identifier: Apache-2.0
"""Text generation by decoders, converted or not, over NumPy and onnxruntime.

Begin with `generator`: from prompts to texts. May import `runtime` and what that imports.
"""
