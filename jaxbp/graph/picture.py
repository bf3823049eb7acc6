"""A graph as notebooks show it: boxes in columns, edges from left to right."""

import html
from collections.abc import Sequence
from itertools import pairwise

from jaxbp._html import picture
from jaxbp.graph.layout import Box, Point, place

SCALE = 96.0  # pixels of an inch
WIDEST = 7.0  # inches; further columns go on below
LABEL = (
    "computational graph: in each box the operation, its value, the derivative of the output to it"
)


def graph_svg(lines: Sequence[Sequence[str]], edges: Sequence[tuple[int, int]]) -> str:
    """Draws a box around the lines of each node, and an arrow along each edge, in the colour of the
    page's text.

    Args:
        lines: by node, parents before children: its label, and what is to stand below it.
        edges: parent and child, as numbers of nodes.
    """
    boxes = {node: Box.around(some) for node, some in enumerate(lines)}
    layout = place(boxes, edges, WIDEST)

    def at(point: Point) -> Point:
        return SCALE * point[0], SCALE * (layout.height - point[1])  # downwards

    texts: list[str] = []
    shapes = [
        f'<path d="{_path([at(point) for point in route])}" opacity="0.6"/>'
        for route in layout.routes
    ]
    for node, some in enumerate(lines):
        (x, y), width, height = (
            at(layout.centres[node]),
            SCALE * boxes[node].width,
            SCALE * boxes[node].height,
        )
        corner = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}"'
        shapes.append(f'<rect {corner} width="{width:.1f}" height="{height:.1f}" rx="5"/>')
        for row, line in enumerate(some):
            level = y + 0.14 * SCALE * (row - (len(some) - 1) / 2) + 3.5  # the middle of a letter
            bold = ' font-weight="bold"' if row == 0 else ""
            texts.append(f'<text x="{x:.1f}" y="{level:.1f}"{bold}>{html.escape(line)}</text>')
    drawn = ['<g fill="none" stroke="currentColor">', *shapes, "</g>"]
    look = 'fill="currentColor" font-family="sans-serif" font-size="10.5" text-anchor="middle"'
    return picture(
        SCALE * layout.width, SCALE * layout.height, LABEL, [*drawn, f"<g {look}>", *texts, "</g>"]
    )


def _path(points: Sequence[Point]) -> str:
    """A line through the points, level where it leaves them, with the head of an arrow at its end."""
    steps = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        curved = abs(x1 - x0) > 0.01 and abs(y1 - y0) > 0.01
        steps.append(
            (f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} " if curved else "L")
            + f"{x1:.1f},{y1:.1f}"
        )
    return "".join(steps) + "l-6,-3m6,3l-6,3"
