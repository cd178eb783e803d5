# SPDX-License-Identifier: Apache-2.0
"""Names of operator domains."""

from __future__ import annotations

MICROSOFT = "com.microsoft"
"""Domain of onnxruntime's own operators."""

LONG_STANDARD = "ai.onnx"
"""The other name of the domain of the standard operators, whose usual name is empty."""
