"""A headless Chromium for tests of pages: playwright with the Chromium of the system."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
SETTLED = "new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(() => d(1))))"


class Browser:
    """One page without a network; collects complaints (errors, warnings) and requests."""

    def __init__(self, chromium: Any) -> None:
        self._chromium, self.page = chromium, None
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def show(
        self,
        path: str | Path,
        width: int = 1600,
        height: int = 900,
        dark: bool = False,
        still: bool = False,
        view: str = "",
        scale: float = 1,
        touch: bool = False,
    ) -> None:
        """Open a file, with `#view` in the address, in a new window of that size."""
        if self.page:
            self.page.context.close()
        self.requests.clear()
        context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
            has_touch=touch,
            offline=True,
        )
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                message.type in ("error", "warning") and self.complaints.append(message.text)
            ),
        )
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(Path(path).absolute().as_uri() + (f"#{view}" if view else ""))
        self.settle()

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page, awaited where it is a promise."""
        return self.page.evaluate(script)

    def settle(self) -> None:
        """Wait until changes are drawn."""
        self.page.evaluate(SETTLED)

    def press(self, key: str) -> None:
        """Press a key on the focused element."""
        self.page.keyboard.press(key)
        self.settle()

    def drag(self, selector: str, by: float) -> None:
        """Drag the middle of an element to the right, in pixels."""
        place = self.page.locator(selector).first
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by / 2, y)
        self.page.mouse.move(x + by, y)
        self.page.mouse.up()
        self.settle()

    def picture(self) -> bytes:
        """Return the window as a PNG."""
        return self.page.screenshot()


@contextmanager
def start() -> Iterator[Browser]:
    """Start a browser and close it afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
