# SPDX-License-Identifier: Apache-2.0
"""Export of Transformers models to ONNX, by Hugging Face Optimum."""

from __future__ import annotations

from pathlib import Path

from onnx_snn.errors import ModelError, OutputError
from onnx_snn.extras import required
from onnx_snn.output_paths import check_output_folder


def export(model: str | Path, output: str | Path, *, task: str = "auto", opset: int | None = None) -> None:
    """Export a Transformers model folder to an Optimum folder with `model.onnx`, configuration and tokenizer.

    Args:
        model: folder of the model, or its name on a hub that Transformers can reach.
        output: folder to write.
        task: Optimum's task name, such as "text-generation-with-past"; inferred by default.
        opset: version of the ONNX operator set; Optimum's default where None.

    Raises:
        ConfigError: Optimum is not installed.
        ModelError: Optimum cannot export the model.
        OutputError: `output` is a file, or the folder of the model.
    """
    if Path(output).is_file():
        raise OutputError(f"output '{output}' is a file; name a folder")
    check_output_folder("output", output, {"the model": model})
    main_export = required("optimum.exporters.onnx", "export", "export").main_export
    try:
        main_export(str(model), output=str(output), task=task, opset=opset)
    except Exception as error:  # Optimum and Transformers raise whatever their parts raise
        raise ModelError(f"'{model}': Optimum cannot export it: {error}") from error
