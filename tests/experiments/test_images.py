"""Digits: scikit-learn's split, and MNIST's files read, checked and refused."""

import gzip
import struct

import numpy as np
import pytest

from data.images import MNIST_FILES, digit_images, mnist_images


def idx(array):
    return (
        struct.pack(">I", 0x0800 | array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def arrays():
    generator = np.random.default_rng(0)
    sizes = {"train": 7, "t10k": 3}
    return {
        name: generator.integers(
            0,
            256 if "images" in name else 10,
            (sizes[name.split("-")[0]], *((5, 5) if "images" in name else ())),
        ).astype(np.uint8)
        for name in MNIST_FILES
    }


def broken_gzip(folder, name):
    content = bytearray(gzip.compress((folder / name).read_bytes()))
    content[12:40] = bytes(255 - byte for byte in content[12:40])
    (folder / name).unlink()
    (folder / f"{name}.gz").write_bytes(bytes(content))


def write(folder, arrays):
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))


def test_files_are_read(arrays, tmp_path):
    write(tmp_path, arrays)
    images = mnist_images(tmp_path)
    np.testing.assert_array_equal(images.train_images * 255, arrays[MNIST_FILES[0]].reshape(7, 25))
    np.testing.assert_array_equal(images.test_labels, arrays[MNIST_FILES[3]])
    assert images.side == 5
    assert images.train_labels.dtype == np.int32


def test_compressed_and_dotted_names_are_known(arrays, tmp_path):
    for name, array in arrays.items():
        (tmp_path / f"{name.replace('-idx', '.idx')}.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(mnist_images(tmp_path).train_labels, arrays[MNIST_FILES[1]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / MNIST_FILES[2]).unlink(), "must hold MNIST's file t10k-images-idx3-ubyte"),
        (
            lambda f: (f / MNIST_FILES[0]).write_bytes(b""),
            r"magic number 0x00000803, got 0x00000000",
        ),
        (
            lambda f: (f / MNIST_FILES[0]).write_bytes((f / MNIST_FILES[1]).read_bytes()),
            "got 0x00000801",
        ),
        (
            lambda f: (f / MNIST_FILES[1]).write_bytes((f / MNIST_FILES[1]).read_bytes()[:-1]),
            "must be 15 bytes long",
        ),
        (
            lambda f: (f / MNIST_FILES[1]).write_bytes((f / MNIST_FILES[3]).read_bytes()),
            "7 images and 3 labels",
        ),
        (
            lambda f: (f / MNIST_FILES[3]).write_bytes(idx(np.array([1, 2, 10], np.uint8))),
            "must be 0 to 9, got 10",
        ),
        (
            lambda f: (f / MNIST_FILES[2]).write_bytes(idx(np.zeros((3, 4, 4), np.uint8))),
            "squares of one size",
        ),
        (lambda f: broken_gzip(f, MNIST_FILES[0]), "must be a file that can be read"),
        (
            lambda f: (f / f"{MNIST_FILES[0]}").rename(f / f"{MNIST_FILES[0]}.gz"),
            "must be a file that can be read",
        ),
    ],
)
def test_wrong_files_are_named(change, message, arrays, tmp_path):
    write(tmp_path, arrays)
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        mnist_images(tmp_path)


def test_the_digits_are_split_once_and_for_all():
    pytest.importorskip("sklearn")
    one, two = digit_images(seed=3), digit_images(seed=3)
    np.testing.assert_array_equal(one.train_images, two.train_images)
    assert one.train_images.shape == (1438, 64)
    assert one.test_images.shape == (359, 64)
    assert 0 <= one.train_images.min() < one.train_images.max() == 1
    together = np.sort(np.concatenate([one.train_labels, one.test_labels]))
    assert np.array_equal(np.unique(together), np.arange(10))
