# SPDX-License-Identifier: Apache-2.0
"""What `packaging/wheels.py` lets pass as a wheel."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "packaging" / "wheels.py"


@pytest.fixture(scope="module")
def wheels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wheels", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["wheels"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def wheel_with(folder: Path, *libraries: str) -> Path:
    path = folder / "onnx_snn-1-py3-none-win_amd64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("onnx_snn/__init__.py", *libraries):
            archive.writestr(name, "")
    return path


@pytest.mark.parametrize("libraries", [(), ("onnx_snn/libonnx_snn_ops.so",), ("onnx_snn_ops.dll",)])
def test_a_wheel_without_the_library_of_its_platform_is_refused(
    libraries: tuple[str, ...], wheels: ModuleType, tmp_path: Path
) -> None:
    """A compilation that failed gives a wheel without kernels, which installations from source are meant to."""
    with pytest.raises(SystemExit, match=r"expected onnx_snn_ops\.dll: the compilation failed"):
        wheels.check(wheel_with(tmp_path, *libraries), wheels.PLATFORMS["win_amd64"])


def test_a_wheel_with_its_library_passes(wheels: ModuleType, tmp_path: Path) -> None:
    wheels.check(wheel_with(tmp_path, "onnx_snn/onnx_snn_ops.dll"), wheels.PLATFORMS["win_amd64"])


def test_tags_are_ordered_by_the_c_library(wheels: ModuleType) -> None:
    tags = ["manylinux_2_5_x86_64", "manylinux_2_17_aarch64", "manylinux_2_28_x86_64", "linux_x86_64"]
    versions = [wheels.version(tag) for tag in tags]
    assert versions == sorted(versions)
    assert versions[0] == (2, 5)
