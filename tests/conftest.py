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
    "ci", derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("brief", settings.get_profile("ci"), max_examples=15)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

pytest_plugins = ["cli_requests", "weighted_model"]

INDEPENDENT = {"test_families", "test_hosts", "test_low_precision", "test_optimized"}
"""Modules whose tests share nothing and take long, so that any worker may run any of them."""

EXPORTING = {
    *("test_convert_decoders", "test_convert_exports", "test_rules_exports"),
    *("test_text_generation_optimum", "test_transformersjs"),
}
"""Modules that load PyTorch, which one worker does for all."""

MODELS = sorted(path.parent.name for path in (Path(__file__).parents[1] / "models").glob("*/model.onnx"))


def work_unit(nodeid: str) -> str:
    """What `nodeid` shares conversions with; one worker runs all of it."""
    module = Path(nodeid.split("::")[0]).stem
    if module in INDEPENDENT:
        return nodeid
    if module in EXPORTING:
        return "exports"
    network = next((name for name in MODELS if name in nodeid), "") if module == "test_models" else ""
    return f"{module} {network}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide the tests by `work_unit`, those with the most tests first."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return work_unit(nodeid)

    return Scheduling(config, log)


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
