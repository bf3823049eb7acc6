"""The computational graph of a function: drawn in layers, and as DOT and Mermaid text."""

from itertools import pairwise
from typing import Any

import numpy as np

from jaxbp._text import summary, typeset
from jaxbp.graph import Graph, Node
from jaxbp.graph.layout import Box, place
from jaxbp.graph.nodes import MAX_DRAWN
from jaxbp.viz.style import BLUE, VERMILLION, WIDTH, Drawing, new_figure, style

RULES = {  # the factors of the derivative on its way to the arguments of an operation
    "mul": "× passes the other factor times its derivative",
    "add": "+ passes its derivative on",
    "sub": "− passes its derivative on, negated to the right",
    "div": "÷ passes 1/b and −a/b² times its derivative",
    "exp": "exp passes its value times its derivative",
    "tanh": "tanh passes 1 − value² times its derivative",
    "sin": "sin passes the cosine times its derivative",
}


def draw_graph(graph: Graph, *, title: str = "") -> Drawing:
    """Draw a graph from left to right: each box has its value and the output's derivative to it.

    Columns that do not fit beside each other continue below.

    Args:
        graph: what `trace_graph` returned.
        title: above the figure.

    Returns:
        The drawing; artists `labels`, `values` and `derivatives`, the texts by the index of the
        node, and `edges`, a list of (parent, child).

    Raises:
        ValueError: the graph has more nodes than a picture can show; its text form has no limit.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> drawing = viz.draw_graph(jaxbp.trace_graph(lambda x, y: x * y + x, 3.0, 4.0))
    """
    if len(graph.nodes) > MAX_DRAWN:
        got = f"got {len(graph.nodes)}; print it instead"
        raise ValueError(f"graph must have at most {MAX_DRAWN} nodes to be drawn, {got}")
    lines = {node.index: _lines(node) for node in graph.nodes}
    boxes = {index: Box.around(some) for index, some in lines.items()}
    layout = place(boxes, graph.edges, WIDTH - 0.2)
    operations = dict.fromkeys(node.operation for node in graph.nodes)
    rules = [RULES[name] for name in operations if name in RULES]
    footer = ["blue: value; orange: derivative of the output with respect to it", *rules]
    above, below = 0.35 * bool(title) + 0.1, 0.2 * len(footer) + 0.15
    with style():
        width, height = max(WIDTH, layout.width + 0.2), layout.height + above + below
        figure = new_figure(width, height)
        figure.set_layout_engine("none")
        ax = figure.add_axes((0, 0, 1, 1))
        shift = np.array([(width - layout.width) / 2, below])
        ax.set(xlim=(0, width), ylim=(0, height))
        ax.axis("off")
        for points in layout.routes:
            _draw_edge(ax, [np.array(point) + shift for point in points])
        texts: dict[str, dict[int, Any]] = {"labels": {}, "values": {}, "derivatives": {}}
        for index, box in boxes.items():
            _draw_box(ax, index, np.array(layout.centres[index]) + shift, box, lines[index], texts)
        for row, line in enumerate(reversed(footer)):
            ax.text(width / 2, 0.12 + 0.2 * row, line, ha="center", va="center", fontsize=8)
        if title:
            ax.text(width / 2, height - 0.2, title, ha="center", va="center", fontsize=11)
    return Drawing(figure, {"graph": ax}, texts | {"edges": graph.edges})


def graph_dot(graph: Graph) -> str:
    """Return the graph in Graphviz's DOT language.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> print(viz.graph_dot(jaxbp.trace_graph(lambda x: x * x, 3.0)).splitlines()[0])
        digraph {
    """
    nodes = [f'  n{node.index} [label="{_escaped(node, chr(92) + "n")}"];' for node in graph.nodes]
    return "\n".join(
        ["digraph {", "  rankdir=LR;", *nodes, *(f"  n{a} -> n{b};" for a, b in graph.edges), "}"]
    )


def graph_mermaid(graph: Graph) -> str:
    """Return the graph in Mermaid's language, which Markdown viewers draw.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> print(viz.graph_mermaid(jaxbp.trace_graph(lambda x: x * x, 3.0)).splitlines()[0])
        graph LR
    """
    nodes = [f'  n{node.index}["{_escaped(node, "<br/>")}"]' for node in graph.nodes]
    return "\n".join(["graph LR", *nodes, *(f"  n{a} --> n{b}" for a, b in graph.edges)])


def _lines(node: Node) -> list[str]:
    """Return label, value, and the derivative where there is one to show."""
    shown = node.derivative is not None and node.operation != "constant"
    values = [node.value, *([node.derivative] if shown else [])]
    return [node.label, *(summary(value, 6, 1, typeset) for value in values)]


def _escaped(node: Node, separator: str) -> str:
    """Return the lines of a node for a text form."""
    label, *values = _lines(node)
    pairs = zip(("value", "derivative"), values, strict=False)
    return separator.join([label.replace('"', "'"), *(f"{name} {some}" for name, some in pairs)])


def _draw_box(
    ax: Any, index: int, centre: Any, box: Box, lines: list[str], texts: dict[str, dict[int, Any]]
) -> None:
    """Draw a rounded box with label, value in blue and derivative in orange below each other."""
    from matplotlib.patches import FancyBboxPatch

    look: Any = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": "white"}
    corner = tuple(centre - np.array(box) / 2)
    ax.add_patch(FancyBboxPatch(corner, *box, edgecolor="0.3", zorder=3, **look))
    look = {"fontsize": 8, "ha": "center", "va": "center", "zorder": 4}
    rows = zip(texts, ("black", BLUE, VERMILLION), lines, strict=False)
    for row, (name, colour, line) in enumerate(rows):
        y = centre[1] + 0.14 * ((len(lines) - 1) / 2 - row)
        weight = "normal" if row else "bold"
        texts[name][index] = ax.text(centre[0], y, line, color=colour, weight=weight, **look)


def _draw_edge(ax: Any, points: list[Any]) -> None:
    """Draw an arrow: straight where two points share a coordinate, a level curve otherwise."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    vertices, codes = [points[0]], [Path.MOVETO]
    for start, end in pairwise(points):
        if np.isclose(start, end).any():
            vertices.append(end)
            codes.append(Path.LINETO)
        else:
            middle = (start[0] + end[0]) / 2
            vertices += [np.array([middle, start[1]]), np.array([middle, end[1]]), end]
            codes += [Path.CURVE4] * 3
    look: Any = {"arrowstyle": "-|>", "mutation_scale": 9, "color": "0.45", "linewidth": 1.1}
    ax.add_patch(FancyArrowPatch(path=Path(vertices, codes), zorder=2, **look))
