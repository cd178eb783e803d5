# SPDX-License-Identifier: Apache-2.0
"""The command `generate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from onnx_snn.cli.installed_kernels import note_missing_kernels
from onnx_snn.cli.options import Commands, add_custom_ops
from onnx_snn.cli.terminal import note, write
from onnx_snn.errors import ConfigError
from onnx_snn.generation.generator import TextGenerator
from onnx_snn.generation.options import GenerationOptions
from onnx_snn.generation.result import Generation
from onnx_snn.runtime.session import session_options

DEFAULTS = GenerationOptions()


def add(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "generate", parents=[common], help="continue texts by a decoder, converted or not (extra: text)"
    )
    parser.add_argument(
        "-m",
        "--model",
        required=True,
        help=".onnx file, or a folder of Optimum or onnxruntime-genai",
    )
    parser.add_argument(
        "-p", "--prompt", action="append", default=[], metavar="TEXT", help="text to continue (repeatable)"
    )
    parser.add_argument("--prompts", metavar="FILE", help="texts to continue, one a line, as one batch")
    parser.add_argument(
        "--tokenizer", metavar="FOLDER", help="folder with a tokenizer.json (default: that of the model)"
    )
    parser.add_argument("--json", action="store_true", help="texts, tokens and rates as JSON")
    _add_choice(parser)
    parser.add_argument(
        "--no-kernels", dest="kernels", action="store_false", help="run by the functions in the file: same bits, slower"
    )
    add_custom_ops(parser)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """Add how tokens are chosen and when a text ends."""
    choice = parser.add_argument_group("tokens")
    choice.add_argument(
        "-n",
        "--max-new-tokens",
        type=int,
        default=DEFAULTS.max_new_tokens,
        metavar="N",
        help="largest number of new tokens (default: %(default)s)",
    )
    choice.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end a text before this one (repeatable)"
    )
    choice.add_argument(
        "--temperature",
        type=float,
        default=DEFAULTS.temperature,
        metavar="T",
        help="divide the logits by T and draw tokens; 0, the default, takes the likeliest one",
    )
    choice.add_argument(
        "--top-k", type=int, default=DEFAULTS.top_k, metavar="K", help="draw from the K likeliest tokens"
    )
    choice.add_argument(
        "--top-p",
        type=float,
        default=DEFAULTS.top_p,
        metavar="P",
        help="draw from the likeliest tokens that have probability P together",
    )
    choice.add_argument(
        "--repetition-penalty",
        type=float,
        metavar="R",
        help="divide the logits of tokens that the text has by R (default: that of the network's configuration)",
    )
    choice.add_argument(
        "--seed", type=int, default=DEFAULTS.seed, help="start of the random numbers (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Run the command; a single text is written while it is generated.

    Raises:
        OnnxSnnError: as of `TextGenerator`, there is no prompt, or the file of prompts cannot be read.
    """
    prompts = [*options.prompt, *_lines(options.prompts)]
    if not prompts:
        raise ConfigError("there is no text to continue; give one with --prompt, or a file with --prompts")
    generator = TextGenerator(
        options.model,
        tokenizer=options.tokenizer,
        session_options=session_options(quiet=True, kernels=options.kernels, custom_ops=options.custom_ops),
        kernels=options.kernels,
    )
    chosen = GenerationOptions(
        options.max_new_tokens,
        tuple(options.stop),
        None,
        options.temperature,
        options.top_k,
        options.top_p,
        options.repetition_penalty,
        options.seed,
    )
    if len(prompts) == 1 and not options.json:
        result = _streamed(generator, prompts[0], chosen)
    else:
        result = generator.generate(prompts, chosen)
        texts = [prompt + text for prompt, text in zip(prompts, result.texts, strict=True)]
        write(json.dumps(result.to_json(), indent=2) if options.json else "\n\n".join(texts))
    if options.kernels:
        note_missing_kernels(options)
    if not options.quiet:
        note(result.speed_text())


def _streamed(generator: TextGenerator, prompt: str, options: GenerationOptions) -> Generation:
    """Write a text while it is generated."""
    stream = generator.stream(prompt, options)
    write(prompt, end="")
    for piece in stream:
        write(piece, end="")
    write("")
    return stream.generation


def _lines(path: str | None) -> list[str]:
    """The lines of a file that are not empty.

    Raises:
        ConfigError: the file cannot be read.
    """
    if path is None:
        return []
    try:
        return [line for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read prompts from '{path}': {error}") from error
