"""A network in columns: nodes with numbers below, arrows with numbers on them; in inches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from jaxbp.viz.style import GREY, WIDTH, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 7  # nodes of a layer that are shown; of more, the first ones, a gap and the last one
MAX_STEPS = 4  # from column to column beside each other; a deeper network continues below
PITCH = 0.86  # from one node down to the next
RADIUS = 0.17
SMALL = 8.0  # points
CHARACTER, LINE = 0.068, 0.135  # the width and the height that text of that size takes
BOX: Any = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}

Place: TypeAlias = tuple[float, float]


class Layout(NamedTuple):
    """Places of nodes.

    Attributes:
        sizes: of the layers, inputs first.
        shown: the units of each layer that are drawn.
        places: the centre of each node that is drawn, by (layer, unit).
        repeated: the same of the layers with which a band begins where another one ended: their
            edges start there.
        gaps: the centres of the marks for units that are not drawn, by layer.
        height: of the panel.
    """

    sizes: tuple[int, ...]
    shown: list[list[int]]
    places: dict[tuple[int, int], Place]
    repeated: dict[tuple[int, int], Place]
    gaps: dict[int, list[Place]]
    height: float

    @property
    def elided(self) -> tuple[int, ...]:
        """Number of units of each layer that are not drawn."""
        return tuple(size - len(some) for size, some in zip(self.sizes, self.shown, strict=True))

    @classmethod
    def of(cls, sizes: tuple[int, ...]) -> "Layout":
        """Place the layers in columns, each in the middle of the height of its band."""
        shown = [list(range(n)) if n <= MAX_ROWS else [*range(MAX_ROWS - 2), n - 1] for n in sizes]
        num_steps = len(sizes) - 1
        num_bands = -(-num_steps // MAX_STEPS)
        per_band = -(-num_steps // num_bands)
        most = max(min(n, MAX_ROWS) for n in sizes)
        places: dict[tuple[int, int], Place] = {}
        repeated: dict[tuple[int, int], Place] = {}
        gaps: dict[int, list[Place]] = {}
        for layer, (n, units) in enumerate(zip(sizes, shown, strict=True)):
            rows = min(n, MAX_ROWS)
            # The last column of a band is the first one of the next.
            ends = [(max(0, layer - 1) // per_band, places)]
            if 0 < layer < num_steps and layer % per_band == 0:
                ends.append((layer // per_band, repeated))
            for band, found in ends:
                x = 0.7 + (WIDTH - 1.9) / per_band * (layer - per_band * band)
                first = PITCH * (most * (num_bands - band - 1) + (most + rows - 1) / 2) + 0.2
                for row, unit in enumerate(units):
                    found[layer, unit] = (x, first - PITCH * (row if unit == row else MAX_ROWS - 1))
                if len(units) < n:
                    gaps.setdefault(layer, []).append((x, first - PITCH * (MAX_ROWS - 2)))
        return cls(sizes, shown, places, repeated, gaps, PITCH * most * num_bands)


def draw_network(
    ax: "Axes",
    layout: Layout,
    nodes: Mapping[Any, str],
    edges: Mapping[tuple[int, int, int], float],
    colour: str,
    *,
    backward: bool,
) -> tuple[dict[Any, Any], dict[tuple[int, int, int], Any]]:
    """Draw nodes, arrows and their numbers.

    Args:
        ax: a panel of WIDTH and the layout's height.
        layout: where.
        nodes: the text under each node by (layer, unit), and beside the outputs by ("target",
            unit).
        edges: the number on each edge by (layer, from, to); the width of an arrow shows its size.
        colour: of arrows and texts.
        backward: whether the arrows point to the left, and are dashed.

    Returns:
        The texts at the nodes; the numbers on the edges, but for those that would cover others.
    """
    ax.set(xlim=(0, WIDTH), ylim=(0, layout.height))
    ax.axis("off")
    text: Any = {"fontsize": SMALL, "ha": "center", "va": "center"}
    first_number = np.concatenate([[1], 1 + np.cumsum(layout.sizes)])
    texts: dict[Any, Any] = {}
    taken: list[tuple[float, ...]] = []  # left, low, right and high ends of boxes
    outputs = len(layout.sizes) - 1
    for places, ink in ((layout.places, "black"), (layout.repeated, GREY)):
        for (layer, unit), (x, y) in places.items():
            circle = {"boxstyle": "circle,pad=0.3", "facecolor": "white", "edgecolor": ink}
            shown = str(first_number[layer] + unit)
            ax.text(x, y, shown, zorder=4, color=ink, bbox=circle, **text)
            taken.append((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))
    for (layer, unit), lines in nodes.items():
        if layer == "target":
            x, y = layout.places[outputs, unit]
            ax.text(x + RADIUS + 0.08, y, lines, bbox=BOX, **text | {"ha": "left"})
            continue
        x, y = layout.places[layer, unit]
        look = text | {"va": "top", "zorder": 3, "bbox": BOX}
        texts[layer, unit] = ax.text(x, y - RADIUS - 0.04, lines, color=colour, **look)
        half = CHARACTER * max(map(len, lines.split("\n"))) / 2
        height = LINE * (1 + lines.count("\n"))
        taken.append((x - half, y - RADIUS - 0.06 - height, x + half, y - RADIUS))
    for layer, marks in layout.gaps.items():
        for x, y in marks:
            count = f"⋮ {layout.elided[layer]} more"
            ax.text(x, y, count, color=GREY, bbox=BOX, zorder=3, **text)
            taken.append((x - 0.4, y - 0.1, x + 0.4, y + 0.1))
    largest = max(map(abs, edges.values()), default=1.0) or 1.0
    starts = layout.places | layout.repeated
    ends = {
        (layer, i, j): (np.array(starts[layer - 1, i]), np.array(layout.places[layer, j]))
        for layer, i, j in edges
    }
    numbers = {}
    for edge, value in edges.items():
        start, end = ends[edge]
        _draw_arrow(ax, start, end, colour, value / largest, backward=backward)
        others = [line for other, line in ends.items() if other[0] == edge[0] and other != edge]
        shown = number(value, 4)
        place = _free_place(start, end, shown, taken, others)
        if place is not None:
            numbers[edge] = ax.text(place[0], place[1], shown, bbox=BOX, zorder=2.5, **text)
    return texts, numbers


def _draw_arrow(
    ax: "Axes", start: Any, end: Any, colour: str, share: float, *, backward: bool
) -> None:
    """Draw an arrow, wide for a large number, dotted for a negative one, dashed on the way back."""
    tail, head = (end, start) if backward else (start, end)
    line: Any = (0, (1, 1.6)) if share < 0 else (0, (5, 2)) if backward else "-"
    width = 0.6 + 1.8 * np.sqrt(abs(share)) if np.isfinite(share) else 0.6
    arrow: Any = {"arrowstyle": "-|>", "color": colour, "alpha": 0.9, "linestyle": line}
    arrow |= {"linewidth": width, "shrinkA": 13, "shrinkB": 13, "mutation_scale": 8}
    ax.annotate("", head, tail, arrowprops=arrow, zorder=1)


def _free_place(
    start: Any, end: Any, text: str, taken: list[tuple[float, ...]], others: list[Any]
) -> Any:
    """Return and take the place along an edge for its number, None where there is none.

    The number covers nothing, as few other edges as possible, and is near the middle.
    """
    half = np.array([CHARACTER * len(text) / 2 + 0.03, LINE / 2 + 0.01])
    found = None
    for share in (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7, 0.27, 0.73):
        place = start + share * (end - start)
        (left, low), (right, high) = place - half, place + half
        if all(left >= x1 or right <= x0 or low >= y1 or high <= y0 for x0, y0, x1, y1 in taken):
            crossed = sum(_crosses(line, place, half) for line in others)
            if found is None or crossed < found[0]:
                found = crossed, place, (left, low, right, high)
    if found is None:
        return None
    taken.append(found[2])
    return found[1]


def _crosses(line: Any, place: Any, half: Any) -> bool:
    """Return whether an edge runs through the box around a place."""
    (x0, y0), (x1, y1) = line
    # Its heights over the two sides of the box; no edge is upright.
    sides = (place[0] - half[0], place[0] + half[0])
    heights = [y0 + (y1 - y0) * (x - x0) / (x1 - x0) for x in sides]
    return bool(min(heights) < place[1] + half[1] and max(heights) > place[1] - half[1])
