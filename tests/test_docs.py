# SPDX-License-Identifier: Apache-2.0
"""The documentation is complete: every public name has its place in the reference, and what pages name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import onnx_snn

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        ROOT / "models" / "README.md",
    ]
)
REFERENCE = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))


@pytest.mark.parametrize("name", [name for name in onnx_snn.__all__ if not name.startswith("__")])
def test_reference_has_every_public_name_once(name: str) -> None:
    assert len(re.findall(rf"^::: onnx_snn\.{name}$", REFERENCE, re.MULTILINE)) == 1


def test_reference_has_nothing_else() -> None:
    assert set(re.findall(r"^::: onnx_snn\.(\S+)$", REFERENCE, re.MULTILINE)) <= set(onnx_snn.__all__)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Relative links of every page, and paths within this repository that are named in code quotes."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    missing = [link for link in links if link and not (page.parent / link).exists()]
    paths = re.findall(r"`((?:onnx_snn|custom_ops|tests|docs|benchmarks|examples|models)/[\w./-]*)`", text)
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert not missing
