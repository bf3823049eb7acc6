"""A step of descent on samples that stay on disk, beside one on samples in memory."""

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from jaxbp._threads import one_blas_thread

MLP, BATCH, STEPS = jaxbp.Mlp((2, 64, 64, 64, 1)), 1000, 1000
ROWS, MORE_ROWS = 1_000_000, 10_000_000
ROWS_AT_A_TIME = 1_000_000


def write(folder: Path, num_rows: int) -> tuple[Any, Any]:
    """Writes samples of sin(x) + y to files, and maps them."""
    paths = folder / "inputs.npy", folder / "targets.npy"
    arrays = [
        np.lib.format.open_memmap(path, "w+", np.float32, (num_rows, columns))
        for path, columns in zip(paths, (2, 1), strict=True)
    ]
    generator = np.random.default_rng(0)
    for first in range(0, num_rows, ROWS_AT_A_TIME):
        rows = slice(first, min(first + ROWS_AT_A_TIME, num_rows))
        arrays[0][rows] = generator.uniform(-2, 2, arrays[0][rows].shape)
        arrays[1][rows] = np.sin(arrays[0][rows, :1]) + arrays[0][rows, 1:]
    return np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r")


def seconds_a_step(samples: tuple[Any, Any]) -> float:
    """Of batches of BATCH: the difference of two runs with two records each, which evaluate all samples."""
    params = jaxbp.init(MLP, jax.random.key(0), dtype=jnp.float32)
    options: dict[str, Any] = {
        "batch_size": BATCH,
        "record_every": 3 * STEPS,
        "key": jax.random.key(1),
    }
    with one_blas_thread():
        short, long = (
            min(
                jaxbp.fit(MLP, params, samples, steps=count, **options).run_seconds
                for _ in range(3)
            )
            for count in (STEPS, 3 * STEPS)
        )
    return (long - short) / (2 * STEPS)


def measure() -> dict[str, float]:
    """Seconds a step by where the samples are."""
    with tempfile.TemporaryDirectory() as temporary:
        mapped = write(Path(temporary), MORE_ROWS)
        some = mapped[0][:ROWS], mapped[1][:ROWS]
        places = {
            f"{ROWS:,} in memory": (np.array(some[0]), np.array(some[1])),
            f"{ROWS:,} on disk": some,
            f"{MORE_ROWS:,} on disk": mapped,
        }
        return {name: seconds_a_step(samples) for name, samples in places.items()}
