# SPDX-License-Identifier: Apache-2.0
"""The model card of a converted folder: README.md, whose front matter registries of models read.

Every figure in it is one of the conversion's report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from onnx_snn.conversion.folder_layout import Layout
from onnx_snn.conversion.merged_report import merged
from onnx_snn.conversion.model_card_usage import usage
from onnx_snn.conversion.report import ConversionReport, NodeReport, Status
from onnx_snn.formatting import printable
from onnx_snn.graph.file_digest import sha256
from onnx_snn.graph.source_files import source_files
from onnx_snn.json_files import read_object
from onnx_snn.profiling.energy import RULES, EnergyRule
from onnx_snn.profiling.gain import NAMED, STRICTEST, Gain
from onnx_snn.version import __version__

MODEL_CARD = "README.md"
"""Name of the model card in a folder."""

PROJECT = "https://github.com/onnx-snn/onnx-snn"

INHERITED = ("license", "license_name", "license_link", "language", "pipeline_tag")
"""Entries of the original's front matter that hold for the converted network as well, where they stand on one line."""

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""A name on a hub of models: owner and repository."""


def model_card(folder: Path, reports: Mapping[str, ConversionReport], layout: Layout, measured: str = "") -> str:
    """The card of a network that was converted from `folder`, in Markdown.

    Args:
        folder: folder of the original.
        reports: the conversion of each of its models, by file name.
        layout: where the models lie in the converted folder.
        measured: what tuning measured on labelled data, in one sentence.
    """
    report = merged(str(folder), None, list(reports.values()))
    name = _name(folder)
    parts = [
        "\n".join(_front_matter(folder, name)),
        f"# {_plain(name)}, spiking",
        _introduction(name, report),
        _table(("", ""), _origin(folder, reports, report, layout)),
        "## What spikes",
        _table(("nodes of the original", *(status.value for status in Status)), _coverage(report.nodes)),
        "## Loss",
        *_loss(report, measured),
        "## Spikes and energy",
        *_gain(report.gain),
        "## How to run it",
        usage(folder, sorted(reports), layout),
    ]
    return "\n\n".join(parts) + "\n"


def _introduction(name: str, report: ConversionReport) -> str:
    return (
        f"A spiking network, which [onnx-snn]({PROJECT}) {__version__} made of `{_plain(name)}` without training. "
        "Weights, inputs and outputs are those of the original. Nonlinear operations are neurons that fire in "
        f"{report.config.timesteps} time steps, and operands of products are coded by such neurons."
    )


def _name(folder: Path) -> str:
    """What the original is called: its name on a hub where its configuration has one, else that of its folder."""
    try:
        name = str(read_object(folder / "config.json").get("_name_or_path", ""))
    except (OSError, ValueError):
        name = ""
    return name if HUB_NAME.fullmatch(name) and not Path(name).exists() else folder.resolve().name


def _front_matter(folder: Path, name: str) -> Iterator[str]:
    yield "---"
    yield f"base_model: {json.dumps(name, ensure_ascii=False)}"
    yield "library_name: onnx"
    yield from _inherited(folder / MODEL_CARD)
    yield from ("tags:", "- onnx", "- onnx-snn", "- spiking-neural-network", "---")


def _inherited(card: Path) -> list[str]:
    """Lines of the front matter of another card that hold for this one as well."""
    try:
        lines = card.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        return []
    matter = lines[1 : lines.index("---", 1)]
    return [line for line in matter if re.fullmatch(r"(\w+): +[^\s|>&*!].*", line) and line.split(":")[0] in INHERITED]


def _origin(
    folder: Path, reports: Mapping[str, ConversionReport], report: ConversionReport, layout: Layout
) -> Iterator[tuple[str, str]]:
    config = report.config
    yield "time steps T", str(config.timesteps)
    yield "scope", config.scope.value
    yield "preset", config.preset.value
    if report.error is not None:
        yield "relative error allowed at the output", f"{config.error_budget:.2%}"
    yield "calibration samples", str(report.calibration_samples)
    yield "parameters of all neurons", str(report.parameters)
    for model in sorted(reports):
        yield "converted file", _code(layout.model_path(model).as_posix())
        for file in source_files(folder / model):
            yield f"SHA-256 of the original's {_code(file.name)}", _code(sha256(file))


def _coverage(nodes: Sequence[NodeReport]) -> Iterator[tuple[str, ...]]:
    labels = sorted({node.label for node in nodes})
    for label in labels:
        members = [node for node in nodes if node.label == label]
        yield _plain(label), *(str(sum(node.status is status for node in members)) for status in Status)


def _loss(report: ConversionReport, measured: str) -> Iterator[str]:
    if measured:
        yield measured
    yield f"Against the original, on {report.calibration_samples} calibration samples or fewer, without labels:"
    rows = [
        (
            _code(output.name),
            f"{output.relative_error:.2e}",
            f"{output.maximum_error:.2e}",
            "" if output.agreement is None else f"{output.agreement:.2%}",
        )
        for output in report.outputs
    ]
    yield _table(("output", "relative error", "largest error", "equal predictions"), rows)
    if report.warnings:
        yield "\n".join(f"- {_plain(warning)}" for warning in report.warnings)


def _gain(gain: Gain | None) -> Iterator[str]:
    if gain is None:
        yield "Not counted at the conversion; `onnx-snn profile` counts them."
        return
    if gain.elements:
        yield f"{gain.spikes_per_element:.2f} spikes per element that a product with weights reads."
    yield "Energy is counted, not measured, on calibration samples, and what is counted decides the answer:"
    rules = {rule.name: rule for rule in RULES}
    pairs = ((rules[NAMED], gain.energy), (rules[STRICTEST], gain.strictest_energy))
    yield _table(("rule", "formula", "of the original's energy"), (_energy_row(*pair) for pair in pairs))


def _energy_row(rule: EnergyRule, ratio: float) -> tuple[str, str, str]:
    return rule.name, _plain(rule.formula), f"{ratio:.0%}" if ratio == ratio else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _code(text: str) -> str:
    return f"`{_plain(text)}`"


def _plain(text: str) -> str:
    """`text` without what would end a cell of a table, a code span or a line."""
    return printable(text).replace("|", r"\|").replace("`", "'")
