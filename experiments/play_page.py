"""Film the page of the 3-4-2 network in use: walk, drag, break a rule, train."""

from shared.experiment import Common, begin, finish, run

import io
import json
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SETTLED = "new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(() => d(1))))"
WIDTH, HEIGHT, SCALE = 1000, 760, 0.83  # of the window in pixels of the page, and of the picture
COLOURS = 192
# An arrow that shows where the mouse is: a headless browser draws none.
POINTER = """(() => {
  const arrow = document.createElement("div");
  arrow.id = "pointer";
  arrow.innerHTML = '<svg viewBox="0 0 12 19" width="18"><path d="M0 0v16l4-4 3 7 2.5-1-3-7h5.5z"'
    + ' fill="#111" stroke="#fff"/></svg>';
  arrow.style.cssText = "position:fixed;z-index:99;pointer-events:none;left:0;top:0";
  document.body.append(arrow);
})()"""

Frames = list[tuple[bytes, int]]


def main(config: Common) -> None:
    """Open the page in a headless Chromium, use it, write the film."""
    from playwright.sync_api import sync_playwright

    folder, chromium = begin(config), next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise ValueError("play_page needs a Chromium, and none is installed")
    page = Path(__file__).parents[1] / "figures" / "walk_342.html"
    if not page.is_file():
        raise ValueError(f"{page} must be there: run node_errors.py --out figures")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        # Without header and settings, as in a slide: larger numbers.
        slide = Path(temporary) / "slide.html"
        text = page.read_text(encoding="utf-8")
        slide.write_text(text.replace('"embed":false', '"embed":true'), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        size: Any = {"width": WIDTH, "height": HEIGHT}
        context = browser.new_context(viewport=size, device_scale_factor=SCALE, offline=True)
        opened = context.new_page()
        opened.goto(f"{slide.as_uri()}#check")
        frames = play(opened)
        browser.close()
    files = {"walk_page.gif": partial(write, frames)}
    finish(config, folder, "walk_page", {"frames": len(frames)}, files)


def play(opened: Any) -> Frames:
    """Walk through both passes, drag a weight, break a rule and train; return (picture, ms)."""
    frames: Frames = []

    def shot(milliseconds: int) -> None:
        opened.evaluate(SETTLED)
        frames.append((opened.screenshot(), milliseconds))

    def point(selector: str) -> None:
        opened.evaluate(
            "(({ x, y, width, height }) => Object.assign(pointer.style,"
            " { left: `${x + width / 2}px`, top: `${y + height / 2}px` }))"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )

    def change(part: dict[str, object], selector: str, milliseconds: int) -> None:
        opened.evaluate(f"void jaxbp.set({json.dumps(part)})")
        opened.evaluate(SETTLED)
        point(selector)
        shot(milliseconds)

    opened.evaluate(POINTER)
    forward = "#timeline [aria-label='one stage on']"
    last = opened.evaluate("3 * (jaxbp.state().sizes.length - 1) + 1")
    for stage in range(last + 1):
        change({"view": "walk", "stage": stage}, forward, 600)
    for ref in ("e.1.0", "d.1.0", "gw.1.0.0"):
        change({"selected": ref}, f"[data-ref='{ref}']", 1300)
    params = opened.evaluate("jaxbp.state().params")
    start = params[0]["weight"][0][0]
    for moved in (0, 3, 8, 14, 20, 26, 20, 10, 0):
        params[0]["weight"][0][0] = start + moved / 10
        change({"params": params, "selected": "w.1.0.0"}, "[data-ref='w.1.0.0']", 160)
    for mistake in ("local", "upstream", None):
        place = f".mistakes input[value='{mistake or ''}']"
        change({"view": "check", "broken": mistake}, place, 1900 if mistake else 900)
    training = {"rate": 1}
    change({"view": "training", "training": training}, "#panel-training .main", 900)
    for steps in (1, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120):
        opened.evaluate(f"jaxbp.step({steps})")
        shot(220)
    shot(1800)
    return frames


def write(frames: Frames, path: Path) -> None:
    """Write the pictures as a GIF of few colours that repeats."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture, _ in frames]
    # One palette for all: that of pictures with every colour in them, so that nothing flickers.
    together = Image.new("RGB", (images[0].width, 3 * images[0].height))
    for row, place in enumerate((len(images) // 4, 4 * len(images) // 7, -1)):
        together.paste(images[place], (0, row * images[0].height))
    palette = together.quantize(COLOURS, dither=Image.Dither.NONE)
    drawn = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    times = [milliseconds for _, milliseconds in frames]
    options = {"save_all": True, "append_images": drawn[1:], "duration": times, "loop": 0}
    drawn[0].save(path, format="GIF", **options)


if __name__ == "__main__":
    run(main, Common)
