"""Films as files: a GIF, or a page that stands by itself."""

import html
import re
from pathlib import Path
from typing import Any

from jaxbp.files import whole_file
from jaxbp.viz.films import Film
from jaxbp.viz.style import style

EMBED_LIMIT = 20.0  # megabytes that matplotlib may put into one page


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
    import matplotlib
    from matplotlib.animation import FuncAnimation, PillowWriter

    look: Any = {"animation.embed_limit": EMBED_LIMIT, "savefig.dpi": dpi}
    with whole_file(path) as partial, style(), matplotlib.rc_context(look):
        options: Any = {"frames": film.num_frames, "interval": 1000 / film.fps, "blit": False}
        animation = FuncAnimation(film.figure, film.show, **options)
        if path.suffix == ".gif":
            writer: Any = PillowWriter(fps=film.fps)  # type: ignore[arg-type]
            animation.save(partial, writer=writer, dpi=dpi)
        else:
            player = animation.to_jshtml(default_mode="once")
            embedded = player.count("data:image/png;base64")
            if embedded < film.num_frames:
                raise ValueError(
                    f"film must fit into {EMBED_LIMIT:g} MB as a page, {embedded} of {film.num_frames} frames do: "
                    "lower dpi or make a .gif"
                )
            page = _PAGE.format(title=html.escape(path.stem), player=_without_ids(player))
            partial.write_text(page, encoding="utf-8")
    return path


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{player}
</body>
</html>
"""


def _without_ids(page: str) -> str:
    """Replaces the player's random identifier, for equal bytes of equal films, and the web font's symbols."""
    found = re.search(r"_anim_img([0-9a-f]{32})", page)
    page = page.replace(found.group(1), "film") if found else page
    page = re.sub(r'<link rel="stylesheet"\s+href="[^"]*">', "", page)
    return re.sub(r'<i class="fa fa-([a-z-]+?)(?: fa-flip-horizontal)?"></i>', _sign, page)


def _sign(match: re.Match[str]) -> str:
    signs = {"minus": "−", "plus": "+", "play": "▶", "pause": "❚❚", "step-backward": "‹", "step-forward": "›"}
    signs |= {"fast-backward": "|◀", "fast-forward": "▶|"}
    turned = ' style="display:inline-block;transform:scaleX(-1)"' if "fa-flip" in match.group(0) else ""
    return f"<span{turned}>{signs[match.group(1)]}</span>"
