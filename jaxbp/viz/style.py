"""The look that all figures share, and how they are written."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxbp.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

# Okabe and Ito's colours, distinguishable with every common form of colour blindness.
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK = (
    *("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000"),
)
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

_RC: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "savefig.dpi": 150,
    "svg.hashsalt": "jaxbp",  # the same bytes for the same figure
    "svg.fonttype": "path",
}


def style(further_family: str | None = None) -> AbstractContextManager[None]:
    """Returns a context in which figures get the shared look; the global settings stay as they are.

    Args:
        further_family: a font for characters that the usual one lacks.
    """
    import matplotlib

    families = {} if further_family is None else {"font.family": ["DejaVu Sans", further_family]}
    return matplotlib.rc_context(_RC | families)


def save_figure(figure: "Figure | SubFigure", path: str | Path) -> Path:
    """Writes a figure whole or not at all, without dates and versions, so that equal figures give equal bytes.

    Args:
        figure: what to write.
        path: .png or .svg; the folder is made if it is missing.

    Returns:
        The path written.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path = Path(path).expanduser()
    options: dict[str, Any] = {"metadata": {"Date": None, "Creator": None}}
    if path.suffix == ".png":
        options = {"metadata": {"Software": None}, "pil_kwargs": {"optimize": True}}
    with whole_file(path) as partial, style():
        figure.figure.savefig(partial, format=path.suffix[1:], **options)
    return path
