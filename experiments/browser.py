"""A headless Chromium, spoken to over a pipe with the standard library alone."""

import base64
import json
import os
import select
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 120
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser and one page of it; messages of the DevTools protocol are JSON, each ended by a zero byte."""

    def __init__(self, write: int, read: int) -> None:
        """Opens a page, cut off from the network; `write` and `read` are descriptors of the pipe to the browser."""
        self._write, self._read, self._buffer, self._count, self._session = write, read, b"", 0, ""
        self._loaded: set[str] = set()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)
        self.send(
            "Network.emulateNetworkConditions",
            offline=True,
            latency=0,
            downloadThroughput=0,
            uploadThroughput=0,
        )

    def send(self, method: str, **parameters: Any) -> Any:
        """Calls a method and waits for its answer; what happens meanwhile is noted."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(
            self._write,
            json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode()
            + b"\0",
        )
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _load(self, url: str) -> None:
        """Opens an address and waits until that document has loaded."""
        loader = self.send("Page.navigate", url=url)["loaderId"]
        while loader not in self._loaded:
            self._next()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._read], [], [], PATIENCE)[0], (
                f"the browser said nothing for {PATIENCE} s"
            )
            some = os.read(self._read, 1 << 20)
            assert some, "the browser ended"
            self._buffer += some
        raw, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        method, parameters = message.get("method", ""), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(
                parameters["exceptionDetails"].get("exception", {}).get("description", "exception")
            )
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(str(parameters["args"]))
        elif method == "Page.lifecycleEvent" and parameters["name"] == "load":
            self._loaded.add(parameters["loaderId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        return message

    def show(
        self,
        path: str | Path,
        width: int = 1600,
        height: int = 900,
        dark: bool = False,
        still: bool = False,
        view: str = "",
        scale: float = 1,
    ) -> None:
        """Opens a file in a window of that size, in pixels of the page; a picture of it has `scale` times as many."""
        self.requests.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        features = {
            "color-scheme": "dark" if dark else "light",
            "reduced-motion": "reduce" if still else "no-preference",
        }
        named = [{"name": f"prefers-{name}", "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=named)
        self._load("about:blank")
        self._load(Path(path).as_uri() + (f"#{view}" if view else ""))
        self.settle()  # the page may be laid out once more, for the size of the window

    def run(self, script: str) -> Any:
        """The value of an expression in the page, waited for where it is a promise."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def settle(self) -> None:
        """Waits until what was changed is drawn."""
        self.run(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def press(self, key: str) -> None:
        """Presses a key on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key)
        self.settle()

    def drag(self, selector: str, by: float) -> None:
        """Drags the middle of an element to the right."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        self.run(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{ block: 'center' }})"
        )
        x, y = self.run(f"(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])({box})")
        for kind, at in (
            ("mouseMoved", x),
            ("mousePressed", x),
            ("mouseMoved", x + by / 2),
            ("mouseMoved", x + by),
            ("mouseReleased", x + by),
        ):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=at,
                y=y,
                button="left",
                buttons=1,
                clickCount=1,
            )
        self.settle()

    def picture(self) -> bytes:
        """The window as a PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])


@contextmanager
def start(folder: str | Path) -> Iterator[Browser]:
    """Starts a browser that keeps its things in a folder, and ends it."""
    (child_read, write), (read, child_write) = os.pipe(), os.pipe()
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-crash-reporter",
        "--remote-debugging-pipe",
        f"--user-data-dir={folder}",
    ]
    # The protocol is read from descriptor 3 and written to descriptor 4.
    command = f"exec {shlex.join([BROWSER or '', *flags])} 3<&{child_read} 4>&{child_write}"
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    process = subprocess.Popen(["bash", "-c", command], pass_fds=(child_read, child_write), **quiet)
    os.close(child_read)
    os.close(child_write)
    try:
        yield Browser(write, read)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(write)
        os.close(read)
