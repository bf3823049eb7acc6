"""The look that all figures share, the type of a drawing, and files of figures."""

import io
import re
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import fill as wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp._files import as_path, atomic_write
from jaxbp._text import power as power
from jaxbp._text import typeset as number  # noqa: F401

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Okabe and Ito's colours, distinguishable with every common form of colour blindness, but darkened
# until text in them has a contrast of 4.5:1 with white.
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, BROWN = (
    "#0072B2",
    "#BF5200",
    "#007A5A",
    "#946300",
    "#A8508A",
    "#7A4B2A",
)
GREY, RED = "0.4", "#B00020"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, BROWN)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)))
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
GAP: Any = {"hatch": "////", "facecolor": "0.93", "edgecolor": "0.6", "linewidth": 0}
WIDTH = 8.6  # inches: 830 pixels on a page, so that 8 points stay 8 points
CHINESE_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # the first face of the collection that Linux distributions install
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
)

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": True,  # powers of ten as ×10⁻⁵
    "figure.titlesize": 11,
    "hatch.color": "0.6",
    "savefig.dpi": 150,
    "svg.hashsalt": "jaxbp",  # the same bytes for the same figure
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Drawing:
    """A figure with the artists in it, as returned by a drawing function.

    Attributes:
        figure: the figure.
        axes: its panels by name.
        artists: by name.
        numbers: limits, levels and counts that were measured in order to draw.
    """

    figure: "Figure"
    axes: "dict[str, Axes]" = field(default_factory=dict)
    artists: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)


@cache
def chinese_family() -> str | None:
    """Return the first installed font family that has Chinese characters, None without one."""
    from matplotlib import font_manager

    fonts = font_manager.fontManager.ttflist
    # The list that matplotlib keeps may be older than a font.
    if {font.name for font in fonts}.isdisjoint(CHINESE_FAMILIES):
        for path in set(font_manager.findSystemFonts()) - {font.fname for font in fonts}:
            with suppress(RuntimeError, OSError):  # of a file that is no font
                font_manager.fontManager.addfont(path)
    installed = {font.name for font in fonts}
    return next((family for family in CHINESE_FAMILIES if family in installed), None)


def style() -> AbstractContextManager[None]:
    """Return a context in which figures get the shared look; global settings stay as they are.

    An installed Chinese font follows the usual one, which keeps minus signs and Greek letters.

    Examples:
        >>> from jaxbp import viz
        >>> with viz.style():
        ...     figure = viz.draw_curves([1.0, 2.0], {"loss": [0.5, 0.25]}).figure
    """
    import matplotlib

    family = chinese_family()
    return matplotlib.rc_context(_RC | ({"font.family": ["DejaVu Sans", family]} if family else {}))


def new_figure(width: float, height: float, title: str = "") -> "Figure":
    """Make a figure, in inches, that pyplot does not know, so that it need not be closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        long = len(title) > 12 * width and "$" not in title
        figure.suptitle(wrap(title, int(12 * width)) if long else title)
    return figure


def panel(ax: "Axes | None", width: float, height: float) -> "tuple[Figure, Axes]":
    """Return the figure of the given axes and the axes, or those of a new figure of that size."""
    if ax is None:
        ax = new_figure(width, height).subplots()
    return ax.get_figure(root=True), ax  # type: ignore[return-value]


def exponent_of(size: float) -> int:
    """Return the power of ten for a scale up to `size`; 0 where plain numbers are short."""
    exponent = int(np.floor(np.log10(abs(size)))) if np.isfinite(size) and size != 0 else 0
    return 0 if -2 <= exponent <= 3 else max(-300, min(300, exponent))


def save_figure(figure: "Figure | SubFigure", path: str | Path) -> Path:
    """Write a figure, whole or not at all; equal figures give equal bytes.

    Args:
        figure: any of matplotlib.
        path: .png, of 256 colours, or .svg; the folder is made if it is missing.

    Returns:
        The path written.

    Raises:
        ValueError: the name ends otherwise.
        OSError: the folder or the file cannot be written.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> viz.save_figure(viz.draw_walk(trace).figure, "walk.svg").name
        'walk.svg'
    """
    path = as_path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"path must end in .png or .svg, got {path.name}")
    figure = figure.get_figure(root=True)
    with atomic_write(path) as partial, style():
        if path.suffix == ".png":
            picture = drawn_pixels(figure, 150).quantize(256, kmeans=2, dither=0)
            picture.save(partial, "PNG", optimize=True)
        else:
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            # Two decimals of the coordinates of paths: hundredths of a point.
            svg = re.sub(
                r' d="[^"]*"',
                lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()),
                buffer.getvalue(),
            )
            partial.write_text(svg, encoding="utf-8")
    return path


def drawn_pixels(figure: "Figure", dpi: float) -> Any:
    """Return a figure as an image of Pillow, in RGB."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return Image.open(buffer).convert("RGB")
