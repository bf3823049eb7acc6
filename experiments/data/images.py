"""Images of handwritten digits with labels: scikit-learn's, and MNIST from IDX files.

References:
    LeCun, Cortes and Burges: the IDX format (magic number, sizes, bytes; all big-endian).
"""

import gzip
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
UNSIGNED_BYTE = 0x08  # the only type of IDX data that images and labels come in


class LabelledImages(NamedTuple):
    """Images (n, side * side), float64 in [0, 1], and labels (n,), 0 to 9."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    side: int


def images_of(mnist: str, seed: int) -> LabelledImages:
    """Read MNIST from a folder, or load scikit-learn's digits where none is named."""
    return mnist_images(mnist) if mnist else digit_images(seed)


def digit_images(seed: int = 0) -> LabelledImages:
    """Load scikit-learn's 1,797 digits of 8 x 8 pixels; a fifth, drawn at random, is the test.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise ValueError(
            "the digits come with scikit-learn, which is not installed: "
            "pip install 'jaxbp[experiments]'"
        ) from None
    digits = load_digits()
    images, labels = digits.data / 16.0, digits.target.astype(np.int32)
    order = np.random.RandomState(seed).permutation(len(images))
    train, test = np.split(order, [round(0.8 * len(images))])
    return LabelledImages(images[train], labels[train], images[test], labels[test], 8)


def mnist_images(folder: str | Path) -> LabelledImages:
    """Read MNIST's four IDX files from a folder, plain or as .gz; pixels are divided by 255.

    The dot before `idx`, instead of the hyphen, is also known.

    Raises:
        ValueError: a file is missing, is no such IDX file, or does not fit the others; the message
            names it.
    """
    folder = Path(folder).expanduser()
    train_images, train_labels, test_images, test_labels = (
        _read_idx(_find(folder, name), 3 if "images" in name else 1) for name in MNIST_FILES
    )
    for part, images, labels in (
        ("train", train_images, train_labels),
        ("t10k", test_images, test_labels),
    ):
        if not len(images) == len(labels) > 0:
            raise ValueError(
                f"the {part} files in {folder} must hold as many labels as images, and at least "
                f"one, got {len(images)} images and {len(labels)} labels"
            )
        if labels.max() > 9:
            raise ValueError(f"the {part} labels in {folder} must be 0 to 9, got {labels.max()}")
    side = train_images.shape[1]
    shapes = {train_images.shape[1:], test_images.shape[1:]}
    if shapes != {(side, side)}:
        raise ValueError(
            f"the images in {folder} must all be squares of one size, got {sorted(shapes)}"
        )
    train, test = (some.reshape(len(some), -1) / 255.0 for some in (train_images, test_images))
    train_labels, test_labels = (some.astype(np.int32) for some in (train_labels, test_labels))
    return LabelledImages(train, train_labels, test, test_labels, side)


def _find(folder: Path, name: str) -> Path:
    names = [name, name.replace("-idx", ".idx")]
    for candidate in [*names, *(f"{one}.gz" for one in names)]:
        if (folder / candidate).is_file():
            return folder / candidate
    raise ValueError(f"{folder} must hold MNIST's file {name} (or {name}.gz), it does not")


def _read_idx(path: Path, num_dimensions: int) -> np.ndarray:
    """Read a file of unsigned bytes; check magic number, sizes and length."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} must be a file that can be read, got: {error}") from None
    head = 4 + 4 * num_dimensions
    magic = (UNSIGNED_BYTE << 8) | num_dimensions
    found = int.from_bytes(content[:4], "big")
    if len(content) < head or found != magic:
        raise ValueError(
            f"{path} must start with IDX's magic number {magic:#010x}, got {found:#010x}"
        )
    sizes = struct.unpack(f">{num_dimensions}I", content[4:head])
    wanted = head + int(np.prod(sizes, dtype=object))
    if len(content) != wanted:
        raise ValueError(
            f"{path} must be {wanted} bytes long for its sizes {sizes}, got {len(content)}"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes)
