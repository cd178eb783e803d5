# SPDX-License-Identifier: Apache-2.0
"""Tokenizers as graphs: ids as the `tokenizers` library gives them, or a refusal."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_networks import byte_level, compiled, save, unigram, wordpiece
from tokenizers import normalizers, pre_tokenizers

from onnx_snn.errors import PackError
from onnx_snn.packing.hard_texts import with_tokens
from onnx_snn.packing.tokenizer_files import Framing, read_tokenizer
from onnx_snn.packing.verification import check_ids, compare_ids, tokenizer_session

OPSET = 17

TABLE = {"²": "2", "\t": " ", "ﬁ": "fi", "\r": " ", "ｶ": "カ", "e\u0301": "é", "q\u0323": "ʠ", "\u00ad": ""}

KINDS: dict[str, Callable[[], Any]] = {
    "roberta": byte_level,
    "gpt2": lambda: byte_level(prefix=False),
    "bert": wordpiece,
    "cased bert": lambda: wordpiece(lower=False),
    "unigram": unigram,
    "unigram, words": lambda: unigram(words=True),
    "unigram, first": lambda: unigram("first"),
    "unigram, normalized": lambda: unigram(
        "never",
        normalizer=normalizers.Sequence(
            [
                normalizers.Precompiled(compiled(TABLE)),
                normalizers.Replace("``", '"'),
                normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
                normalizers.Strip(),
                normalizers.Lowercase(),
            ]
        ),
    ),
}

CHARACTERS = st.one_of(
    st.sampled_from(" \t\n\r  e\u0301\u0323\u200d²ﬁｶq.,'don漢か\u3099😀👩🏽한\u1112\u1161\x85"),
    st.characters(codec="utf-8"),
).filter(lambda character: character != "\0")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {kind: save(make(), root / kind.replace(" ", "-")) for kind, make in KINDS.items()}


def check(folder: Path, texts: list[str] | None = None, **framing: Any) -> None:
    files = read_tokenizer(folder, None)
    limits = framing.pop("max_length", None), framing.pop("width", None)
    changed = Framing(**{**vars(files.framing), **framing}).limited(*limits)
    check_ids(files, changed, OPSET, texts or with_tokens([token.content for token in files.added]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_ids_of_hard_texts_are_those_of_the_library(kind: str, folders: dict[str, Path]) -> None:
    check(folders[kind])


@pytest.fixture(scope="module")
def compare(folders: dict[str, Path]) -> Callable[[str, list[str]], None]:
    """Compares ids of texts by one session for each tokenizer."""

    @functools.cache
    def opened(kind: str) -> tuple[Any, Any]:
        files = read_tokenizer(folders[kind], None)
        return files, tokenizer_session(files, files.framing, OPSET)

    def run(kind: str, texts: list[str]) -> None:
        files, session = opened(kind)
        compare_ids(session, files, files.framing, texts)

    return run


@pytest.mark.parametrize("kind", ["roberta", "bert", "unigram, normalized"])
@settings(max_examples=12)
@given(texts=st.lists(st.text(CHARACTERS, max_size=20), min_size=12, max_size=12))
def test_ids_of_any_text_are_those_of_the_library(
    kind: str, compare: Callable[[str, list[str]], None], texts: list[str]
) -> None:
    compare(kind, texts)


@pytest.mark.parametrize(
    "framing",
    [
        {"pad_left": True},
        {"truncate_left": True, "max_length": 5},
        {"pad_left": True, "truncate_left": True, "max_length": 6, "width": 9},
        {"width": 12},
        {"max_length": 3},
    ],
)
def test_padding_and_truncation_on_either_side(framing: dict[str, Any], folders: dict[str, Path]) -> None:
    check(folders["roberta"], ["", "a", "a gripping film", "the dog " * 9], **framing)


def test_a_length_that_leaves_nothing_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(PackError, match="a length of 2 leaves no token"):
        check(folders["roberta"], max_length=2)


def test_the_first_difference_is_named(folders: dict[str, Path]) -> None:
    """A text ends at NUL in the operators."""
    with pytest.raises(PackError, match=r"'a\\x00b'.*where the tokenizers library gives"):
        check(folders["roberta"], ["a b", "a\0b", "c\0d"])


def with_added(*tokens: Any) -> Callable[[], Any]:
    def make() -> Any:
        tokenizer = wordpiece()
        tokenizer.add_tokens(list(tokens))
        return tokenizer

    return make


def test_added_tokens_are_found_in_normalized_text(tmp_path: Path) -> None:
    """As the library does: in any case, and with white space around that belongs to them."""
    tokens = [tokenizers.AddedToken("NewWord", normalized=True), tokenizers.AddedToken("§§", rstrip=True)]
    folder = save(with_added(*tokens, "§")(), tmp_path)
    check(folder, ["a newword b", "NEWWORD", "Néwword§§  x", "§ §§§\u3000y"])


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "normalizer": (lambda: unigram(normalizer=normalizers.NFKC()), "the normalizer NFKC of the tokenizer has no"),
    "decomposition": (lambda: unigram(normalizer=normalizers.NFD()), "the normalizer NFD .* without StripAccents"),
    "pattern": (
        lambda: unigram(normalizer=normalizers.Replace(tokenizers.Regex("a+"), "b")),
        "Replace of the pattern 'a\\+'",
    ),
    "whole words": (with_added(tokenizers.AddedToken("new", single_word=True)), "'new' counts as a whole word only"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_operator_is_refused(case: str, tmp_path: Path) -> None:
    make, reason = REFUSED[case]
    with pytest.raises(PackError, match=reason):
        check(save(make(), tmp_path), ["a"])


def splitting(part: Any) -> str:
    tokenizer = byte_level()
    tokenizer.pre_tokenizer = part
    return tokenizer


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (pre_tokenizers.Whitespace(), r"splits texts by \['Whitespace'\]"),
        (pre_tokenizers.ByteLevel(use_regex=False), "without use_regex"),
    ],
)
def test_other_splittings_of_bytes_are_refused(part: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=reason):
        check(save(splitting(part), tmp_path), ["a"])


def test_words_that_are_no_matter_of_single_characters_are_refused(tmp_path: Path) -> None:
    """`Whitespace` keeps several signs together."""
    tokenizer = wordpiece()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(PackError, match="splits words by Whitespace, not character by character"):
        check(save(tokenizer, tmp_path), ["a"])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"add_prefix_space": False}, "has add_prefix_space=False, but pre_tokenizer of tokenizer.json has"),
        ({"pad_token": 3}, ""),
    ],
)
def test_files_that_disagree_are_refused(config: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = save(byte_level(), tmp_path, **config)
    if not reason:
        check(folder, ["a"])
        return
    with pytest.raises(PackError, match=reason):
        check(folder, ["a"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": {}}', '{"version": "1.0"}'])
def test_damaged_files_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(PackError, match=r"cannot read"):
        check(tmp_path, ["a"])


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"has no tokenizer.json; transformers"):
        check(tmp_path, ["a"])


def test_a_damaged_normalization_is_refused(tmp_path: Path) -> None:
    folder = save(KINDS["unigram, normalized"](), tmp_path)
    described = json.loads((folder / "tokenizer.json").read_text())
    step = described["normalizer"]["normalizers"][0]
    step["precompiled_charsmap"] = base64.b64encode(b"\x10\0\0\0short").decode()
    (folder / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(PackError, match="cannot"):
        check(folder, ["a"])
