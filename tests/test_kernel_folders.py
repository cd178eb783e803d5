# SPDX-License-Identifier: Apache-2.0
"""The folders of the kernels' sources include each other in one direction only, as custom_ops/README.md lists them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CUSTOM_OPS = Path(__file__).resolve().parent.parent / "custom_ops"
SOURCES = CUSTOM_OPS / "src"


def kernel_folders() -> list[str]:
    """The folders that the map lists, lowest first."""
    return re.findall(r"^\*\*(\w+)/\*\*", (CUSTOM_OPS / "README.md").read_text(), re.MULTILINE)


def includes(source: Path) -> list[str]:
    return re.findall(r'^#include "(.+)"', source.read_text(), re.MULTILINE)


def test_every_folder_is_listed() -> None:
    assert sorted(kernel_folders()) == sorted(path.name for path in SOURCES.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", kernel_folders())
def test_no_include_leads_upwards(folder: str) -> None:
    below = kernel_folders()[: kernel_folders().index(folder) + 1]
    upwards = {
        f"{source.name}: {name}"
        for source in (SOURCES / folder).iterdir()
        for name in includes(source)
        if name.split("/")[0] not in below or not (SOURCES / name).is_file()
    }
    assert not upwards


def test_every_file_is_in_the_map() -> None:
    readme = (CUSTOM_OPS / "README.md").read_text()
    missing = {
        source.name
        for source in SOURCES.rglob("*.h")
        if f"`{source.name}`" not in readme and f"`{source.stem}.*`" not in readme
    }
    assert not missing
