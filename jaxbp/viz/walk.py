"""Both passes of a network, one above the other in the same layout, with every number of one sample written out."""

from typing import Any

import numpy as np

from jaxbp.backprop import Trace
from jaxbp.gradcheck import Report
from jaxbp.viz.network import Layout, draw_network
from jaxbp.viz.style import BLUE, GREEN, RED, VERMILLION, WIDTH, Drawing, new_figure, number, style

MARGIN = 0.45  # inches above and below the two panels
BADGE = 0.9  # inches for what stands below them


def draw_walk(
    trace: Trace, *, report: Report | None = None, sample: int = 0, title: str = ""
) -> Drawing:
    """Draws the forward pass of one sample above its backward pass.

    Forward, solid: preactivation z, bias b and activation a under the nodes, the weight on each
    edge, the target y
    beside the outputs. Backward, dashed: activation error e, node error δ and the bias's gradient
    under the nodes, the weight's gradient on each edge. Gradients are the sample's share, which is
    all of them for a batch of one. Negative edges are dotted; an edge number for which there is no
    room is left out and counted. A network of more than four layers goes on below, where the last
    column of units is repeated in grey.

    Args:
        trace: what `backprop` returned, with concrete numbers.
        report: what `check_trace` says of it, for the badge; none unless given.
        sample: the row of the batch.
        title: above the figure.

    Returns:
        The drawing; panels `forward` and `backward`; artists `nodes` and `edges` by panel, the
        texts at (layer, unit) and (layer, from, to), layer counted from 1, and `badge`; numbers
        `elided`, units not shown by layer, and `unwritten`, edge numbers left out by panel.

    Raises:
        ValueError: the batch has no such row.
    """
    num_samples = trace.inputs.shape[0]
    if not 0 <= sample < num_samples:
        raise ValueError(f"sample must be from 0 to {num_samples - 1}, got {sample}")
    layout = Layout.of(trace.mlp.sizes)
    nodes, edges = _numbers(trace, sample, layout)
    top = 0.35 * bool(title) + MARGIN
    height = top + 2 * layout.height + MARGIN + BADGE
    with style():
        figure = new_figure(WIDTH, height)
        figure.set_layout_engine("none")
        axes: dict[str, Any] = {}
        texts: dict[str, Any] = {}
        written: dict[str, Any] = {}
        looks: Any = (
            ("forward", top, BLUE, False),
            ("backward", top + layout.height + MARGIN, VERMILLION, True),
        )
        for name, above, colour, backward in looks:
            bottom = 1 - (above + layout.height) / height
            axes[name] = figure.add_axes((0, bottom, 1, layout.height / height))
            texts[name], written[name] = draw_network(
                axes[name], layout, nodes[name], edges[name], colour, backward=backward
            )
        axes["forward"].set_title("forward →   z = Σ w a + b,  a = φ(z)", color=BLUE)
        axes["backward"].set_title(
            "← backward   e = Σ δ w,  δ = e φ′(z),  ∂L/∂w = a δ,  ∂L/∂b = δ", color=VERMILLION
        )
        loss = f"{trace.loss_name.replace('_', ' ')} {number(float(np.asarray(trace.loss)), 4)}"
        if num_samples > 1:
            loss += (
                f" (mean over the batch); sample {sample + 1} of {num_samples}: "
                f"e, δ, ∂L/∂w include the factor 1/{num_samples}"
            )
        unwritten = {name: len(edges[name]) - len(found) for name, found in written.items()}
        loss += "\nwide arrows: large numbers; dotted: negative"
        if any(unwritten.values()):
            loss += f"   {sum(unwritten.values())} numbers without room left out"
        figure.text(0.5, 0.6 / height, loss, ha="center", va="center", fontsize=8.5)
        badge = None if report is None else _draw_badge(figure, report, 0.22 / height)
        heading = figure.text(0.5, 1 - 0.2 / height, title, ha="center", va="center", fontsize=11)
    artists = {"nodes": texts, "edges": written, "badge": badge, "title": heading}
    return Drawing(figure, axes, artists, {"elided": layout.elided, "unwritten": unwritten})


def _numbers(
    trace: Trace, sample: int, layout: Layout
) -> tuple[dict[str, dict[Any, str]], dict[str, dict[Any, float]]]:
    """What stands under, beside and between the nodes that are shown, by panel."""
    z, a, e, d = (
        [np.asarray(array)[sample] for array in some]
        for some in (
            trace.preactivations,
            trace.activations,
            trace.activation_errors,
            trace.node_errors,
        )
    )
    before = [np.asarray(trace.inputs)[sample], *a]
    nodes: dict[str, dict[Any, str]] = {
        "forward": {(0, i): number(before[0][i], 4) for i in layout.shown[0]},
        "backward": {},
    }
    edges: dict[str, dict[Any, float]] = {"forward": {}, "backward": {}}
    for layer, (weight, bias) in enumerate(trace.params, start=1):
        k = layer - 1
        for j in layout.shown[layer]:
            lines = {"z": z[k][j], "b": np.asarray(bias)[j], "a": a[k][j]}
            nodes["forward"][layer, j] = _lines(lines)
            nodes["backward"][layer, j] = _lines({"e": e[k][j], "δ": d[k][j], "∂b": d[k][j]})
            for i in layout.shown[k]:
                edges["forward"][layer, i, j] = float(np.asarray(weight)[i, j])
                with np.errstate(over="ignore", invalid="ignore"):
                    edges["backward"][layer, i, j] = float(before[k][i] * d[k][j])
    targets = np.asarray(trace.targets)
    row = (
        targets[sample] if targets.ndim == 2 else np.arange(trace.mlp.sizes[-1]) == targets[sample]
    )
    for texts in nodes.values():
        texts |= {("target", j): f"y {number(float(row[j]), 4)}" for j in layout.shown[-1]}
    return nodes, edges


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} {number(float(value), 4)}" for name, value in values.items())


def _draw_badge(figure: Any, report: Report, height: float) -> Any:
    """The verdict on green, or the first wrong number on red."""
    verdict = f"hand-written {'=' if report.ok else 'DIFFERS from'} jax.grad"
    summary = (
        "bit for bit"
        if report.ok and report.share == 0
        else report.summary.removeprefix("WRONG").strip()
    )
    box = {
        "boxstyle": "round,pad=0.35",
        "facecolor": GREEN if report.ok else RED,
        "edgecolor": "none",
    }
    style: Any = {"ha": "center", "va": "center", "color": "white", "fontsize": 8.5, "bbox": box}
    return figure.text(0.5, height, f"{verdict}: {summary}", **style)
