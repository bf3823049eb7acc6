"""Both passes of a network in the same layout, with every number of one sample."""

from typing import Any

import jax
import numpy as np

from jaxbp.backprop import Trace
from jaxbp.gradcheck import Report, autodiff_of
from jaxbp.viz.network import Layout, draw_network
from jaxbp.viz.style import BLUE, GREEN, RED, VERMILLION, WIDTH, Drawing, new_figure, number, style

MARGIN = 0.45  # inches above and below the two panels
BADGE = 0.9  # inches for the loss and the badge below them


def draw_walk(
    trace: Trace, *, report: Report | None = None, sample: int = 0, title: str = ""
) -> Drawing:
    """Draw the forward pass of one sample above its backward pass.

    Forward, solid: preactivation z, bias b and activation a under the nodes, the weight on each
    edge, the target y beside the outputs. Backward, dashed: activation error e, node error δ and
    the bias's gradient under the nodes, the weight's gradient on each edge. Gradients are the
    sample's share, which is all of them for a batch of one. Numbers that the report calls wrong are
    white on red. Negative edges are dotted; an edge number without room is left out and counted. A
    network of more than four layers continues below, where the last column of units is repeated in
    grey.

    Args:
        trace: as returned by `backprop`, with concrete numbers.
        report: of `check_trace`, for the badge and the wrong numbers; none unless given.
        sample: the row of the batch.
        title: above the figure.

    Returns:
        The drawing; panels `forward` and `backward`; artists `nodes` and `edges` by panel, the
        texts at (layer, unit) and (layer, from, to), layer counted from 1, and `badge`; numbers
        `elided`, units not shown by layer, and `unwritten`, edge numbers left out by panel.

    Raises:
        ValueError: the batch has no such row.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> drawing = viz.draw_walk(trace)
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
        share = layout.height / height
        axes: dict[str, Any] = {
            "forward": figure.add_axes((0, 1 - top / height - share, 1, share)),
            "backward": figure.add_axes((0, BADGE / height, 1, share)),
        }
        texts: dict[str, Any] = {}
        written: dict[str, Any] = {}
        for name, colour in (("forward", BLUE), ("backward", VERMILLION)):
            panel = (axes[name], layout, nodes[name], edges[name], colour)
            texts[name], written[name] = draw_network(*panel, backward=name == "backward")
        if report is not None and not report.ok:
            shown = texts["backward"] | written["backward"]
            for place in _wrong_places(trace, report, sample) & set(shown):
                shown[place].set(color="white", backgroundcolor=RED)
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
    """Return the texts of the nodes that are shown, and the numbers of the edges, by panel."""
    kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    z, a, e, d = ([np.asarray(array)[sample] for array in arrays] for arrays in kept)
    before = [np.asarray(trace.inputs)[sample], *a]
    forward: dict[Any, str] = {(0, i): number(before[0][i], 4) for i in layout.shown[0]}
    backward: dict[Any, str] = {}
    edges: dict[str, dict[Any, float]] = {"forward": {}, "backward": {}}
    for k, (weight, bias) in enumerate(trace.params):
        for j in layout.shown[k + 1]:
            values, errors = {"z": z[k][j], "a": a[k][j]}, {"e": e[k][j], "δ": d[k][j]}
            if bias is not None:
                values = {"z": z[k][j], "b": np.asarray(bias)[j], "a": a[k][j]}
                errors["∂b"] = d[k][j]
            forward[k + 1, j], backward[k + 1, j] = _lines(values), _lines(errors)
            for i in layout.shown[k]:
                edges["forward"][k + 1, i, j] = float(np.asarray(weight)[i, j])
                with np.errstate(over="ignore", invalid="ignore"):
                    edges["backward"][k + 1, i, j] = float(before[k][i] * d[k][j])
    targets = np.asarray(trace.targets)
    labels = targets.ndim == 1
    row = np.arange(trace.mlp.sizes[-1]) == targets[sample] if labels else targets[sample]
    beside = {("target", j): f"y {number(float(row[j]), 4)}" for j in layout.shown[-1]}
    return {"forward": forward | beside, "backward": backward | beside}, edges


def _wrong_places(trace: Trace, report: Report, sample: int) -> set[tuple[int, ...]]:
    """Return the nodes and edges of the backward pass with a number that the report calls wrong."""
    limits = {row.path: row.allowed for row in report.rows if not row.ok}
    found: set[tuple[int, ...]] = set()
    for path, right in jax.tree_util.tree_leaves_with_path(autodiff_of(trace)):
        name, leaf = str(path[0].name), jax.tree_util.keystr(path).removeprefix(".")
        if leaf not in limits or len(path) < 2:
            continue
        got = getattr(trace, name)[path[1].idx]
        got = np.asarray(got if len(path) == 2 else getattr(got, path[2].name), np.float64)
        # At least one element of a wrong leaf is further off than this.
        limit = limits[leaf] * np.linalg.norm(right) / np.sqrt(got.size)
        wrong = ~(np.abs(got - np.asarray(right)) <= limit)
        wrong = wrong[sample] if len(path) == 2 else wrong
        found |= {(path[1].idx + 1, *map(int, place)) for place in np.argwhere(wrong)}
    return found


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} {number(float(value), 4)}" for name, value in values.items())


def _draw_badge(figure: Any, report: Report, height: float) -> Any:
    """Write the verdict on green, or the first wrong number on red."""
    verdict = f"hand-written {'=' if report.ok else 'DIFFERS from'} jax.grad"
    exact = report.ok and report.share == 0
    summary = "bit for bit" if exact else report.summary.removeprefix("WRONG").strip()
    box = {"boxstyle": "round,pad=0.35", "facecolor": GREEN if report.ok else RED}
    look: Any = {"ha": "center", "va": "center", "color": "white", "fontsize": 8.5}
    look["bbox"] = box | {"edgecolor": "none"}
    return figure.text(0.5, height, f"{verdict}: {summary}", **look)
