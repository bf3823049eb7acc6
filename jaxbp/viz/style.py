"""What all figures share: the look, how one is made, what a drawing function returns, how a figure is written."""

import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
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
WIDTH = 8.6  # inches: 830 pixels on a page, so that 8 points stay 8 points
CHINESE_FAMILIES = (
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans SC",
        "Source Han Sans SC",
        "Source Han Sans CN",
    ),
    *(
        "WenQuanYi Micro Hei",
        "WenQuanYi Zen Hei",
        "Microsoft YaHei",
        "SimHei",
        "PingFang SC",
        "Heiti SC",
    ),
)

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.titlesize": 11,
    "hatch.color": "0.6",
    "savefig.dpi": 150,
    "svg.hashsalt": "jaxbp",  # the same bytes for the same figure
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Drawing:
    """What a drawing function made.

    Attributes:
        figure: the figure.
        axes: its panels by name.
        artists: what is drawn in them, by name.
        numbers: what was measured in order to draw: limits, levels, counts.
    """

    figure: "Figure"
    axes: "dict[str, Axes]" = field(default_factory=dict)
    artists: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Has what matplotlib takes out of an axis's numbers written as it is everywhere else."""
        for ax in self.figure.axes:
            for formatter in (ax.xaxis.get_major_formatter(), ax.yaxis.get_major_formatter()):
                formatter.get_offset = partial(_offset, formatter.get_offset)  # type: ignore[method-assign]


@cache
def chinese_family() -> str | None:
    """The first installed font family that has Chinese characters, None without one."""
    from matplotlib import font_manager

    fonts = font_manager.fontManager.ttflist
    if {font.name for font in fonts}.isdisjoint(
        CHINESE_FAMILIES
    ):  # matplotlib's cache may be older than a font
        for path in set(font_manager.findSystemFonts()) - {font.fname for font in fonts}:
            with suppress(RuntimeError, OSError):  # of a file that is no font
                font_manager.fontManager.addfont(path)
    installed = {font.name for font in fonts}
    return next((family for family in CHINESE_FAMILIES if family in installed), None)


def style() -> AbstractContextManager[None]:
    """Returns a context in which figures get the shared look; the global settings stay as they are.

    An installed Chinese font stands behind the usual one, which keeps minus signs and Greek
    letters.
    """
    import matplotlib

    family = chinese_family()
    return matplotlib.rc_context(_RC | ({"font.family": ["DejaVu Sans", family]} if family else {}))


def new_figure(width: float, height: float, title: str = "") -> "Figure":
    """Makes a figure, in inches, that pyplot does not know, so that nobody has to close it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        long = len(title) > 12 * width and "$" not in title
        figure.suptitle(wrap(title, int(12 * width)) if long else title)
    return figure


def panel(ax: "Axes | None", width: float, height: float) -> "tuple[Figure, Axes]":
    """The axes to draw one panel in and their figure: those given, or those of a new figure of that size."""
    if ax is None:
        ax = new_figure(width, height).subplots()
    return ax.get_figure(root=True), ax  # type: ignore[return-value]


def _offset(plain: Callable[[], str]) -> str:
    return powers(plain())


def powers(text: str) -> str:
    """The text with 1e−5 as ×10⁻⁵, +1e6 as +10⁶ and +1.5e6 as +1.5×10⁶."""

    def written(found: re.Match[str]) -> str:
        sign, mantissa, exponent = found.groups()
        factor = power(int(exponent.replace("−", "-")))
        return sign + (
            mantissa + factor if mantissa != "1" else factor.removeprefix("×") if sign else factor
        )

    return re.sub(r"([+−]?)(\d[\d.]*)e([−-]?\d+)", written, text)


def exponent_of(size: float) -> int:
    """The power of ten to number a scale in that goes up to `size`; 0 where plain numbers are short."""
    exponent = int(np.floor(np.log10(abs(size)))) if np.isfinite(size) and size != 0 else 0
    return 0 if -2 <= exponent <= 3 else max(-300, min(300, exponent))


def save_figure(figure: "Figure | SubFigure", path: str | Path) -> Path:
    """Writes a figure whole or not at all, without dates and versions, so that equal figures give
    equal bytes.

    Args:
        figure: what to write.
        path: .png, of 256 colours, or .svg; the folder is made if it is missing.

    Returns:
        The path written.

    Raises:
        ValueError: the name ends otherwise.
        OSError: the folder or the file cannot be written.
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
    """The picture of a figure in RGB, as Pillow has it."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return Image.open(buffer).convert("RGB")
