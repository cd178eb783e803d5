# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the examples that Hypothesis draws, exported networks, and how workers divide the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from exports import export
from hypothesis import HealthCheck, settings

# The same examples everywhere, unless HYPOTHESIS_PROFILE says otherwise.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

INDEPENDENT = {"test_families", "test_hosts", "test_low_precision", "test_optimized"}
"""Modules whose tests share nothing and take long, so that any worker may run any of them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Leave the tests of a module, and those that export with PyTorch, to one worker: it makes what they share.

    Before pytest-xdist reads the groups.
    """
    for item in items:
        name = item.module.__name__
        if name not in INDEPENDENT and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group("export" if item.get_closest_marker("export") else name))


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of the exported network of a family, each exported once."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = tmp_path_factory.mktemp(family)
            export(family, folders[family])
        return folders[family]

    return folder


class SingleThreadedSession(onnxruntime.InferenceSession):
    """A session of one thread unless its options say otherwise: threads of several workers wait for each other."""

    def __init__(self, path_or_bytes: Any, sess_options: Any = None, *arguments: Any, **options: Any) -> None:
        sess_options = sess_options or onnxruntime.SessionOptions()
        if sess_options.intra_op_num_threads == 0:
            sess_options.intra_op_num_threads = 1
        super().__init__(path_or_bytes, sess_options, *arguments, **options)


if "PYTEST_XDIST_WORKER" in os.environ:
    onnxruntime.InferenceSession = SingleThreadedSession
