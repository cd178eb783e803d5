# SPDX-License-Identifier: Apache-2.0
"""How to run a converted folder, as the model card says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.json_files import read_object

PYTHON = """\
With the kernels (`pip install onnx-snn`), which compute spiking operators fast:

```python
import onnx_snn

session = onnx_snn.session("{path}")  # an onnxruntime.InferenceSession
```

In any other ONNX Runtime, by the functions in the file, with the same bits:

```python
import onnxruntime

session = onnxruntime.InferenceSession("{path}")
```"""

OPTIMUM = """\
Through Optimum, with the kernels:

```python
import onnx_snn
from optimum.onnxruntime import {model}

model = {model}.from_pretrained("."{arguments}, session_options=onnx_snn.session_options())
```"""

TRANSFORMERSJS = """\
In JavaScript, through transformers.js:

```js
import { pipeline } from '@huggingface/transformers';

const pipe = await pipeline(TASK, FOLDER, { dtype: 'fp32' });
```"""

OPTIMUM_CLASSES = (
    "AudioClassification",
    "AudioFrameClassification",
    "AudioXVector",
    "CTC",
    "CausalLM",
    "FeatureExtraction",
    "ImageClassification",
    "MaskedLM",
    "MultipleChoice",
    "QuestionAnswering",
    "SemanticSegmentation",
    "Seq2SeqLM",
    "SequenceClassification",
    "SpeechSeq2Seq",
    "TokenClassification",
    "Vision2Seq",
    "ZeroShotImageClassification",
)
"""What the classes of Optimum are for that load a folder: `ORTModelForCTC` and so on."""

SYNONYMS = {"LMHeadModel": "CausalLM", "Model": "FeatureExtraction", "ConditionalGeneration": "Seq2SeqLM"}
"""Ends of names of architectures in Transformers that are for the same as one of `OPTIMUM_CLASSES`."""

GENERATING = {"feature_extractor_type": "SpeechSeq2Seq", "image_processor_type": "Vision2Seq"}
"""What an architecture for conditional generation is for, by an entry of its preprocessor_config.json; else texts."""


def usage(folder: Path, models: Sequence[str], layout: Layout) -> str:
    """How to run a network, in Markdown.

    Args:
        folder: folder of the original, whose configuration names its architecture.
        models: file names of its models.
        layout: where they lie in the converted folder.
    """
    parts = [PYTHON.format(path=layout.model_path(models[0]).as_posix())]
    model = optimum_class(folder)
    if model:
        arguments = ', subfolder="onnx"' if layout is Layout.TRANSFORMERSJS else ""
        parts.append(OPTIMUM.format(model=model, arguments=arguments))
    if layout is Layout.TRANSFORMERSJS:
        parts.append(TRANSFORMERSJS)
    return "\n\n".join(parts)


def optimum_class(folder: Path) -> str:
    """Name of the class of Optimum that loads the architecture in config.json; empty where none is known to."""
    architectures = _entries(folder / "config.json").get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    end = re.search(r"(?<=For)[A-Z]\w+$|LMHeadModel$|Model$", name)
    purpose = end[0] if end else ""
    if purpose == "ConditionalGeneration":
        processor = _entries(folder / "preprocessor_config.json")
        purpose = next((GENERATING[entry] for entry in GENERATING if entry in processor), purpose)
    purpose = SYNONYMS.get(purpose, purpose)
    return f"ORTModelFor{purpose}" if purpose in OPTIMUM_CLASSES else ""


def _entries(path: Path) -> dict[str, Any]:
    """The JSON object in a file; none where it cannot be read."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}
