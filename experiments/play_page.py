"""Film the page of the 3-4-2 network in use: walk, drag, break a rule, train."""

import io
import json
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import browser
from browser import Browser
from common import finish, run
from jaxbp._files import atomic_write


@dataclass(frozen=True)
class Config:
    """Flags of play_page."""

    page: str = ""
    """The page, as `walk.py` writes it; unless given that of the repository's figures."""
    out: str = "pictures"
    """Folder of the film."""
    show: bool = False
    """Open the film afterwards."""
    quiet: bool = False
    """Changes nothing: it prints the name of the film alone."""


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


def main(config: Config) -> None:
    """Plays, films."""
    if browser.BROWSER is None:
        raise ValueError("play_page needs a Chromium, and none is installed")
    page = Path(
        config.page or Path(__file__).parent.parent / "figures" / "walk_342.html"
    ).absolute()
    if not page.is_file():
        raise ValueError(f"page must be a file that walk.py wrote, got {config.page or page.name}")
    with tempfile.TemporaryDirectory() as folder, browser.start(folder) as opened:
        # Without header and settings, as in a slide: larger numbers.
        slide = Path(folder) / "slide.html"
        text = page.read_text(encoding="utf-8")
        slide.write_text(text.replace('"embed":false', '"embed":true'), encoding="utf-8")
        opened.show(slide, width=WIDTH, height=HEIGHT, view="check", scale=SCALE)
        frames = play(opened)
    finish(
        config,
        Path(config.out),
        "walk_page",
        {"frames": len(frames)},
        {"walk_page.gif": partial(write, frames)},
    )


def play(opened: Browser) -> Frames:
    """Walk through both passes, drag a weight, break a rule and train; return (picture, ms)."""
    frames: Frames = []

    def shot(milliseconds: int) -> None:
        opened.settle()
        frames.append((opened.picture(), milliseconds))

    def point(selector: str) -> None:
        opened.run(
            "(({ x, y, width, height }) => Object.assign(pointer.style,"
            " { left: `${x + width / 2}px`, top: `${y + height / 2}px` }))"
            f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )

    def change(part: dict[str, object], selector: str, milliseconds: int) -> None:
        opened.run(f"void jaxbp.set({json.dumps(part)})")
        opened.settle()
        point(selector)
        shot(milliseconds)

    opened.run(POINTER)
    forward = "#timeline [aria-label='one stage on']"
    last = opened.run("3 * (jaxbp.state().sizes.length - 1) + 1")
    for stage in range(last + 1):
        change({"view": "walk", "stage": stage}, forward, 600)
    for ref in ("e.1.0", "d.1.0", "gw.1.0.0"):
        change({"selected": ref}, f"[data-ref='{ref}']", 1300)
    params = opened.run("jaxbp.state().params")
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
        opened.run(f"jaxbp.step({steps})")
        shot(220)
    shot(1800)
    return frames


def write(frames: Frames, path: Path) -> Path:
    """Writes the pictures as a GIF of few colours that repeats."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture, _ in frames]
    # One palette for all: that of pictures with every colour in them, so that nothing flickers.
    together = Image.new("RGB", (images[0].width, 3 * images[0].height))
    for row, place in enumerate((len(images) // 3, 4 * len(images) // 7, -1)):
        together.paste(images[place], (0, row * images[0].height))
    palette = together.quantize(COLOURS, dither=Image.Dither.NONE)
    drawn = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    times = [milliseconds for _, milliseconds in frames]
    with atomic_write(path) as partly:
        drawn[0].save(
            partly, format="GIF", save_all=True, append_images=drawn[1:], duration=times, loop=0
        )
    return path


if __name__ == "__main__":
    run(main, Config)
