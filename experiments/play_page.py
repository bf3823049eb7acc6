"""Play with the page of the 3-4-2 network in a headless Chromium, and film it: walk, drag, break a rule, train."""

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


WIDTH, HEIGHT, SCALE = 1200, 880, 0.75  # of the window in pixels of the page, and of the picture
COLOURS = 128
# An arrow that shows where the mouse is: a headless browser draws none.
POINTER = """(() => {
  const arrow = make("div", { id: "pointer", html: '<svg viewBox="0 0 12 19" width="18"><path d="M0 0v16l4-4 3 7'
    + ' 2.500-1-3-7h5.500z" fill="#111" stroke="#fff"/></svg>' });
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
        opened.show(page, width=WIDTH, height=HEIGHT, view="check", scale=SCALE)
        frames = play(opened)
    finish(
        config,
        Path(config.out),
        "walk_page",
        {"frames": len(frames)},
        {"walk_page.gif": partial(write, frames)},
    )


def play(opened: Browser) -> Frames:
    """Does what a reader would; returns the pictures, each with the milliseconds that it stays."""
    frames: Frames = []

    def shot(milliseconds: int) -> None:
        opened.settle()
        frames.append((opened.picture(), milliseconds))

    def point(selector: str) -> None:
        opened.run(
            f"(({{ x, y, width, height }}) => Object.assign(pointer.style, {{ left: `${{x + width / 2}}px`, "
            f"top: `${{y + height / 2}}px` }}))(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )

    def click(selector: str) -> None:
        point(selector)
        opened.run(f"document.querySelector({json.dumps(selector)}).click(), page.flush()")

    opened.run(POINTER)
    opened.run("page.change({ stage: 0 }), page.flush()")
    forward = ".bar button[aria-label]:nth-of-type(3)"
    point(forward)
    shot(900)
    for _ in range(opened.run("3 * page.L() + 1")):  # through the passes
        click(forward)
        shot(550)
    for ref in ("e.1.0", "d.1.0", "gw.1.0.0"):  # what a number is made of
        point(f"[data-ref='{ref}']")
        opened.run(f"document.querySelector(\"[data-ref='{ref}']\").focus(), page.flush()")
        shot(1300)
    place = "[data-ref='w.1.0.0']"
    start = opened.run(
        f"document.querySelector({json.dumps(place)}).focus(), page.value('w.1.0.0')"
    )
    for moved in (
        0,
        3,
        8,
        14,
        20,
        26,
        20,
        10,
        0,
        -8,
        0,
    ):  # a weight is dragged: all that depends on it follows
        point(place)
        opened.run(f"pointer.style.left = parseFloat(pointer.style.left) + {2 * moved} + 'px'")
        opened.run(f"page.set('w.1.0.0', {start} + {moved / 10}), page.flush()")
        shot(160)
    for mistake in ("local", "upstream", ""):  # rules are broken
        click(f".mistakes input[value='{mistake}']")
        opened.run("new Promise((done) => setTimeout(done, 200))")
        shot(1900 if mistake else 900)
    click("#tab-training")
    rate = "#panel-training input[type='range'][min='-4']"
    point(rate)
    opened.run(
        f"((e) => {{ e.value = 0; e.dispatchEvent(new Event('input')); }})(document.querySelector({json.dumps(rate)}))"
    )
    shot(900)
    point("#panel-training button[aria-label]:nth-of-type(3)")
    for steps in (1, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120):  # it learns
        opened.run(f"views.training.advance({steps}), page.flush()")
        shot(220)
    shot(1800)
    return frames


def write(frames: Frames, path: Path) -> Path:
    """Writes the pictures as a GIF of few colours that repeats."""
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture, _ in frames]
    # One palette for all: that of pictures with every colour in them, so that nothing flickers.
    together = Image.new("RGB", (images[0].width, 3 * images[0].height))
    for row, place in enumerate((len(images) // 3, 3 * len(images) // 5, -1)):
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
