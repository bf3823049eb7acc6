"""Places of the boxes of a graph and routes of its edges, in inches.

A column holds the nodes of one length of the longest path from an input. An edge over several
columns gets a point of its own in each, so that it passes between the boxes. Columns that do not
fit into the width continue in a band below.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.optimize import isotonic_regression

GAP = 0.45  # between columns
MARGIN = 0.5  # beside the bands
LANE = 0.06  # between edges from one band to the next
SPACE = 0.14  # between the boxes of a column
SWEEPS = 8

Item: TypeAlias = int | tuple[int, int]  # a node, or the point of an edge in a column
Point: TypeAlias = tuple[float, float]


class Box(NamedTuple):
    """The size of a node."""

    width: float
    height: float

    @classmethod
    def around(cls, lines: Sequence[str]) -> "Box":
        """The size that lines of 8-point text need."""
        return cls(max(0.5, 0.07 * max(map(len, lines)) + 0.16), 0.14 * len(lines) + 0.12)


class GraphLayout(NamedTuple):
    """The extent, the centre of each node, and the corners of each edge in the order given."""

    width: float
    height: float
    centres: dict[int, Point]
    routes: list[list[Point]]


def place(
    boxes: Mapping[int, Box], edges: Sequence[tuple[int, int]], max_width: float
) -> GraphLayout:
    """Place the boxes and route the edges.

    Args:
        boxes: the size of each node, parents before children.
        edges: parent and child; a pair may be there twice.
        max_width: of a band.

    Returns:
        The layout, with y upwards from 0.
    """
    column_of = _columns(boxes, edges)
    chains: list[list[Item]] = []
    sizes: dict[Item, Box] = {node: box for node, box in boxes.items()}  # noqa: C416
    columns: dict[int, list[Item]] = {column: [] for column in sorted(set(column_of.values()))}
    for node in boxes:
        columns[column_of[node]].append(node)
    for k, (parent, child) in enumerate(edges):
        between = range(column_of[parent] + 1, column_of[child])
        for column in between:
            sizes[k, column] = Box(0.0, 0.1)
            columns[column].append((k, column))
        chains.append([parent, *((k, column) for column in between), child])
    heights = _heights(columns, chains, sizes)
    return _assemble(columns, chains, sizes, heights, max_width)


def _columns(boxes: Mapping[int, Box], edges: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return the longest path to each node; one without parents is right before its children."""
    depth = dict.fromkeys(boxes, 0)
    for parent, child in sorted(edges, key=lambda edge: edge[1]):
        depth[child] = max(depth[child], depth[parent] + 1)
    for node in boxes:
        children = [depth[child] for parent, child in edges if parent == node]
        if children and not any(child == node for _, child in edges):
            depth[node] = min(children) - 1
    return depth


def _heights(
    columns: dict[int, list[Item]], chains: Sequence[Sequence[Item]], sizes: Mapping[Item, Box]
) -> dict[Item, float]:
    """Return heights: in sweeps to and fro each item moves to the middle of its neighbours."""
    neighbours: dict[Item, tuple[list[Item], list[Item]]] = {item: ([], []) for item in sizes}
    for chain in chains:
        for left, right in pairwise(chain):
            neighbours[left][1].append(right)
            neighbours[right][0].append(left)
    heights: dict[Item, float] = {}
    for members in columns.values():
        _stack(members, {item: -float(row) for row, item in enumerate(members)}, sizes, heights)
    order = list(columns)
    for sweep in range(SWEEPS):
        for column in order if sweep % 2 == 0 else reversed(order):
            wanted = {}
            for item in columns[column]:
                near = neighbours[item][sweep % 2] or neighbours[item][1 - sweep % 2]
                wanted[item] = (
                    float(np.mean([heights[other] for other in near])) if near else heights[item]
                )
            columns[column].sort(key=lambda item: -wanted[item])
            _stack(columns[column], wanted, sizes, heights)
    return heights


def _stack(
    members: Sequence[Item],
    wanted: Mapping[Item, float],
    sizes: Mapping[Item, Box],
    heights: dict[Item, float],
) -> None:
    """Put items below each other, as near to the wanted heights as their sizes allow."""
    offsets = [0.0]
    for above, item in pairwise(members):
        offsets.append(offsets[-1] - (sizes[above].height + sizes[item].height) / 2 - SPACE)
    # Without overlaps h_i - offset_i falls along the column: the nearest such sequence.
    levels = isotonic_regression(
        [wanted[item] - offset for item, offset in zip(members, offsets, strict=True)],
        increasing=False,
    ).x
    heights |= {
        item: float(level) + offset
        for item, offset, level in zip(members, offsets, levels, strict=True)
    }


def _assemble(
    columns: Mapping[int, list[Item]],
    chains: Sequence[Sequence[Item]],
    sizes: Mapping[Item, Box],
    heights: Mapping[Item, float],
    max_width: float,
) -> GraphLayout:
    """Break the columns into bands, put these below each other, and run the edges."""
    widths = {
        column: max(sizes[item].width for item in members) for column, members in columns.items()
    }
    bands: list[list[int]] = []
    used = np.inf
    for column, width in widths.items():
        used += GAP + width
        if used > max_width - 2 * MARGIN:
            bands.append([])
            used = width
        bands[-1].append(column)
    band_of = {
        item: number
        for number, band in enumerate(bands)
        for column in band
        for item in columns[column]
    }
    crossing = [0] * len(bands)  # edges from a band to the next
    for chain in chains:
        for left, right in pairwise(chain):
            crossing[band_of[left]] += band_of[left] != band_of[right]
    margin, lane = (MARGIN, min(LANE, 0.3 / max(crossing))) if len(bands) > 1 else (0.05, 0.0)
    centres: dict[Item, Point] = {}
    bottoms: list[float] = []
    bottom, full = 0.0, 0.0
    for number, band in enumerate(bands):
        extents = [
            (heights[item], sizes[item].height / 2) for column in band for item in columns[column]
        ]
        shift = bottom - max(height + half for height, half in extents)
        x = margin
        for column in band:
            centres |= {
                item: (x + widths[column] / 2, heights[item] + shift) for item in columns[column]
            }
            x += widths[column] + GAP
        full = max(full, x - GAP + margin)
        bottoms.append(min(height - half for height, half in extents) + shift)
        bottom = bottoms[-1] - 0.3 - lane * crossing[number]
    centres = {item: (x, y - bottoms[-1] + 0.05) for item, (x, y) in centres.items()}
    ports = _ports(chains, centres, sizes)
    lanes = [0] * len(bands)
    routes = []
    for k, chain in enumerate(chains):
        route = [ports[k, 0]]
        for left, right in pairwise(chain):
            end, here = ports[k, 1] if right == chain[-1] else centres[right], band_of[left]
            if here != band_of[right]:  # around the end of its band and the beginning of the next
                lanes[here] += 1
                offset = lane * lanes[here]
                level = bottoms[here] - bottoms[-1] - 0.05 - offset
                out, back = full - margin + 0.1 + offset, margin - 0.15 - offset
                route += [(out, route[-1][1]), (out, level), (back, level), (back, end[1])]
            route.append(end)
        routes.append(route)
    nodes = {item: centre for item, centre in centres.items() if isinstance(item, int)}
    return GraphLayout(full, 0.1 - bottoms[-1], nodes, routes)


def _ports(
    chains: Sequence[Sequence[Item]], centres: Mapping[Item, Point], sizes: Mapping[Item, Box]
) -> dict[tuple[int, int], Point]:
    """Return where each edge leaves its parent (0) and enters its child (1).

    It leaves by the heights of the children, and enters by the order of the operands from the top.
    """
    found = {}
    for end in (0, 1):
        sides: dict[Item, list[tuple[float, int]]] = {}
        for k, chain in enumerate(chains):
            node, other = (chain[0], chain[1]) if end == 0 else (chain[-1], chain[-2])
            sides.setdefault(node, []).append((-centres[other][1] * (end == 0), k))
        for node, some in sides.items():
            (x, y), box = centres[node], sizes[node]
            side = x + box.width / 2 * (1 if end == 0 else -1)
            step = min(0.16, 0.7 * box.height / len(some))
            for row, (_, k) in enumerate(sorted(some)):
                found[k, end] = (side, y + step * ((len(some) - 1) / 2 - row))
    return found
