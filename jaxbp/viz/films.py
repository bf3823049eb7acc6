"""Films: a surface while it is learned, the two passes step by step; as a GIF or a page."""

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp._files import as_path, atomic_write
from jaxbp.backprop import Trace
from jaxbp.gradcheck import Report
from jaxbp.viz.grid import Grid
from jaxbp.viz.maps import check_values, fill, map_height, mark_gaps
from jaxbp.viz.scales import add_bar, contour_levels
from jaxbp.viz.style import BLUE, GAP, VERMILLION, WIDTH, drawn_pixels, new_figure, number, style
from jaxbp.viz.walk import draw_walk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EMBED_LIMIT = 20.0  # megabytes of one page


@dataclass(frozen=True)
class Film:
    """A figure that changes from frame to frame.

    Attributes:
        figure: the figure.
        num_frames: number of frames.
        show: draws the frame of that number into the figure.
        fps: frames a second.
        hold: seconds that the last frame stays.
    """

    figure: "Figure"
    num_frames: int
    show: Callable[[int], object]
    fps: float
    hold: float = 2.0

    def _repr_html_(self) -> str:
        """The film as a GIF inside the markup, for notebooks."""
        data = base64.b64encode(_gif(self, 64.0)).decode()
        return f'<img src="data:image/gif;base64,{data}" alt="film of {self.num_frames} frames">'


def animate_training(
    grid: Grid,
    frames: Sequence[np.ndarray],
    steps: Sequence[int],
    true: np.ndarray,
    *,
    labels: tuple[str, ...] = ("x", "y", "z"),
    title: str = "",
) -> Film:
    """Make a film of a predicted surface beside the true one, of its error, and of its RMSE.

    Args:
        grid: where.
        frames: predictions (n,), one for each frame.
        steps: the training step of each frame.
        true: (n,).
        labels: the names of x, y and z.
        title: of the surface.

    Returns:
        The film. Both surfaces have the true one's levels; the error's size has one logarithmic
        scale for all frames.

    Raises:
        ValueError: there is no frame, or the shapes do not fit.

    Examples:
        >>> from jaxbp import viz
        >>> grid = viz.Grid.over(((0, 1), (0, 2)), 11)
        >>> x, y = grid.points.T
        >>> film = viz.animate_training(grid, [0 * x, x * y], [0, 100], x * y)
        >>> film.num_frames
        2
    """
    if len(frames) == 0 or len(frames) != len(steps):
        got = f"{len(frames)} and {len(steps)}"
        raise ValueError(f"frames and steps must be equally many, at least one; got {got}")
    true = check_values("true", grid, true)
    shown = [check_values(f"frames[{i}]", grid, frame) for i, frame in enumerate(frames)]
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = [np.abs(frame - true) for frame in shown]
        rmse = [_root_mean_square(size) for size in sizes]
    levels = contour_levels(true)
    with style():
        from matplotlib.colors import LogNorm

        figure = new_figure(WIDTH, min(4.5, map_height(grid, WIDTH / 3 - 0.9)) + 2.8, title)
        rows = figure.add_gridspec(2, 3, height_ratios=(1.7, 1.0))
        left, middle, right = (figure.add_subplot(rows[0, i]) for i in range(3))
        below = figure.add_subplot(rows[1, :])
        add_bar(left, fill(left, grid, true, levels), labels[2])
        left.set(xlabel=labels[0], ylabel=labels[1], title="true")
        norm = LogNorm(*_range_of(sizes))
        look: Any = {"norm": norm, "cmap": "magma", "shading": "nearest"}
        mesh: Any = right.pcolormesh(grid.x, grid.y, np.ones(grid.shape), **look)
        mark_gaps(right, grid, true)
        right.patch.set(hatch=GAP["hatch"], facecolor=GAP["facecolor"])  # seen in gaps of a frame
        right.set(xlabel=labels[0], title="| predicted − true |")
        right.tick_params(labelleft=False)
        figure.colorbar(mesh, cax=right.inset_axes((1.04, 0.0, 0.05, 1.0)), extend="both")
        below.plot(steps, rmse, color=BLUE, linewidth=1.4)
        (dot,) = below.plot([], [], "o", color=VERMILLION)
        positive = any(0 < one < np.inf for one in rmse)
        below.set(xlabel="step", ylabel="RMSE", yscale="log" if positive else "linear")
        below.set_xscale("symlog", linthresh=1.0)
        below.set_xlim(min(0, *steps) - 0.1, 1.3 * max(1, *steps))
        below.grid(alpha=0.25, linewidth=0.6)

        def show(frame: int) -> None:
            with style():
                middle.clear()
                fill(middle, grid, shown[frame], levels)
                middle.set(xlabel=labels[0], title=f"predicted, step {steps[frame]}")
                middle.tick_params(labelleft=False)
                # An error of 0 has the lowest colour; only numbers that are not finite are gaps.
                size = np.where(sizes[frame] == 0, norm.vmin, sizes[frame])
                mesh.set_array(np.ma.masked_invalid(size).reshape(grid.shape))
                dot.set_data([steps[frame]], [rmse[frame]])
                below.set_title(f"step {steps[frame]}, RMSE {number(rmse[frame])}")

        show(0)
        figure.canvas.draw()
        figure.set_layout_engine("none")  # settled once, so that nothing moves between frames
    return Film(figure, len(frames), show, fps=6.0)


def _root_mean_square(size: np.ndarray) -> float:
    """Return that of numbers (n,) whose squares may be beyond the floats."""
    largest = float(size.max())
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.sqrt(np.mean((size / largest) ** 2)))


def _range_of(sizes: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return a third of the smallest frame's median, and the largest number of the first frames."""
    medians = [float(np.median(size)) for size in sizes if np.isfinite(size).all()]
    finite = [float(size[np.isfinite(size)].max()) for size in sizes if np.isfinite(size).any()]
    high = max([one for one in finite if one > 0], default=1.0)
    return min([one for one in medians if one > 0], default=high / 10) / 3, high


def animate_walk(trace: Trace, *, report: Report | None = None, title: str = "") -> Film:
    """Make a film of both passes: forward layer by layer, the node errors back, then the gradients.

    Args:
        trace: as returned by `backprop`; its first sample is shown.
        report: of `check_trace`, for the badge in the last frame; none unless given.
        title: above the figure.

    Returns:
        The film of 3 L + 1 frames; one term more appears in each.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> viz.animate_walk(trace).num_frames > 3
        True
    """
    walk = draw_walk(trace, report=report, title=" ")
    num_layers = trace.mlp.num_layers
    last = 3 * num_layers
    nodes, edges = walk.artists["nodes"], walk.artists["edges"]
    appears: list[tuple[Any, int]] = []  # an artist and its first frame
    appears += [(text, layer) for (layer, *_), text in nodes["forward"].items()]
    appears += [(text, layer) for (layer, *_), text in edges["forward"].items()]
    appears += [(text, 2 * num_layers + 1 - k) for (k, *_), text in nodes["backward"].items()]
    appears += [(text, last + 1 - layer) for (layer, *_), text in edges["backward"].items()]
    if walk.artists["badge"] is not None:
        appears.append((walk.artists["badge"], last))
    layers = range(1, num_layers + 1)
    captions = ["the inputs"]
    captions += [f"forward, layer {k}: z = Σ w a + b, then a = φ(z)" for k in layers]
    for layer in reversed(layers):
        source = "∂L/∂a" if layer == num_layers else "Σ δ w"
        captions.append(f"step 1, layer {layer}: e = {source}, then δ = e φ′(z)")
    captions += [f"step 2, layer {layer}: ∂L/∂w = a δ" for layer in reversed(layers)]

    def show(frame: int) -> None:
        for artist, first in appears:
            artist.set_visible(first <= frame)
        caption = f"{title}   frame {frame} of {last}   {captions[frame]}".strip()
        walk.artists["title"].set_text(caption)

    show(0)
    return Film(walk.figure, last + 1, show, fps=1.0)


def save_film(film: Film, path: str | Path, *, dpi: float = 80.0) -> Path:
    """Write a film, whole or not at all.

    Args:
        film: the film.
        path: .gif, or .html for one page with play, pause and step buttons and no other files.
        dpi: dots per inch.

    Returns:
        The path written.

    Raises:
        ValueError: the name ends otherwise, or the film is too large for a page.
        OSError: the file cannot be written.

    Examples:
        >>> import jaxbp
        >>> from jaxbp import viz
        >>> trace = jaxbp.backprop(jaxbp.Mlp((1, 1)), [([[2.0]], [0.5])], [[1.0]], [[0.0]])
        >>> viz.save_film(viz.animate_walk(trace), "walk.gif").name
        'walk.gif'
    """
    path = as_path(path)
    if path.suffix not in (".gif", ".html"):
        raise ValueError(f"path must end in .gif or .html, got {path.name}")
    with atomic_write(path) as partial:
        if path.suffix == ".gif":
            partial.write_bytes(_gif(film, dpi))
            return path
        page = _page(film, dpi, path.stem.replace("_", " "))
        if len(page) > EMBED_LIMIT * 1e6:
            raise ValueError(
                f"film must fit into {EMBED_LIMIT:g} MB as a page, got {len(page) / 1e6:.3g} MB: "
                "lower dpi or make a .gif"
            )
        partial.write_text(page, encoding="utf-8")
    return path


def _gif(film: Film, dpi: float) -> bytes:
    """Return a GIF that repeats, with equal times but for the last frame."""
    from PIL import Image

    frames, each, buffer = _frames(film, dpi), round(1000 / film.fps), io.BytesIO()
    times = [each] * (len(frames) - 1) + [each + round(1000 * film.hold)]
    wide, high = frames[0].size
    strip = Image.new("RGB", (wide, high * len(frames)))  # one palette for all
    for place, frame in enumerate(frames):
        strip.paste(frame, (0, high * place))
    strip = strip.quantize(256, kmeans=2, dither=Image.Dither.NONE)
    boxes = [(0, high * place, wide, high * (place + 1)) for place in range(len(frames))]
    first, *later = map(strip.crop, boxes)
    first.save(buffer, "GIF", save_all=True, append_images=later, duration=times, loop=0)
    return buffer.getvalue()


def _frames(film: Film, dpi: float) -> list[Any]:
    """Return the pictures of a film, in RGB."""
    frames = []
    with style():
        for frame in range(film.num_frames):
            film.show(frame)
            frames.append(drawn_pixels(film.figure, dpi))
    return frames


def _page(film: Film, dpi: float, title: str) -> str:
    """Return the page `film.html` with the frames inside it."""
    pictures = []
    for frame in _frames(film, dpi):
        buffer = io.BytesIO()
        frame.save(buffer, "WEBP", lossless=True, quality=100)
        data = base64.b64encode(buffer.getvalue()).decode()
        pictures.append(f"data:image/webp;base64,{data}")
    values = {
        "TITLE": html.escape(title),
        "FIRST": pictures[0],
        "LAST": str(len(pictures) - 1),
        "LATER": json.dumps(pictures[1:]),
        "TIME": str(round(1000 / film.fps)),
    }
    page = (Path(__file__).parent / "film.html").read_text(encoding="utf-8")
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", value)
    return page
