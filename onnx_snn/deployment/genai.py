# SPDX-License-Identifier: Apache-2.0
"""A folder for onnxruntime-genai, which generates text by a converted decoder."""

from __future__ import annotations

from pathlib import Path

from onnx_snn.deployment.genai_config import GENAI_CONFIG, fit_genai_config
from onnx_snn.deployment.genai_decoder import decoder_config
from onnx_snn.deployment.model_copy import copy_model
from onnx_snn.errors import DeployError, OutputError
from onnx_snn.graph.model_folder import copy_sidecars, model_files, only_model
from onnx_snn.graph.model_reader import load_model
from onnx_snn.graph.staged_folder import staged_folder
from onnx_snn.output_files import write_json


def deploy_genai(model: str | Path, folder: str | Path) -> Path:
    """Write a folder for onnxruntime-genai, 0.10 or later, with the library of kernels where it is installed.

    Args:
        model: folder of a converted decoder with its tokenizer and configuration: as the model builder of
            onnxruntime-genai writes it, or as Optimum exports a decoder with a cache.
        folder: folder to write.

    Returns:
        The folder that was written.

    Raises:
        DeployError: `model` is no folder, the network is no decoder with a cache, or a configuration cannot be
            read.
        ModelError: the folder holds no network, or it cannot be read.
        OutputError: the folder cannot be written, or is that of the model.
    """
    source, folder = Path(model), Path(folder)
    if not source.is_dir():
        raise DeployError(f"'{source}' is no folder; give the folder of a decoder, which has its tokenizer as well")
    made = None
    if not (source / GENAI_CONFIG).is_file():
        file = only_model(source)
        made = decoder_config(load_model(file, upgrade=False), source, file.name)
    try:
        with staged_folder(folder, source) as stage:
            copy_sidecars(source, stage)
            for file in model_files(source):
                copy_model(file, stage / file.name)
            if made is not None:
                write_json(stage / GENAI_CONFIG, made)
            fit_genai_config(stage)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be written ({error})") from error
    return folder
