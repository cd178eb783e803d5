# SPDX-License-Identifier: Apache-2.0
"""The declarations of examples/c are those of the kernels and, where its headers are given, of onnxruntime."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from c_program import EXAMPLES, HEADERS, WARNINGS, compiler

SOURCES = Path(__file__).parents[1] / "custom_ops" / "src"
OURS, EXAMPLE = SOURCES / "ort" / "ort_abi.h", EXAMPLES / "c" / "ort_api.h"

TABLE = re.compile(r"struct OrtApi \{(.*?)\n\}", re.DOTALL)
FUNCTION = re.compile(r"\(\*(\w+)\)\(.*?;(?:\s*/\* (\d+) \*/)?", re.DOTALL)


def functions(header: Path) -> dict[str, str]:
    """Names of the functions in a declaration of OrtApi, and the slots that comments say."""
    table = TABLE.search(header.read_text())
    assert table is not None
    return dict(FUNCTION.findall(table[1]))


def check(source: str, folder: Path) -> None:
    """Compile C++ in which the declarations of the example are in the namespace `example`."""
    file = folder / "check.cc"
    example = f'#include <cstddef>\n#include <cstdint>\nnamespace example {{\n#include "{EXAMPLE}"\n}}\n'
    file.write_text(example + source)
    include = [f"-I{SOURCES}", *([f"-I{HEADERS}"] if HEADERS else [])]
    subprocess.run([compiler("c++"), "-std=c++17", "-fsyntax-only", *WARNINGS, *include, str(file)], check=True)


def equal(name: str, place: str) -> str:
    """C++ that compares the place of a function in the example with another one."""
    return f'static_assert(offsetof(example::OrtApi, {name}) == {place}, "{name}");\n'


def slot(number: str) -> str:
    return f"sizeof(void (*)()) * {number}"


def test_slots_are_those_of_the_kernels(tmp_path: Path) -> None:
    declared = functions(EXAMPLE)
    assert all(declared.values())
    shared = functions(OURS).keys() & declared.keys()
    assert {"GetErrorMessage", "GetTensorMutableData", "GetTensorTypeAndShape", "ReleaseStatus"} <= shared
    source = '#include "ort/ort_abi.h"\nstatic_assert(ORT_API_VERSION == onnx_snn::kApiVersion, "version");\n'
    source += "".join(equal(name, slot(number)) for name, number in declared.items())
    source += "".join(equal(name, f"offsetof(onnx_snn::OrtApi, {name})") for name in shared)
    check(source, tmp_path)


def test_a_wrong_slot_is_seen(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        check(equal("CreateSession", slot("8")), tmp_path)


@pytest.mark.skipif(HEADERS is None, reason="ONNXRUNTIME_INCLUDE_DIR is not set")
def test_slots_are_those_of_onnxruntime(tmp_path: Path) -> None:
    source = "#undef ORT_API_VERSION\n#include <onnxruntime_c_api.h>\n"
    check(source + "".join(equal(name, f"offsetof(::OrtApi, {name})") for name in functions(EXAMPLE)), tmp_path)
