"""Films as files: a GIF, or a page that stands by itself."""

import base64
import html
import io
import json
from pathlib import Path

from jaxbp._files import atomic_write
from jaxbp.viz.films import Film
from jaxbp.viz.pixels import few_colours, png_bytes
from jaxbp.viz.style import style

EMBED_LIMIT = 20.0  # megabytes of one page


def save_film(film: Film, path: str | Path, *, dpi: float = 80.0) -> Path:
    """Writes a film whole or not at all.

    Args:
        film: the film.
        path: .gif, or .html for one page with play, pause and step buttons that needs neither network nor files.
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
            frames = [_png(film, frame, dpi) for frame in range(film.num_frames)]
            page = _page(frames, film, path.stem.replace("_", " "))
            if len(page) > EMBED_LIMIT * 1e6:
                raise ValueError(
                    f"film must fit into {EMBED_LIMIT:g} MB as a page, got {len(page) / 1e6:.3g} MB: lower dpi or make "
                    "a .gif"
                )
            partial.write_text(page, encoding="utf-8")
    return path


def gif_bytes(film: Film, dpi: float = 64.0) -> bytes:
    """A GIF: frames of equal time, but for the last, which stays longer; the film repeats."""
    from PIL import Image

    frames = [Image.open(io.BytesIO(_png(film, frame, dpi))).convert("RGB") for frame in range(film.num_frames)]
    # With one palette what stays the same from frame to frame has the same colour, and takes no room in the file.
    wide, high = frames[0].size
    strip = Image.new("RGB", (wide, high * len(frames)))
    for place, frame in enumerate(frames):
        strip.paste(frame, (0, high * place))
    strip = few_colours(strip)
    images = [strip.crop((0, high * place, wide, high * (place + 1))) for place in range(len(frames))]
    each, buffer = round(1000 / film.fps), io.BytesIO()
    times = [each] * (len(images) - 1) + [each + round(1000 * film.hold)]
    images[0].save(buffer, format="GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return buffer.getvalue()


def _png(film: Film, frame: int, dpi: float) -> bytes:
    film.show(frame)
    with style():
        return png_bytes(film.figure, dpi)


def _webp(png: bytes) -> bytes:
    """The same picture a fifth smaller."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", lossless=True, quality=100)
    return buffer.getvalue()


def _page(frames: list[bytes], film: Film, title: str) -> str:
    pictures = [f"data:image/webp;base64,{base64.b64encode(_webp(frame)).decode()}" for frame in frames]
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
