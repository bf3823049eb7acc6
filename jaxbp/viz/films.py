"""Films: a surface while it is learned, and the two passes step by step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.checks import check_number
from jaxbp.viz.language import language
from jaxbp.viz.style import SEQUENTIAL, style
from jaxbp.viz.surfaces import contour_levels
from jaxbp.viz.walk import draw_walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Film:
    """A film.

    Attributes:
        figure: the figure that it plays in.
        num_frames: how many frames it has.
        show: draws the frame of that number into the figure, as the film does.
        fps: frames a second.
    """

    figure: "Figure"
    num_frames: int
    show: Any
    fps: float


def animate_training(
    x: np.ndarray,
    y: np.ndarray,
    frames: Sequence[np.ndarray],
    steps: Sequence[int],
    true: np.ndarray,
    *,
    labels: tuple[str, str, str] = ("x", "y", "z"),
    title: str = "",
    fps: float = 4.0,
) -> Film:
    """Makes a film of a predicted surface beside the true one, both with the true one's levels.

    Args:
        x: (num_columns,) the grid's columns.
        y: (num_rows,) the grid's rows.
        frames: predictions (num_rows, num_columns), one for each frame.
        steps: the training step of each frame.
        true: (num_rows, num_columns).
        labels: the names of x, y and z.
        title: what surface it is.
        fps: frames a second.

    Returns:
        The film; each frame's title has the step and the root mean square error.

    Raises:
        ValueError: there is no frame, or the shapes do not fit.
    """
    if len(frames) == 0 or len(frames) != len(steps):
        raise ValueError(f"frames and steps must be equally many, at least one; got {len(frames)} and {len(steps)}")
    for position, frame in enumerate(frames):
        if frame.shape != true.shape:
            raise ValueError(f"frames[{position}] must have shape {true.shape} like true, got {frame.shape}")
    _check_speed(fps)
    levels = contour_levels(true)
    with style():
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(8.0, 4.0), layout="constrained")
        left, right = figure.subplots(1, 2, sharex=True, sharey=True)
        fill: dict[str, Any] = {"levels": levels, "cmap": SEQUENTIAL, "extend": "both"}
        drawn = left.contourf(x, y, true, **fill)
        left.set(xlabel=labels[0], ylabel=labels[1], title="true", aspect="equal")
        right.set(xlabel=labels[0], aspect="equal")
        figure.colorbar(drawn, ax=[left, right], label=labels[2], pad=0.02)
        if title:
            figure.suptitle(title)

        def show(number: int) -> list[Any]:
            for artist in list(right.collections):
                artist.remove()
            rmse = float(np.sqrt(np.mean((frames[number] - true) ** 2)))
            right.set_title(f"step {steps[number]}, RMSE {rmse:.2e}")
            return [right.contourf(x, y, frames[number], **fill)]

        show(0)
        _freeze(figure)
    return Film(figure, len(frames), show, fps)


def animate_walk(trace: Any, *, sample: int = 0, title: str = "", fps: float = 1.0, lang: str = "en") -> Film:
    """Makes a film of both passes: layer by layer forward, then the node errors back, then the gradients.

    Args:
        trace: what `backprop` returned.
        sample: the row of the batch.
        title: above the figure.
        fps: frames a second.
        lang: "en", or "zh" for Chinese labels where a font for them is installed.

    Returns:
        The film of 3 L + 1 frames; one term more appears in each.
    """
    _check_speed(fps)
    walk = draw_walk(trace, sample=sample, lang=lang)
    num_layers = trace.mlp.num_layers
    appears: list[tuple[Any, int]] = []  # what, and in which frame
    for (layer, _), text in walk.nodes[0].items():
        appears.append((text, layer))
    for (layer, _, _), text in walk.edges[0].items():
        appears.append((text, layer))
    for (layer, _), text in walk.nodes[1].items():
        appears.append((text, num_layers + 1 + num_layers - layer))
    for (layer, _, _), text in walk.edges[1].items():
        appears.append((text, 2 * num_layers + 1 + num_layers - layer))
    last = 3 * num_layers
    word, _ = language(lang)
    layers, name = range(1, num_layers + 1), word("layer")
    captions = [
        word("the inputs"),
        *(f"{word('forward')}, {name} {layer}: z = Σ w a + b, then a = φ(z)" for layer in layers),
    ]
    for layer in reversed(layers):
        source = "∂L/∂a" if layer == num_layers else "Σ δ w"
        captions.append(f"{word('step 1')}, {name} {layer}: e = {source}, then δ = e φ′(z)")
    captions += [f"{word('step 2')}, {name} {layer}: ∂L/∂w = a δ" for layer in reversed(layers)]
    heading = f"{title}\n" if title else ""
    with language(lang)[1]:
        caption = walk.figure.suptitle(f"{heading} ", fontsize=11)

    def show(number: int) -> list[Any]:
        for artist, frame in appears:
            artist.set_visible(frame <= number)
        walk.badge.set_visible(number == last)
        caption.set_text(f"{heading}{number} {word('of')} {last}   {captions[number]}")
        return [caption]

    show(0)
    with language(lang)[1]:
        _freeze(walk.figure)
    return Film(walk.figure, last + 1, show, fps)


def _check_speed(fps: float) -> None:
    if check_number("fps", fps, minimum=0) == 0:
        raise ValueError(f"fps must be positive, got {fps!r}")


def _freeze(figure: "Figure") -> None:
    """Lets the layout settle once, so that nothing moves from frame to frame."""
    figure.canvas.draw()
    figure.set_layout_engine("none")
