# SPDX-License-Identifier: Apache-2.0
"""A page in headless Chromium that a test uses as a person does, over the DevTools protocol: files, keys, pictures."""

from __future__ import annotations

import base64
import json
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chromium import CHROMIUM, QUIET, TIMEOUT, fetched

FLAGS = (
    *QUIET,
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)

PIPES = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
"""Shell command that gives a program its standard input and output as file descriptors 3 and 4."""


class Page:
    """A page that is open.

    Attributes:
        console: what its scripts and workers wrote, errors that nobody caught included.
        fetched: addresses that it asked for; known once the browser has ended.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.console: list[str] = []
        self.fetched: list[str] = []
        self._process, self._sent, self._session, self._rest = process, 0, "", b""

    def call(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a method of the protocol."""
        number = self._send(method, self._session if session is None else session, parameters)
        for answer in self._messages():
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError("the browser ended")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + TIMEOUT
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"{condition} is not true; console: {self.console}"
            time.sleep(0.02)

    def choose(self, selector: str, *files: Path) -> None:
        """Choose files in an input for them."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def press(self, key: str, code: int) -> None:
        """Press a key: its name and its virtual key code."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def show(self, width: int, scheme: str = "light", *, phone: bool = False) -> None:
        """Set the width of the window in pixels, and whether it is "light" or "dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=2, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path: Path) -> None:
        """Write the whole page as a PNG file."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def attach(self, address: str) -> None:
        """Open an address in a page of its own, watched from its beginning."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._watch(self._session)
        self.call("Page.enable")
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def _send(self, method: str, session: str, parameters: dict[str, Any]) -> int:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        return self._sent

    def _watch(self, session: str) -> None:
        """Have a page or a worker say what it writes, and name the workers that it starts."""
        self._send("Runtime.enable", session, {})
        self._send("Log.enable", session, {})
        attaching = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True}
        self._send("Target.setAutoAttach", session, attaching)

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Messages of the browser; what scripts write is kept, and workers are watched too."""
        assert self._process.stdout is not None
        while True:
            text, found, rest = self._rest.partition(b"\0")
            if not found:
                ready, _, _ = select.select([self._process.stdout], [], [], TIMEOUT)
                assert ready, "the browser does not answer"
                read = self._process.stdout.read1(1 << 16)
                if not read:
                    return
                self._rest += read
                continue
            self._rest = rest
            message = json.loads(text)
            self._note(message)
            if message.get("method") == "Target.attachedToTarget" and message.get("sessionId"):
                self._watch(message["params"]["sessionId"])
            yield message

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(part.get("value", part)) for part in parameters["args"]))
        elif message.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded":
            self.console.append(parameters["entry"]["text"])


@contextmanager
def page_at(address: str) -> Iterator[Page]:
    """A page at an address of this machine; other machines cannot be reached from it."""
    assert CHROMIUM is not None, "tests are skipped where there is no browser"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        log = Path(scratch) / "net.json"
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={scratch}/profile", f"--log-net-log={log}"]
        with subprocess.Popen(
            ["sh", "-c", PIPES, "sh", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            page = Page(process)
            try:
                page.attach(address)
                yield page
                page.call("Browser.close", session="")
                process.wait(TIMEOUT)
                page.fetched = fetched(log)
            finally:
                process.kill()
