# SPDX-License-Identifier: Apache-2.0
"""What a folder of Transformers says about its tokenizer: tokenizer.json and tokenizer_config.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from onnx_snn.data.tokenizer_library import TOKENIZER, open_tokenizer
from onnx_snn.errors import PackError
from onnx_snn.json_files import read_object
from onnx_snn.packing.extensions import EXTRA

CONFIG = "tokenizer_config.json"

UNLIMITED = 10**9
"""Lengths from here on are Transformers' way to say that a tokenizer has no largest one."""


class AddedToken(NamedTuple):
    """A token that is found in a text before the tokenizer reads it.

    Attributes:
        content: Its text.
        id: Its id.
        lstrip: It takes white space before it along.
        rstrip: It takes white space behind it along.
        normalized: It is looked for in normalized text, as its own text is normalized.
    """

    content: str
    id: int
    lstrip: bool
    rstrip: bool
    normalized: bool


@dataclass(frozen=True)
class Framing:
    """What is done with the ids of a text.

    Attributes:
        prefix: Ids that are put before.
        suffix: Ids that are put behind.
        pad_id: Id of padding.
        max_length: Ids that stay, those around included; None for all.
        width: Ids of every text, by padding; None for those of the longest one.
        pad_left: Padding is put before.
        truncate_left: What is too long loses its begin.
    """

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    pad_id: int = 0
    max_length: int | None = None
    width: int | None = None
    pad_left: bool = False
    truncate_left: bool = False

    def limited(self, max_length: int | None, width: int | None) -> Framing:
        """The same, with a largest length that is asked for, and a width that the network has.

        Raises:
            PackError: nothing but what is put around would fit.
        """
        limits = [limit for limit in (max_length or self.max_length, width) if limit is not None]
        around = len(self.prefix) + len(self.suffix)
        if limits and min(limits) <= around:
            raise PackError(f"a length of {min(limits)} leaves no token of a text, because {around} are put around it")
        return dataclasses.replace(self, max_length=min(limits, default=None), width=width)


@dataclass(frozen=True)
class TokenizerFiles:
    """A tokenizer as its files describe it.

    Attributes:
        path: tokenizer.json.
        model: Its `model`.
        normalizer: Its `normalizer`.
        splitting: Its `pre_tokenizer`.
        added: Its added tokens.
        framing: What is put around texts, and how they are padded.
    """

    path: Path
    model: dict[str, Any]
    normalizer: dict[str, Any] | None
    splitting: dict[str, Any] | None
    added: tuple[AddedToken, ...]
    framing: Framing


def read_tokenizer(folder: Path, pad_id: int | None) -> TokenizerFiles:
    """The tokenizer in `folder`; `pad_id` is that of the network, for a tokenizer that names none.

    Raises:
        PackError: a file is missing or no JSON object, or says what cannot be expressed.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        raise PackError(
            f"'{folder}' has no {TOKENIZER}; transformers.AutoTokenizer.from_pretrained(F).save_pretrained(F) writes "
            "one into the folder F where the tokenizer has a fast variant"
        )
    try:
        described = read_object(path)
        config = read_object(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    except (OSError, ValueError) as error:
        raise PackError(f"cannot read the tokenizer in '{folder}' as JSON objects: {error}") from error
    read_by_library(path)
    prefix, suffix = _around(described.get("post_processor"))
    length = config.get("model_max_length") or UNLIMITED
    check_agreement(described, config)
    return TokenizerFiles(
        path,
        model=described["model"],
        normalizer=described.get("normalizer"),
        splitting=described.get("pre_tokenizer"),
        added=tuple(_added(entry) for entry in described.get("added_tokens", ())),
        framing=Framing(
            prefix,
            suffix,
            pad_id=_pad_id(described, config, pad_id),
            max_length=int(length) if length < UNLIMITED else None,
            pad_left=config.get("padding_side") == "left",
            truncate_left=config.get("truncation_side") == "left",
        ),
    )


def read_by_library(path: Path) -> Any:
    """The tokenizer as the `tokenizers` library reads it.

    Raises:
        ConfigError: the library is not installed.
        PackError: it cannot read the file.
    """
    return open_tokenizer(path, "packing", EXTRA, PackError)


AGREEING = {
    "add_prefix_space": ("pre_tokenizer", "add_prefix_space"),
    "do_lower_case": ("normalizer", "lowercase"),
    "strip_accents": ("normalizer", "strip_accents"),
    "tokenize_chinese_chars": ("normalizer", "handle_chinese_chars"),
}
"""Options of tokenizer_config.json that Transformers prefers to those of tokenizer.json, and where these stand."""


def check_agreement(described: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse files of which one says otherwise than the other, because then ids depend on who reads them.

    Raises:
        PackError: an option differs.
    """
    for option, (part, name) in AGREEING.items():
        values = described.get(part) or {}
        if option in config and name in values and config[option] != values[name]:
            raise PackError(
                f"{CONFIG} has {option}={config[option]!r}, but {part} of {TOKENIZER} has {name}={values[name]!r}: "
                "load the tokenizer with Transformers and save it again"
            )


def _added(entry: dict[str, Any]) -> AddedToken:
    """An added token from its entry in tokenizer.json.

    Raises:
        PackError: it is found in another way than as it stands.
    """
    content = entry["content"]
    if entry.get("single_word"):
        raise PackError(f"added token {content!r} counts as a whole word only (single_word), which has no operator")
    flags = (bool(entry.get(name)) for name in ("lstrip", "rstrip", "normalized"))
    return AddedToken(content, entry["id"], *flags)


def _around(processor: dict[str, Any] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids before and behind a single text.

    Raises:
        PackError: the post-processor is of an unknown type, or repeats the text.
    """
    kind = processor.get("type") if processor else None
    if processor is None or kind == "ByteLevel":
        return (), ()
    if kind == "Sequence":
        prefix: tuple[int, ...] = ()
        suffix: tuple[int, ...] = ()
        for part in processor["processors"]:
            before, behind = _around(part)
            prefix, suffix = before + prefix, suffix + behind
        return prefix, suffix
    if kind in ("RobertaProcessing", "BertProcessing"):
        return (processor["cls"][1],), (processor["sep"][1],)
    if kind == "TemplateProcessing":
        return _template(processor)
    raise PackError(f"the post-processor {kind} is not supported; RobertaProcessing and TemplateProcessing are")


def _template(processor: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    parts: list[list[int]] = [[]]
    for piece in processor["single"]:
        if "Sequence" in piece:
            parts.append([])
        else:
            parts[-1] += processor["special_tokens"][piece["SpecialToken"]["id"]]["ids"]
    if len(parts) != 2:
        raise PackError(f"the template of single texts holds the text {len(parts) - 1} times, where once is supported")
    return tuple(parts[0]), tuple(parts[1])


def _pad_id(described: dict[str, Any], config: dict[str, Any], otherwise: int | None) -> int:
    """Id of padding: what tokenizer_config.json names, else tokenizer.json, else the network, else 0."""
    named = config.get("pad_token")
    content = named.get("content") if isinstance(named, dict) else named
    by_content = {entry["content"]: entry["id"] for entry in described.get("added_tokens", ())}
    if content in by_content:
        return int(by_content[content])
    padding = described.get("padding") or {}
    return int(padding.get("pad_id", otherwise or 0))
