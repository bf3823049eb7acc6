"""Both passes of a small network, one above the other in the same layout, every number of one sample written out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.language import language
from jaxbp.viz.style import BLUE, GREEN, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NODES = 7  # shown in a layer; of more, the first ones and the last one
MAX_EDGES = 16  # between two layers that still get their numbers written on them
SMALL = 8.0  # points


@dataclass(frozen=True)
class Walk:
    """What `draw_walk` drew.

    Attributes:
        figure: the figure.
        axes: forward and backward.
        nodes: the text at each node by its place (layer, unit), of the forward and of the backward panel.
        edges: the number on each edge by (layer, from, to), layer counted from 1, where numbers fit.
        elided: how many units of each layer are not shown.
        badge: the text that compares the backward pass with `jax.grad`.
        ok: whether it passed.
    """

    figure: "Figure"
    axes: tuple["Axes", "Axes"]
    nodes: tuple[dict[tuple[int, int], Any], dict[tuple[int, int], Any]]
    edges: tuple[dict[tuple[int, int, int], Any], dict[tuple[int, int, int], Any]]
    elided: tuple[int, ...]
    badge: Any
    ok: bool


def draw_walk(
    trace: Any, *, sample: int = 0, title: str = "", figure: "Figure | None" = None, lang: str = "en"
) -> Walk:
    """Draws the forward pass of one sample above its backward pass.

    Forward: preactivation z and activation a at the nodes, the weight on each edge, dotted where it is negative.
    Backward, dashed: activation error e and node error δ at the nodes, the sample's share of the weight's gradient on
    each edge, which is the gradient itself for a batch of one.

    Args:
        trace: what `backprop` returned, with concrete numbers.
        sample: the row of the batch.
        title: above the figure.
        figure: where to draw; a new one unless given.
        lang: "en", or "zh" for Chinese labels where a font for them is installed.

    Returns:
        The artists.

    Raises:
        ValueError: the batch has no such row.
    """
    num_samples = trace.inputs.shape[0]
    if not 0 <= sample < num_samples:
        raise ValueError(f"sample must be from 0 to {num_samples - 1}, got {sample}")
    sizes = trace.mlp.sizes
    shown = [_shown(size) for size in sizes]
    z, a, e, d = (
        [np.asarray(array)[sample] for array in some]
        for some in (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    )
    inputs = np.asarray(trace.inputs)[sample]
    forward_texts = {(0, i): f"{_n(inputs[i])}" for i in shown[0]}
    backward_texts: dict[tuple[int, int], str] = {}
    weights, gradients = {}, {}
    for layer in range(1, len(sizes)):
        before = inputs if layer == 1 else a[layer - 2]
        weight = np.asarray(trace.params[layer - 1].weight)
        for j in shown[layer]:
            forward_texts[layer, j] = f"z {_n(z[layer - 1][j])}\na {_n(a[layer - 1][j])}"
            backward_texts[layer, j] = f"e {_n(e[layer - 1][j])}\nδ {_n(d[layer - 1][j])}"
            for i in shown[layer - 1]:
                weights[layer, i, j] = float(weight[i, j])
                gradients[layer, i, j] = float(before[i] * d[layer - 1][j])
    difference = trace.largest_difference()
    dtype = np.asarray(trace.loss).dtype
    allowed = 4096 * float(np.finfo(dtype).eps)
    ok = bool(difference <= allowed)
    word, look = language(lang)
    with look:
        if figure is None:
            import matplotlib.pyplot as plt

            height = 0.5 + 0.82 * max(map(len, shown))
            figure = plt.figure(figsize=(8.4, 2 * height + 1.0), layout="constrained")
        axes = tuple(figure.subplots(2, 1))
        loss = f"{word(trace.loss_name.replace('_', ' '))} {_n(float(np.asarray(trace.loss)))}"
        top, top_edges = _panel(axes[0], shown, sizes, forward_texts, weights, BLUE, backward=False, more=word("more"))
        low, low_edges = _panel(
            axes[1], shown, sizes, backward_texts, gradients, VERMILLION, backward=True, more=word("more")
        )
        axes[0].set_title(f"{word('forward')} →   z = Σ w a + b,  a = φ(z)   ·   {loss}", color=BLUE, fontsize=10)
        axes[1].set_title(
            f"← {word('backward')}   e = Σ δ w,  δ = e φ′(z),  ∂L/∂w = a δ", color=VERMILLION, fontsize=10
        )
        verdict = word(f"hand-written backward pass {'equal to' if ok else 'DIFFERS from'} jax.grad")
        badge = figure.supxlabel(
            f"{verdict}: {word('largest relative difference')} {difference:.1e} "
            f"({dtype}, {word('allowed')} {allowed:.0e})",
            fontsize=9,
            color="white",
            bbox={"boxstyle": "round,pad=0.35", "facecolor": GREEN if ok else "#B00020", "edgecolor": "none"},
        )
        if title:
            figure.suptitle(title)
    elided = tuple(size - len(some) for size, some in zip(sizes, shown, strict=True))
    return Walk(figure, axes, (top, low), (top_edges, low_edges), elided, badge, ok)


def _panel(
    ax: "Axes",
    shown: list[list[int]],
    sizes: tuple[int, ...],
    texts: dict[tuple[int, int], str],
    numbers: dict[tuple[int, int, int], float],
    colour: str,
    *,
    backward: bool,
    more: str,
) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Nodes in columns, arrows between them, numbers on both."""
    rows = max(map(len, shown))
    places = {
        (layer, unit): (2.6 * layer, (len(units) - 1) / 2 - row)
        for layer, units in enumerate(shown)
        for row, unit in enumerate(units)
    }
    largest = max(map(abs, numbers.values()), default=1.0) or 1.0
    counts = [len(left) * len(right) for left, right in pairwise(shown)]
    edge_texts = {}
    for (layer, i, j), number in numbers.items():
        start, end = np.array(places[layer - 1, i]), np.array(places[layer, j])
        tail, head = (tuple(end), tuple(start)) if backward else (tuple(start), tuple(end))
        width = 0.3 + 2.0 * np.sqrt(abs(number) / largest)
        line = (0, (4, 2)) if backward else ((0, (1, 1.2)) if number < 0 else "-")
        arrow = {"arrowstyle": "-|>", "color": colour, "alpha": 0.45, "linewidth": width, "linestyle": line}
        ax.annotate("", head, tail, arrowprops=arrow | {"shrinkA": 13, "shrinkB": 13, "mutation_scale": 8})
        if counts[layer - 1] <= MAX_EDGES:
            # Each number has a place of its own along its edge, so that those of neighbouring edges do not meet.
            row, column = shown[layer].index(j), shown[layer - 1].index(i)
            share = 0.66 - 0.32 * ((row + column) % 2) - 0.04 * (column % 3)
            x, y = start + share * (end - start)
            edge_texts[layer, i, j] = ax.text(
                x, y, _n(number), fontsize=SMALL, color="black", ha="center", va="center",
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            )  # fmt: skip
    node_texts, number_of = {}, np.concatenate([[1], 1 + np.cumsum(sizes)])
    for (layer, unit), (x, y) in places.items():
        label = str(number_of[layer] + unit)
        ax.text(
            x, y, label, fontsize=9, ha="center", va="center", zorder=3,
            bbox={"boxstyle": "circle,pad=0.35", "facecolor": "white", "edgecolor": "0.2"},
        )  # fmt: skip
        if (layer, unit) in texts:
            node_texts[layer, unit] = ax.text(
                x, y - 0.22, texts[layer, unit], fontsize=SMALL, color=colour, zorder=3, ha="center", va="top",
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85},
            )  # fmt: skip
    for layer, units in enumerate(shown):
        hidden = sizes[layer] - len(units)
        if hidden:
            y = (places[layer, units[-2]][1] + places[layer, units[-1]][1]) / 2
            ax.text(2.6 * layer - 0.2, y, f"⋮ {hidden} {more}", fontsize=SMALL, ha="right", va="center", color="0.35")
    ax.set(xlim=(-0.6, 2.6 * (len(sizes) - 1) + 0.6), ylim=(-rows / 2 - 0.15, rows / 2 - 0.2))
    ax.axis("off")
    return node_texts, edge_texts


def _shown(size: int) -> list[int]:
    """The units of a layer that are drawn."""
    return list(range(size)) if size <= MAX_NODES else [*range(MAX_NODES - 1), size - 1]


def _n(number: float) -> str:
    return f"{number + 0.0:.4g}".replace("-", "−")  # + 0.0 makes 0 of -0
