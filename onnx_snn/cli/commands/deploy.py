# SPDX-License-Identifier: Apache-2.0
"""The command `deploy`."""

from __future__ import annotations

import argparse

from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import Commands, add_custom_ops
from onnx_snn.cli.terminal import write
from onnx_snn.deployment.genai import deploy_genai
from onnx_snn.deployment.triton import DEFAULT_BATCH, deploy_triton
from onnx_snn.errors import ConfigError


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "deploy", parents=[common], help="write a converted network as servers and generators take it, with the kernels"
    )
    parser.add_argument(
        "-m", "--model", required=True, help="converted .onnx file, or a folder; for --genai the folder of a decoder"
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--triton", metavar="DIR", help="model repository of Triton to put the network into")
    target.add_argument("--genai", metavar="DIR", help="folder for onnxruntime-genai to write")
    triton = parser.add_argument_group("for Triton")
    triton.add_argument(
        "--name", help="name of the model (default: that of the file, or of the folder of a model.onnx)"
    )
    triton.add_argument(
        "--max-batch-size",
        type=int,
        metavar="N",
        help=f"most samples in one run, where requests can be batched (default: {DEFAULT_BATCH}; 0: no batching)",
    )
    triton.add_argument(
        "--served-from", metavar="PATH", help="path of DIR as the server sees it, such as /models (default: DIR itself)"
    )
    add_custom_ops(triton)


def run(options: argparse.Namespace) -> None:
    """Write what the arguments ask for.

    Raises:
        OnnxSnnError: as of `deploy_triton` and `deploy_genai`.
    """
    if options.genai is not None:
        triton = ("name", "max_batch_size", "served_from", "custom_ops")
        given = [name for name in triton if getattr(options, name) not in (None, [])]
        if given:
            raise ConfigError(f"{given} are options for Triton; leave them out, or give --triton in place of --genai")
        folder = deploy_genai(options.model, options.genai)
    else:
        size = DEFAULT_BATCH if options.max_batch_size is None else options.max_batch_size
        folder = deploy_triton(
            options.model,
            options.triton,
            name=options.name,
            max_batch_size=size,
            served_from=options.served_from,
            custom_ops=options.custom_ops,
        )
    note_missing_kernels(options)
    if not options.quiet:
        write(f"written: {folder}")
