# SPDX-License-Identifier: Apache-2.0
"""Names of operator domains."""

from __future__ import annotations

MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators."""

LONG_STANDARD = "ai.onnx"
"""Long name of the domain of the standard ONNX operators; the usual name is the empty string."""

MICROSOFT_BLOCKED = "com.microsoft.nchwc"
"""Domain of onnxruntime's operators on tensors whose channels are in blocks, which ORT_ENABLE_ALL writes."""

MACHINE_LEARNING = "ai.onnx.ml"
"""Domain of the operators of ONNX-ML, such as those of classifiers."""
