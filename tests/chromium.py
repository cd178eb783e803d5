# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium: the document after its scripts ran, what they wrote to the console, what was fetched."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Flags of a browser without a window that asks for nothing by itself."""

FLAGS = (
    *QUIET,
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--v=0",
    "--window-size=1280,1000",
    "--virtual-time-budget=10000",
    "--dump-dom",
)

TIMEOUT = 300
"""Seconds: a page takes some three, but a machine with other work may let it wait."""

BROWSER = "not an origin"
"""Who asks for an address when it is the browser itself: the time, updates."""


@dataclass(frozen=True)
class Visit:
    """What a page did.

    Attributes:
        document: HTML after the scripts ran.
        console: lines that they wrote to the console, errors included.
        fetched: addresses that the page asked for.
    """

    document: str
    console: list[str]
    fetched: list[str]


def visit(page: Path, fragment: str = "") -> Visit:
    """Open a file as a user does by a double click."""
    assert CHROMIUM is not None, "tests are skipped where there is no browser"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        log = Path(scratch) / "net.json"
        arguments = [f"--user-data-dir={scratch}/profile", f"--log-net-log={log}", f"{page.as_uri()}{fragment}"]
        done = subprocess.run(
            [CHROMIUM, *FLAGS, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=True
        )
        asked = fetched(log)
    return Visit(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line], asked)


def fetched(log: Path) -> list[str]:
    """Addresses that pages asked for, from the log of the network that a browser wrote."""
    requests = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return sorted({request["url"] for request in requests if request.get("initiator", BROWSER) != BROWSER})


@dataclass
class Drawing:
    """What a chart of plotly consists of.

    Attributes:
        sizes: width and height of its canvases in pixels.
        marks: lines, areas, bars, points and cells in them.
    """

    sizes: list[tuple[float, float]] = field(default_factory=list)
    marks: int = 0


def drawings(document: str) -> dict[str, Drawing]:
    """The charts of a document by their name."""
    parser = _Charts()
    parser.feed(document)
    return parser.found


class _Charts(HTMLParser):
    """Follows the elements within each chart."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Drawing] = {}
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = attributes.get("class", "").split()
        if tag == "div" and "chart" in classes:
            self.found[attributes.get("data-chart") or attributes["id"]] = Drawing()
            self._depth = 1
        elif self._depth and tag == "div":
            self._depth += 1
        if not self._depth:
            return
        drawing = list(self.found.values())[-1]
        if tag == "svg" and "main-svg" in classes:
            drawing.sizes.append((_pixels(attributes["width"]), _pixels(attributes["height"])))
        marked = {"js-line", "point", "js-fill", "points"} & set(classes) or attributes.get("class") is None
        if (tag == "path" and marked and attributes.get("d", "").startswith("M")) or tag == "image":
            drawing.marks += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div" and self._depth:
            self._depth -= 1


def _pixels(length: str) -> float:
    return float(re.sub("px$", "", length))
