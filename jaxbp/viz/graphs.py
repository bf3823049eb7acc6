"""The computational graph of a function, drawn in layers, and as DOT, Mermaid and plain text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import BLUE, VERMILLION, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_NODES = 60  # more of them cannot be read


@dataclass(frozen=True)
class GraphDrawing:
    """What `draw_graph` drew, by the index of the node: its box, its forward value, its derivative; the edges."""

    ax: "Axes"
    boxes: dict[int, Any]
    values: dict[int, Any]
    derivatives: dict[int, Any]
    edges: list[tuple[int, int]]


def draw_graph(graph: Any, *, title: str = "", ax: "Axes | None" = None) -> GraphDrawing:
    """Draws a graph from left to right: forward values above the nodes, derivatives of the output below them.

    Args:
        graph: what `trace_graph` returned.
        title: above the panel.
        ax: where to draw; a new figure unless given.

    Returns:
        The artists.

    Raises:
        ValueError: the graph has more nodes than a picture can show; its text form has no limit.
    """
    if len(graph.nodes) > MAX_NODES:
        raise ValueError(
            f"graph must have at most {MAX_NODES} nodes to be drawn, got {len(graph.nodes)}; print it instead"
        )
    places = _places(graph)
    columns, rows = (np.ptp([place[axis] for place in places.values()]) + 1 for axis in (0, 1))
    with style():
        if ax is None:
            import matplotlib.pyplot as plt

            size = (max(6.4, 1.75 * columns), max(2.4, 0.85 * rows + 0.5))
            ax = plt.figure(figsize=size, layout="constrained").subplots()
        boxes, values, derivatives, edges = {}, {}, {}, edges_of(graph)
        for parent, child in edges:
            arrow = {"arrowstyle": "-|>", "color": "0.45", "shrinkA": 22, "shrinkB": 22, "linewidth": 1.0}
            ax.annotate("", places[child], places[parent], arrowprops=arrow)
        for node in graph.nodes:
            x, y = places[node.index]
            shape = "round,pad=0.35" if node.operation in ("input", "constant") else "circle,pad=0.3"
            boxes[node.index] = ax.text(
                x, y, label_of(node), ha="center", va="center", fontsize=9,
                bbox={"boxstyle": shape, "facecolor": "white", "edgecolor": "0.3"},
            )  # fmt: skip
            values[node.index] = ax.annotate(
                short(node.value), (x, y), (0, 15), textcoords="offset points", ha="center", va="bottom", fontsize=9,
                color=BLUE,
            )  # fmt: skip
            if node.derivative is not None and node.operation != "constant":
                derivatives[node.index] = ax.annotate(
                    short(node.derivative), (x, y), (0, -15), textcoords="offset points", ha="center", va="top",
                    fontsize=9, color=VERMILLION, style="italic",
                )  # fmt: skip
        ax.set(xlim=(-0.6, columns - 0.4), ylim=(-rows + 0.3, 0.7))
        ax.axis("off")
        ax.set_title(title or "forward value above (blue), derivative of the output below (red, italic)", fontsize=10)
    return GraphDrawing(ax, boxes, values, derivatives, edges)


def graph_dot(graph: Any) -> str:
    """The graph in Graphviz's DOT language."""
    nodes = [f'  n{node.index} [label="{_lines(node, chr(92) + "n")}"];' for node in graph.nodes]
    return "\n".join(["digraph {", "  rankdir=LR;", *nodes, *(f"  n{a} -> n{b};" for a, b in edges_of(graph)), "}"])


def graph_mermaid(graph: Any) -> str:
    """The graph in Mermaid's language, which Markdown viewers draw."""
    nodes = [f'  n{node.index}["{_lines(node, "<br/>")}"]' for node in graph.nodes]
    return "\n".join(["graph LR", *nodes, *(f"  n{a} --> n{b}" for a, b in edges_of(graph))])


def edges_of(graph: Any) -> list[tuple[int, int]]:
    """Parent and child of each edge; twice where an operation takes a value twice."""
    return [(parent, node.index) for node in graph.nodes for parent in node.parents]


def label_of(node: Any) -> str:
    """What a node is called: an argument's name, the sign or the name of an operation, `constant`."""
    signs = {
        "mul": "×",
        "add": "+",
        "sub": "−",
        "div": "÷",
        "neg": "−",
        "integer_pow": "power",
        "dot_general": "matmul",
    }
    return node.name or signs.get(node.operation, node.operation)


def short(value: Any) -> str:
    """A number; of an array the shape and the norm."""
    if str(value.dtype).startswith("key"):  # a random key has no numbers to show
        return str(value.dtype)
    array = np.asarray(value)
    if array.size == 1:
        return f"{array.item():.6g}"
    norm = np.linalg.norm(array.astype(np.float64))
    return f"{'×'.join(map(str, array.shape))}, norm {norm:.3g}"


def _lines(node: Any, separator: str) -> str:
    lines = [label_of(node), f"value {short(node.value)}"]
    if node.derivative is not None:
        lines.append(f"derivative {short(node.derivative)}")
    return separator.join(lines)


def _places(graph: Any) -> dict[int, tuple[float, float]]:
    """A column for each length of the longest path from an input; in a column, near the middle of the parents."""
    depth: dict[int, int] = {}
    for node in graph.nodes:
        depth[node.index] = 1 + max((depth[parent] for parent in node.parents), default=-1)
    children: dict[int, list[int]] = {node.index: [] for node in graph.nodes}
    for parent, child in edges_of(graph):
        children[parent].append(child)
    for node in graph.nodes:  # an input stands one column before the first operation that takes it
        if not node.parents and children[node.index]:
            depth[node.index] = min(depth[child] for child in children[node.index]) - 1
    columns: dict[int, list[int]] = {}
    for index, column in depth.items():
        columns.setdefault(column, []).append(index)
    height = max(map(len, columns.values()))
    places: dict[int, tuple[float, float]] = {}
    for column in sorted(columns):
        members = columns[column]
        by_index = {node.index: node for node in graph.nodes}

        def middle(index: int, by_index: dict[int, Any] = by_index) -> float:
            known = [places[parent][1] for parent in by_index[index].parents if parent in places]
            return -float(np.mean(known)) if known else float(index)

        gap = height / len(members)
        for row, index in enumerate(sorted(members, key=middle)):
            places[index] = (float(column), -gap * (row + 0.5) + 0.5)
    return places
