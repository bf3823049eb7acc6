"""A network in columns: nodes, arrows between them, numbers under the one and on the other. Coordinates are inches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxbp.viz.style import GREY, WIDTH, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 7  # nodes of a layer that are shown; of more, the first ones, a gap and the last one
PITCH = 0.86  # from one node down to the next
RADIUS = 0.17
NARROWEST = 1.3  # between two columns
SMALL = 8.0  # points
CHARACTER, LINE = 0.068, 0.135  # the width and the height that text of that size takes
BOX: Any = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}


class Layout(NamedTuple):
    """Where everything stands.

    Attributes:
        sizes: of the layers, inputs first.
        shown: the units of each layer that are drawn.
        places: the centre of each node that is drawn, by (layer, unit).
        gaps: the centre of the mark for units that are not drawn, by layer.
        width: of the panel.
        height: of the panel.
    """

    sizes: tuple[int, ...]
    shown: list[list[int]]
    places: dict[tuple[int, int], tuple[float, float]]
    gaps: dict[int, tuple[float, float]]
    width: float
    height: float

    @property
    def elided(self) -> tuple[int, ...]:
        """How many units of each layer are not drawn."""
        return tuple(size - len(some) for size, some in zip(self.sizes, self.shown, strict=True))

    @classmethod
    def of(cls, sizes: tuple[int, ...]) -> "Layout":
        """Places the layers in columns, each in the middle of the height; a deep network makes a wide panel."""
        shown = [list(range(n)) if n <= MAX_ROWS else [*range(MAX_ROWS - 2), n - 1] for n in sizes]
        height = PITCH * max(min(n, MAX_ROWS) for n in sizes)
        step = max(NARROWEST, (WIDTH - 1.9) / (len(sizes) - 1))
        width = max(WIDTH, 1.9 + step * (len(sizes) - 1))
        places, gaps = {}, {}
        for layer, (n, units) in enumerate(zip(sizes, shown, strict=True)):
            x, first = 0.7 + step * layer, height / 2 + PITCH * (min(n, MAX_ROWS) - 1) / 2 + 0.2
            for row, unit in enumerate(units):
                places[layer, unit] = (x, first - PITCH * (row if unit == row else MAX_ROWS - 1))
            if len(units) < n:
                gaps[layer] = (x, first - PITCH * (MAX_ROWS - 2))
        return cls(sizes, shown, places, gaps, width, height)


def draw_network(
    ax: "Axes",
    layout: Layout,
    nodes: Mapping[Any, str],
    edges: Mapping[tuple[int, int, int], float],
    colour: str,
    *,
    backward: bool,
    more: str,
) -> tuple[dict[Any, Any], dict[tuple[int, int, int], Any]]:
    """Draws nodes, arrows and their numbers.

    Args:
        ax: a panel of the layout's width and height.
        layout: where.
        nodes: the text under each node by (layer, unit), and beside the outputs by ("target", unit).
        edges: the number on each edge by (layer, from, to); the width of an arrow shows its size.
        colour: of arrows and texts.
        backward: whether the arrows point to the left, and are dashed.
        more: the word behind the number of units that are not drawn.

    Returns:
        The texts at the nodes; the numbers on the edges, but for those that would cover others.
    """
    ax.set(xlim=(0, layout.width), ylim=(0, layout.height))
    ax.axis("off")
    first_number = np.concatenate([[1], 1 + np.cumsum(layout.sizes)])
    texts, taken = {}, []
    outputs = len(layout.sizes) - 1
    for (layer, unit), (x, y) in layout.places.items():
        ax.text(
            x, y, str(first_number[layer] + unit), fontsize=SMALL, ha="center", va="center", zorder=4,
            bbox={"boxstyle": "circle,pad=0.3", "facecolor": "white", "edgecolor": "0.2"},
        )  # fmt: skip
        taken.append((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))
        if (layer, unit) in nodes:
            text = nodes[layer, unit]
            texts[layer, unit] = ax.text(
                x, y - RADIUS - 0.04, text, fontsize=SMALL, color=colour, zorder=3, ha="center", va="top", bbox=BOX,
            )  # fmt: skip
            lines = text.split("\n")
            half = CHARACTER * max(map(len, lines)) / 2
            taken.append((x - half, y - RADIUS - 0.06 - LINE * len(lines), x + half, y - RADIUS))
        if layer == outputs:
            ax.text(x + RADIUS + 0.08, y, nodes["target", unit], fontsize=SMALL, ha="left", va="center", bbox=BOX)
    for layer, (x, y) in layout.gaps.items():
        count = f"⋮ {layout.elided[layer]} {more}"
        ax.text(x, y, count, fontsize=SMALL, ha="center", va="center", color=GREY, bbox=BOX, zorder=3)
        taken.append((x - 0.4, y - 0.1, x + 0.4, y + 0.1))
    largest = max(map(abs, edges.values()), default=1.0) or 1.0
    numbers = {}
    for (layer, i, j), value in edges.items():
        start, end = np.array(layout.places[layer - 1, i]), np.array(layout.places[layer, j])
        _draw_arrow(ax, start, end, colour, value / largest, backward=backward)
        place = _free_place(start, end, number(value, 4), taken)
        if place is not None:
            numbers[layer, i, j] = ax.text(
                place[0], place[1], number(value, 4), fontsize=SMALL, ha="center", va="center", bbox=BOX, zorder=2.5
            )
    return texts, numbers


def _draw_arrow(ax: "Axes", start: Any, end: Any, colour: str, share: float, *, backward: bool) -> None:
    """An arrow as wide as its share of the largest number; dotted where that is negative, dashed on the way back."""
    tail, head = (end, start) if backward else (start, end)
    line: Any = (0, (1, 1.6)) if share < 0 else (0, (5, 2)) if backward else "-"
    width = 0.6 + 1.8 * np.sqrt(abs(share)) if np.isfinite(share) else 0.6
    arrow: Any = {"arrowstyle": "-|>", "color": colour, "alpha": 0.9, "linewidth": width, "linestyle": line}
    ax.annotate("", head, tail, arrowprops=arrow | {"shrinkA": 13, "shrinkB": 13, "mutation_scale": 8}, zorder=1)


def _free_place(start: Any, end: Any, text: str, taken: list[tuple[float, float, float, float]]) -> Any:
    """The first place along an edge whose number covers nothing, which is then taken; None where there is none."""
    half = np.array([CHARACTER * len(text) / 2 + 0.02, LINE / 2 + 0.01])
    for share in (0.5, 0.4, 0.6, 0.33, 0.67, 0.27, 0.73):
        place = start + share * (end - start)
        (left, low), (right, high) = place - half, place + half
        if all(left >= x1 or right <= x0 or low >= y1 or high <= y0 for x0, y0, x1, y1 in taken):
            taken.append((left, low, right, high))
            return place
    return None
