"""Pictures of pixels: a figure as a PNG of few colours, which is less than half as long and looks the same."""

import io
from typing import Any

import numpy as np

COLOURS = 256  # as many as a palette holds
AREA = 20  # pixels of one colour that are more than the smoothed edge of a line


def png_bytes(figure: Any, dpi: float) -> bytes:
    """A figure as the bytes of a PNG with a palette, without a word of what drew it."""
    from PIL import Image

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    few_colours(Image.open(drawn).convert("RGB")).save(small, format="PNG", optimize=True)
    return small.getvalue()


def few_colours(image: Any) -> Any:
    """An RGB image with the palette that suits it, each pixel at the nearest colour of it; exact
    for up to 256 colours.

    Three quarters of the palette are the colours that most pixels are near to. The rest go one by
    one to the colour of some area that is farthest from all of them, or a colour bar would lose its
    shades to the map beside it.
    """
    from PIL import Image
    from scipy.spatial import cKDTree

    red, green, blue = np.moveaxis(np.asarray(image, np.uint32), -1, 0)
    packed, places, counts = np.unique(
        red << 16 | green << 8 | blue, return_inverse=True, return_counts=True
    )
    colours = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.uint8)
    palette, nearest = colours, np.arange(len(colours))
    if len(colours) > COLOURS:
        weighted = np.repeat(colours, np.ceil(counts**0.6).astype(int), axis=0)
        reduced = Image.fromarray(weighted[None]).quantize(
            3 * COLOURS // 4, kmeans=1, dither=Image.Dither.NONE
        )
        palette = np.asarray(reduced.getpalette(), np.uint8).reshape(-1, 3)
        areas = colours[counts >= AREA]
        far = cKDTree(palette).query(areas)[0]
        while len(palette) < COLOURS and far.max(initial=0) > 0:
            palette = np.vstack([palette, areas[far.argmax()]])
            far = np.minimum(far, np.linalg.norm(areas - palette[-1].astype(float), axis=1))
        nearest = cKDTree(palette).query(colours)[1]
    found = Image.fromarray(nearest[places].reshape(red.shape).astype(np.uint8), "P")
    found.putpalette(palette.tobytes())
    return found
