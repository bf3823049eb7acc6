"""Films as files: a GIF, or a page that stands by itself."""

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

from jaxbp._files import atomic_write
from jaxbp.viz.films import Film
from jaxbp.viz.pixels import few_colours, png_bytes
from jaxbp.viz.style import style

EMBED_LIMIT = 20.0  # megabytes of one page


def save_film(film: Film, path: str | Path, *, dpi: float = 80.0) -> Path:
    """Writes a film whole or not at all.

    Args:
        film: the film.
        path: .gif, or .html for one page with play, pause and step buttons that needs neither
            network nor files.
        dpi: dots per inch.

    Returns:
        The path written.

    Raises:
        ValueError: the name ends otherwise, or the film is too large for a page.
        OSError: the file cannot be written.
    """
    path = Path(path).expanduser()
    if path.suffix not in (".gif", ".html"):
        raise ValueError(f"path must end in .gif or .html, got {path.name}")
    with atomic_write(path) as partial:
        if path.suffix == ".gif":
            partial.write_bytes(gif_bytes(film, dpi))
        else:
            page = _page(_frames(film, dpi), film, path.stem.replace("_", " "))
            if len(page) > EMBED_LIMIT * 1e6:
                raise ValueError(
                    f"film must fit into {EMBED_LIMIT:g} MB as a page, got {len(page) / 1e6:.3g} MB: lower dpi or make "
                    "a .gif"
                )
            partial.write_text(page, encoding="utf-8")
    return path


def gif_bytes(film: Film, dpi: float = 64.0) -> bytes:
    """A GIF: frames of equal time, but for the last, which stays longer; the film repeats."""
    frames, each, buffer = _frames(film, dpi), round(1000 / film.fps), io.BytesIO()
    times = [each] * (len(frames) - 1) + [each + round(1000 * film.hold)]
    frames[0].save(
        buffer, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0
    )
    return buffer.getvalue()


def _frames(film: Film, dpi: float) -> list[Any]:
    """The pictures of a film, all in one palette: what stays the same has the same colour, and takes less room."""
    from PIL import Image

    frames = []
    for number in range(film.num_frames):
        film.show(number)
        with style():
            frames.append(Image.open(io.BytesIO(png_bytes(film.figure, dpi))).convert("RGB"))
    wide, high = frames[0].size
    strip = Image.new("RGB", (wide, high * len(frames)))
    for place, frame in enumerate(frames):
        strip.paste(frame, (0, high * place))
    strip = few_colours(strip)
    return [strip.crop((0, high * place, wide, high * (place + 1))) for place in range(len(frames))]


def _webp(picture: Any) -> bytes:
    """The same picture a fifth smaller than as a PNG."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "WEBP", lossless=True, quality=100)
    return buffer.getvalue()


def _page(frames: list[Any], film: Film, title: str) -> str:
    pictures = [
        f"data:image/webp;base64,{base64.b64encode(_webp(frame)).decode()}" for frame in frames
    ]
    values = {
        "TITLE": html.escape(title),
        "FIRST": pictures[0],
        "LAST": str(len(frames) - 1),
        "LATER": json.dumps(pictures[1:]),
        "TIME": str(round(1000 / film.fps)),
    }
    page = (Path(__file__).parent / "film.html").read_text(encoding="utf-8")
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", value)
    return page
