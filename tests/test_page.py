# SPDX-License-Identifier: Apache-2.0
"""The report as a page: in a browser it draws and fetches nothing; names of a model cannot break out of it."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

import networks
import numpy as np
import onnx
import pytest
from chromium import CHROMIUM, drawings, visit
from networks import tokens

import onnx_snn
from onnx_snn import ConfigError, OutputError, Survey, write_html
from onnx_snn.cli.main import main
from onnx_snn.profiling.energy import RULES
from onnx_snn.reporting.charts.losses import losses
from onnx_snn.reporting.charts.overview import overview
from onnx_snn.reporting.charts.page import check_reports, page

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">$'" + "/x" * 150
)
"""A node of this name would run a script wherever it is not escaped."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted Transformer whose GELU has a hostile name, its original and data."""
    folder = tmp_path_factory.mktemp("page")
    original = networks.transformer()
    next(node for node in original.graph.node if node.name == "gelu").name = HOSTILE
    onnx.save(original, folder / "model.onnx")
    labels = np.random.default_rng(2).integers(networks.VOCABULARY, size=(8, 6))
    np.savez(folder / "data.npz", labels=labels, **tokens(8))
    onnx_snn.convert(original, folder / "snn.onnx", tokens(16, seed=5), progress=False, fast=True)
    return folder


@pytest.fixture(scope="module")
def seen(folder: Path) -> Survey:
    return onnx_snn.survey(folder / "model.onnx", folder / "snn.onnx", folder / "data.npz", progress=False)


@pytest.fixture(scope="module")
def report(seen: Survey, folder: Path) -> Path:
    """The report as a file."""
    write_html(seen, folder / "report.html")
    return folder / "report.html"


@pytest.mark.browser
@needs_browser
def test_browser_draws_every_chart_and_fetches_nothing(report: Path, seen: Survey) -> None:
    visited = visit(report)
    assert visited.console == []
    assert visited.fetched == []
    charts = drawings(visited.document)
    assert set(charts) == {*overview(seen), "fit", "raster"}
    least = {"errors": len(seen.nodes), "spikes": len(seen.neurons), "energy": 2 * len(RULES)}
    for name, drawing in charts.items():
        assert drawing.marks >= least.get(name, 1), f"{name}: {drawing.marks} marks"
        assert drawing.sizes, f"{name} has no canvas"
        assert min(min(size) for size in drawing.sizes) > 200, f"{name}: {drawing.sizes}"


@pytest.mark.browser
@needs_browser
def test_names_of_nodes_run_no_script(report: Path, seen: Survey) -> None:
    """The neuron with the hostile name is shown, as text."""
    chosen = next(i for i, view in enumerate(seen.neurons) if HOSTILE in view.activity.name)
    visited = visit(report, f"#neuron={chosen}")
    assert visited.console == []
    title = re.search("<title>(.*?)</title>", visited.document)
    assert title is not None
    assert title[1] == "snn.onnx: report of a spiking network"
    heading = re.search('<h3 id="fit-title">(.*?)</h3>', visited.document, re.DOTALL)
    assert heading is not None
    assert "&lt;/script&gt;&lt;script&gt;" in heading[1]


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("asked", [3, 10_000])
def test_address_chooses_the_neuron(asked: int, report: Path, seen: Survey) -> None:
    visited = visit(report, f"#neuron={asked}")
    shown = seen.neurons[min(asked, len(seen.neurons) - 1)]
    heading = re.search('<h3 id="fit-title">(.*?)</h3>', visited.document, re.DOTALL)
    assert heading is not None
    assert shown.activity.name in html.unescape(heading[1])
    assert visited.document.count('class="chosen"') == 1
    caption = re.search('<p id="raster-caption">(.*?)</p>', visited.document, re.DOTALL)
    assert caption is not None
    assert caption[1].startswith("Each row")


@pytest.mark.browser
@needs_browser
def test_the_watch_sees_errors_and_fetches(tmp_path: Path) -> None:
    """A page that does what a report must not do is caught: otherwise silence would prove nothing."""
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><script>console.error('x')</script><img src='http://127.0.0.1:9/picture.png'>")
    visited = visit(bad)
    assert any("x" in line for line in visited.console)
    assert visited.fetched == ["http://127.0.0.1:9/picture.png"]
    assert drawings(visited.document) == {}


def test_page_is_whole_and_loads_nothing(report: Path, seen: Survey) -> None:
    """Outside of plotly.js, which is a program and not markup, no address leads out of the page."""
    text = report.read_text()
    markup = re.sub("<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""<[a-z][^>]*\s(src|href)\s*=\s*["']?(?!["'#]|data:)""", markup)
    assert "default-src 'none'" in markup
    assert HOSTILE not in text
    assert markup.count("<script") == 1
    for chart in overview(seen).values():
        assert f'data-chart="{chart.key}"' in markup
    assert not list(report.parent.glob(".report*")), "temporary files are left"


def test_page_tells_of_every_rule_with_its_source(report: Path, seen: Survey) -> None:
    text = report.read_text()
    for figure in seen.spiking.profile.energy.figures():
        assert figure.rule.name in text
        assert figure.rule.source.replace("'", "&#39;") in text


def test_page_without_labels_has_no_task_metric(folder: Path) -> None:
    unlabelled = onnx_snn.survey(folder / "model.onnx", folder / "snn.onnx", tokens(8), progress=False)
    text = page(unlabelled)
    assert "perplexity" not in text.partition("<script")[0]
    assert "no labels" in text


@pytest.mark.parametrize(("metric", "shown"), [("cosine", "cosine"), ("agreement", "agreement, %")])
def test_any_metric_is_shown(metric: str, shown: str, folder: Path) -> None:
    seen = onnx_snn.survey(
        folder / "model.onnx", folder / "snn.onnx", folder / "data.npz", metric=metric, samples=2, progress=False
    )
    assert f"<dd>{metric}; the original network has" in page(seen)
    assert [chart.panels[-1].y.title for chart in losses(seen)] == [shown, shown]


def test_command_line_writes_page_and_pictures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(folder / name) for name in ("model.onnx", "snn.onnx", "data.npz")]
    options = ["--html", str(tmp_path / "r.html"), "--png", str(tmp_path / "png"), "--samples", "4", "--sample", "2"]
    assert main(["report", *files, *options, "--cost", "accumulate=0.5", "-q"]) == 0
    assert "E_AC 0.5 an accumulate" in (tmp_path / "r.html").read_text()
    assert (tmp_path / "png" / "energy.png").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--html FILE"),
        (["--html", "{folder}/snn.onnx"], "is the input"),
        (["--html", "{folder}/data.npz"], "is the input"),
        (["--html", "{folder}/missing/r.html"], "does not exist"),
        (["--png", "{folder}/snn.onnx"], "is the input"),
        (["--html", "{folder}/r.html", "--sample", "99"], "sample is 99"),
        (["--html", "{folder}/r.html", "--also", "{folder}/model.onnx"], "no spiking nodes"),
    ],
)
def test_bad_requests_are_refused(
    options: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(folder / name) for name in ("model.onnx", "snn.onnx", "data.npz")]
    before = sorted(folder.iterdir())
    assert main(["report", *files, *(option.format(folder=folder) for option in options), "-q"]) == 1
    assert says in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("module", ["jinja2", "plotly.offline", "matplotlib"])
def test_missing_library_is_named_with_its_remedy(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"needs {module.partition('.')[0]} .*onnx-snn\[report\]"):
        check_reports(tmp_path / "r.html", tmp_path / "png")


def test_page_that_cannot_be_written_is_refused(seen: Survey, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_html(seen, tmp_path / "missing" / "report.html")
