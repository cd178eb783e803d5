# SPDX-License-Identifier: Apache-2.0
"""The architecture, read from the source: imports only go down, nothing private leaves its folder, all is short."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "onnx_snn"
KERNELS = ROOT / "custom_ops" / "src"

LAYERS = [
    *(
        "errors",
        "limits",
        "json_files",
        "version",
        "formatting",
        "arrays",
        "extras",
        "metadata",
        "output_files",
        "output_paths",
        "graph",
        "neurons",
        "data",
        "runtime",
        "workers",
        "deployment",
    ),
    *(
        "rules",
        "decompositions",
        "config",
        "fitting",
        "calibration",
        "evaluation",
        "profiling",
        "events",
        "allocation",
        "conversion",
    ),
    *("conversion", "unrolling", "tuning", "reporting", "exporter", "packing", "generation", "cli"),
]
"""Modules and folders of the package, lowest first: each may import itself and what stands before it."""

TOP = {"__init__", "__main__"}
"""Modules of the package that may import all others, and that none of them imports."""

MODULE_LINES, FUNCTION_LINES = 300, 60

SOURCES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({path.parent for path in SOURCES})
SURROUNDINGS = sorted(
    path
    for folder in ("tests", "benchmarks", "models", "packaging")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
"""Modules that are no part of the package, and as short."""

CPP_SOURCES = sorted([*KERNELS.rglob("*.cc"), *KERNELS.rglob("*.h")])


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(source: str, package: str) -> Iterator[tuple[int, str, str]]:
    """Line, module and name, empty where the module itself is meant, of every import of `package` in `source`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [("." * node.level + (node.module or ""), alias.name) for alias in node.names]
        else:
            continue
        for module, name in found:
            if module.split(".")[0] in (package, ""):
                yield node.lineno, module, name


# --- layers --------------------------------------------------------------------------------------


def upward_imports(root: Path, layers: list[str]) -> list[str]:
    """What imports from a higher layer, or from no layer, in the package whose folder is `root`."""
    found = []
    for path in sorted(root.rglob("*.py")):
        layer = path.relative_to(root).parts[0].removesuffix(".py")
        if layer in TOP:
            continue
        allowed = layers[: layers.index(layer) + 1] if layer in layers else []
        for line, module, name in imports(path.read_text(), root.name):
            parts = [*module.split("."), name]
            if parts[0] != root.name or parts[1] not in allowed:
                found.append(f"{path.relative_to(root)}:{line}: {layer} imports {module} {name}".rstrip())
    return found


def test_every_import_goes_down() -> None:
    assert upward_imports(PACKAGE, LAYERS) == []


def test_every_module_has_a_layer() -> None:
    entries = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path in FOLDERS}
    assert entries == {*LAYERS, *TOP}


@pytest.mark.parametrize(
    "statement",
    [
        "from house.roof import tiles",
        "from house.roof.tiles import lay",
        "import house.roof.tiles",
        "from house import roof",
        "import house",
        "from ..roof import tiles",
        "def later():\n    from house.roof import tiles",
        "if TYPE_CHECKING:\n    from house.roof import Tiles",
        "from house.attic import chest",
    ],
)
def test_an_upward_import_is_seen(statement: str, tmp_path: Path) -> None:
    """In any form: deferred, for types only, relative, of the whole package, of a folder without a layer."""
    house = tmp_path / "house"
    for name in ("cellar", "walls", "roof", "attic"):
        (house / name).mkdir(parents=True)
    (house / "__init__.py").write_text("from house.roof import tiles\n")
    (house / "walls" / "bricks.py").write_text(
        "import os\nfrom house.cellar import stones\nfrom house.walls import x\n"
    )
    layers = ["cellar", "walls", "roof"]
    assert upward_imports(house, layers) == []
    (house / "walls" / "windows.py").write_text(statement)
    [found] = upward_imports(house, layers)
    assert found.startswith(f"{Path('walls', 'windows.py')}:")


# --- privacy -------------------------------------------------------------------------------------


def private_uses(source: str, package: str) -> list[str]:
    """Private names that `source` takes out of modules of `package`: by an import, or from an imported module."""

    def private(name: str) -> bool:
        return name.startswith("_") and not name.endswith("__")

    modules, found = set(), []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            source_of = getattr(node, "module", None)
            modules |= {
                (alias.asname or alias.name).split(".")[0]
                for alias in node.names
                if (source_of or alias.name).split(".")[0] == package
            }
    for line, module, name in imports(source, package):
        found += [f"{line}: {module} {name}".rstrip() for part in (*module.split("."), name) if private(part)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            base = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id in modules:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_nothing_private_is_taken_from_another_module(path: Path) -> None:
    assert private_uses(path.read_text(), "onnx_snn") == []


@pytest.mark.parametrize(
    ("source", "uses"),
    [
        ("from house.roof import _nail", 1),
        ("from house._roof import tiles", 1),
        ("import house._roof", 1),
        ("from house import roof\nroof._nail()", 1),
        ("import house.roof\nhouse.roof._nail.bend()", 1),
        ("from house.roof import nail, __version__\nnail.bend()\nself._nail\nprint(roof._nail)", 0),
        ("import argparse\nargparse._SubParsersAction", 0),
    ],
)
def test_private_uses_are_seen(source: str, uses: int) -> None:
    assert len(private_uses(source, "house")) == uses


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=relative)
def test_every_folder_says_what_it_is_for(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


@pytest.mark.parametrize("folder", FOLDERS, ids=relative)
def test_no_name_shadows_a_module(folder: Path) -> None:
    """`import onnx_snn.folder.module as m` gives a module, whatever its folder exports."""
    package = ".".join(folder.relative_to(ROOT).parts)
    for path in folder.iterdir():
        if path.stem in TOP or (path.suffix != ".py" and path not in FOLDERS):
            continue
        module = importlib.import_module(f"{package}.{path.stem}")
        assert isinstance(module, ModuleType)
        assert getattr(sys.modules[package], path.stem) is module


# --- length --------------------------------------------------------------------------------------


def long_functions(source: str) -> list[str]:
    """Functions of a Python source that have too many lines, docstrings included."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [node.name for node in functions if _last_line(node) - node.lineno >= FUNCTION_LINES]


def _last_line(node: ast.AST) -> int:
    return max(getattr(part, "end_lineno", 0) for part in ast.walk(node))


CPP_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*', re.DOTALL | re.MULTILINE
)
"""Comments, strings, characters, what the preprocessor reads."""

CPP_SCOPE = re.compile(r"\s*(template\s*<.*>\s*)?(inline\s+)?(namespace|class|struct|enum|union|extern)\b", re.DOTALL)
"""How a block begins that holds functions rather than statements."""


def long_blocks(source: str) -> list[str]:
    """Blocks of statements of a C++ source that have too many lines, by the last line of what opens them."""
    text = CPP_NOISE.sub(lambda noise: "\n" * noise[0].count("\n"), source)
    found: list[str] = []
    opened: list[int] = []
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            opened.append(match.start())
            continue
        start = opened.pop()
        opening = re.split(r"[;{}]", text[:start])[-1]
        first = start - len(opening.lstrip())
        if not CPP_SCOPE.match(opening) and text.count("\n", first, match.end()) >= FUNCTION_LINES:
            found.append(opening.strip().splitlines()[-1])
    assert opened == []
    return found


@pytest.mark.parametrize("path", [*SOURCES, *SURROUNDINGS, *CPP_SOURCES], ids=relative)
def test_modules_and_functions_are_short(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MODULE_LINES
    assert (long_functions if path.suffix == ".py" else long_blocks)(source) == []


@pytest.mark.parametrize(("lines", "found"), [(FUNCTION_LINES, False), (FUNCTION_LINES + 1, True)])
def test_long_functions_are_seen(lines: int, found: bool) -> None:
    python = "class A:\n    def b(self):\n" + "        c = 1\n" * (lines - 1) + "\n\nX = 1\n"
    assert long_functions(python) == ["b"] * found
    cpp = (
        "namespace a {\nclass A {\n  void B() {\n"
        + "    if (c) {\n    }\n" * 8
        + "    d();\n" * (lines - 18)
        + "  }\n};\n"
    )
    assert long_blocks(cpp + "}  // namespace a {\n") == ["void B()"] * found
