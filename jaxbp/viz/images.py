"""Small images in a grid, each under its caption."""

from collections.abc import Sequence

import numpy as np

from jaxbp.viz.style import WIDTH, Drawing, new_figure, style

NUM_COLUMNS = 8
MAX_IMAGES = 16


def draw_images(images: np.ndarray, captions: Sequence[str], *, title: str = "") -> Drawing:
    """Draw the first 16 images of a stack, eight in a row.

    Args:
        images: (n, rows, columns), brightness.
        captions: n texts.
        title: above the figure; it says how many are not shown.

    Returns:
        The drawing; artist `images`, a list; number `left_out`.

    Raises:
        ValueError: there are not as many captions as images.

    Examples:
        >>> import numpy as np
        >>> from jaxbp import viz
        >>> drawing = viz.draw_images(np.zeros((2, 8, 8)), ["a zero", "another"])
    """
    if len(captions) != len(images):
        raise ValueError(f"captions must be {len(images)} like the images, got {len(captions)}")
    shown = min(MAX_IMAGES, len(images))
    num_rows = max(1, -(-shown // NUM_COLUMNS))
    with style():
        figure = new_figure(WIDTH, 1.45 * num_rows + 0.5)
        grid = figure.subplots(num_rows, NUM_COLUMNS, squeeze=False).ravel()
        drawn = []
        for ax, image, caption in zip(grid, images[:shown], captions, strict=False):
            drawn.append(ax.imshow(image, cmap="gray_r", interpolation="nearest"))
            ax.set_title(caption, fontsize=8)
        for ax in grid:
            ax.axis("off")
        rest = len(images) - shown
        figure.suptitle(title + (f" (the first {shown} are shown)" if rest else ""))
    return Drawing(figure, {}, {"images": drawn}, {"left_out": rest})
