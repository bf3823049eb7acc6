"""Small images in a grid, each under its caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxbp.viz.style import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_COLUMNS = 8


@dataclass(frozen=True)
class Gallery:
    """What `draw_images` drew: the figure, the images, and how many were left out."""

    figure: "Figure"
    images: list[Any]
    left_out: int


def draw_images(images: np.ndarray, captions: Sequence[str], *, title: str = "", limit: int = 16) -> Gallery:
    """Draws the first images of a stack, eight in a row.

    Args:
        images: (n, rows, columns), brightness.
        captions: n texts.
        title: above the figure; it says how many are not shown.
        limit: how many to show at most.

    Returns:
        The artists.

    Raises:
        ValueError: there are not as many captions as images.
    """
    if len(captions) != len(images):
        raise ValueError(f"captions must be {len(images)} like the images, got {len(captions)}")
    shown = min(limit, len(images))
    num_rows = max(1, -(-shown // NUM_COLUMNS))
    with style():
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(10.0, 1.65 * num_rows + 0.5), layout="constrained")
        grid = figure.subplots(num_rows, NUM_COLUMNS, squeeze=False).ravel()
        drawn = []
        for ax, image, caption in zip(grid, images[:shown], captions, strict=False):
            drawn.append(ax.imshow(image, cmap="gray_r", interpolation="nearest"))
            ax.set_title(caption, fontsize=9)
        for ax in grid:
            ax.axis("off")
        rest = len(images) - shown
        figure.suptitle(title + (f" (the first {shown} are shown)" if rest else ""))
    return Gallery(figure, drawn, rest)
