# SPDX-License-Identifier: Apache-2.0
"""From prompts to texts by a decoder, converted or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort

from onnx_snn.errors import ConfigError
from onnx_snn.generation.decoder import Decoder, Reading
from onnx_snn.generation.decoder_files import decoder_files
from onnx_snn.generation.growing_text import Ending, GrowingText
from onnx_snn.generation.loop import Speed, grow
from onnx_snn.generation.options import NEW_TOKENS, GenerationOptions
from onnx_snn.generation.prompt import Side
from onnx_snn.generation.result import Generation
from onnx_snn.generation.special_tokens import GenerationSettings, generation_settings
from onnx_snn.generation.tokenizer import Tokenizer
from onnx_snn.output_files import PathLike
from onnx_snn.runtime.session import add_libraries, session

Prompt: TypeAlias = "str | Sequence[int]"
"""A text, or its tokens."""

DEFAULTS = GenerationOptions()


class TextGenerator:
    """A decoder with its tokenizer, ready to generate; needs neither PyTorch nor Transformers.

    Args:
        model: an .onnx file, or a folder as Optimum or the model builder of onnxruntime-genai writes it; converted or
            not.
        tokenizer: folder with a tokenizer.json, which prompts that are text need (extra `text`); by default that of the
            model.
        session_options: options of the sessions; onnxruntime's defaults where None.
        providers: execution providers; the CPU by default.
        kernels: register the library of kernels; without it spiking nodes run by the functions in the file.
        custom_ops: further libraries of custom operators to register.

    Raises:
        ModelError: the model cannot be loaded, or is no decoder.
        LibraryError: onnxruntime cannot load a library.
    """

    def __init__(
        self,
        model: PathLike,
        *,
        tokenizer: PathLike | None = None,
        session_options: ort.SessionOptions | None = None,
        providers: Sequence[Any] | None = None,
        kernels: bool = True,
        custom_ops: Sequence[str | Path] = (),
    ) -> None:
        files = decoder_files(Path(model))
        options = session_options or ort.SessionOptions()
        add_libraries(options, custom_ops)
        self._folders = files.folders
        self._tokenizer_folders = files.folders if tokenizer is None else (Path(tokenizer),)
        self._named = tokenizer is not None
        self._decoder = Decoder(
            files, lambda path: session(path, session_options=options, providers=providers, kernels=kernels)
        )

    def generate(self, prompts: Prompt | Sequence[Prompt], options: GenerationOptions = DEFAULTS) -> Generation:
        """Texts that follow prompts.

        Args:
            prompts: texts, or lists of tokens; or one of them.
            options: how they are generated.

        Raises:
            ConfigError: a prompt has no tokens or too many, or there is no tokenizer for text.
            ModelError: a network fails.
        """
        run = _Run(self, _listed(prompts), options)
        for _ in run.pieces():
            pass
        return run.generation

    def stream(self, prompt: Prompt, options: GenerationOptions = DEFAULTS) -> TextStream:
        """The text that follows one prompt, piece by piece as it is generated.

        Raises:
            ConfigError: the prompt has no tokens or too many, or there is no tokenizer for text.
            ModelError: a network fails.
        """
        return TextStream(_Run(self, [prompt], options))

    def texts(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[GrowingText]:
        """Texts that can grow from prompts.

        Raises:
            ConfigError: as of `generate`.
        """
        spoken = bool(options.stop) or any(isinstance(prompt, str) for prompt in prompts)
        tokenizer = self.tokenizer if spoken or self._has_tokenizer else None
        ends = self.settings.ends if options.stop_tokens is None else frozenset(options.stop_tokens)
        if not prompts:
            raise ConfigError("there is no prompt; give a text, or tokens")
        found = []
        for index, prompt in enumerate(prompts):
            tokens = self.tokenizer.tokens(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
            limits = {Ending.LENGTH: options.max_new_tokens}
            positions = self.settings.positions
            if not tokens or min(tokens) < 0:
                raise ConfigError(f"prompt {index} is {prompt!r:.60}; expected text, or tokens of 0 and above")
            if positions is not None:
                limits[Ending.CONTEXT] = positions - len(tokens)
                if len(tokens) >= positions:
                    raise ConfigError(
                        f"prompt {index} has {len(tokens)} tokens, which leaves none of the network's {positions} "
                        "positions for new ones; shorten it"
                    )
            found.append(GrowingText(tokens, tokenizer, ends=ends, stop=options.stop, limits=limits))
        return found

    def batches(self, texts: Sequence[GrowingText]) -> Iterator[tuple[Reading, list[int]]]:
        """What reads texts together, and the numbers of these: all, or those of one length if padding is no option."""
        lengths = [len(text.prompt) for text in texts]
        side = self._decoder.padding if len(set(lengths)) > 1 else Side.LEFT
        for length in [None] if side is not None else sorted(set(lengths)):
            indices = [index for index, size in enumerate(lengths) if length in (None, size)]
            yield Reading(self._decoder, side or Side.LEFT, self.settings.pad), indices

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Turns text into tokens.

        Raises:
            ConfigError: there is none.
        """
        return Tokenizer(self._tokenizer_folders)

    @cached_property
    def settings(self) -> GenerationSettings:
        """What the files of the network say about generation."""
        return generation_settings(self._folders, self.tokenizer.end if self._has_tokenizer else None)

    @cached_property
    def _has_tokenizer(self) -> bool:
        """Whether text can be made of tokens."""
        try:
            return self.tokenizer is not None
        except ConfigError:
            if self._named:
                raise
            return False


class _Run:
    """One generation."""

    def __init__(self, generator: TextGenerator, prompts: Sequence[Prompt], options: GenerationOptions) -> None:
        self._generator, self._speed = generator, Speed()
        self._texts = generator.texts(prompts, options)
        self._sampling = options.sampling(generator.settings.repetition_penalty)

    def pieces(self) -> Iterator[tuple[int, str]]:
        """Number of a text and what is added to it, token by token."""
        for reading, indices in self._generator.batches(self._texts):
            yield from grow(reading, [self._texts[i] for i in indices], indices, self._sampling, self._speed)

    @property
    def generation(self) -> Generation:
        """What has been generated so far."""
        return Generation.of(self._texts, self._speed)


class TextStream(Iterator[str]):
    """The text that follows one prompt, piece by piece as it is generated."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._pieces = (piece for _, piece in run.pieces() if piece)

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def generation(self) -> Generation:
        """Text, tokens and rates until here."""
        return self._run.generation


def generate(
    model: PathLike | TextGenerator,
    prompts: Prompt | Sequence[Prompt],
    *,
    tokenizer: PathLike | None = None,
    max_new_tokens: int = NEW_TOKENS,
    stop: Sequence[str] = (),
    stop_tokens: Sequence[int] | None = None,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float | None = None,
    seed: int = 0,
) -> Generation:
    """Texts that follow prompts, by a decoder, converted or not.

    Needs neither PyTorch nor Transformers. By default the likeliest token is taken, as by
    `ORTModelForCausalLM.generate(do_sample=False)`, and tokens are the same.

    Args:
        model: an .onnx file, or a folder as Optimum or the model builder of onnxruntime-genai writes it.
        prompts: texts, or lists of tokens; or one of them. Several are read as one batch.
        tokenizer: folder with a tokenizer.json, which prompts that are text need (extra `text`); by default that of the
            model.
        max_new_tokens: largest number of new tokens of a text.
        stop: texts before which a text ends.
        stop_tokens: tokens that end a text; those of the network's configuration where None.
        temperature: divisor of the logits; 0 takes the likeliest token.
        top_k: number of tokens to draw from, the likeliest ones; 0 for all.
        top_p: probability of the tokens to draw from, the likeliest ones; 1 for all.
        repetition_penalty: divisor of the logits of tokens that the text has; that of the network's configuration where
            None.
        seed: start of the random numbers; each text of a batch has its own.

    Raises:
        ConfigError: a prompt has no tokens or too many, an option is out of its range, or there is no tokenizer.
        ModelError: the model cannot be loaded, is no decoder, or fails.
        LibraryError: onnxruntime cannot load a library.
    """
    options = GenerationOptions(
        max_new_tokens,
        tuple(stop),
        None if stop_tokens is None else tuple(stop_tokens),
        temperature,
        top_k,
        top_p,
        repetition_penalty,
        seed,
    )
    generator = model if isinstance(model, TextGenerator) else TextGenerator(model, tokenizer=tokenizer)
    return generator.generate(prompts, options)


def _listed(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """Several prompts, also where one is given."""
    if isinstance(prompts, str):
        return [prompts]
    given: list[Any] = list(prompts)
    return given if all(np.ndim(prompt) or isinstance(prompt, str) for prompt in given) else [given]
