"""Timing side by side: every run in turn, so that what else the machine does meets all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ROUNDS = 7


class Times(NamedTuple):
    """How long a call took, in seconds, compiling apart."""

    median: float
    minimum: float


def interleaved(
    runs: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS, pause: float = 0.0
) -> dict[str, Times]:
    """Calls each once to warm it up, then all of them in turn, some rounds long.

    `pause` is waited before each: the threads of OpenBLAS and OpenMP go on in busy loops when their
    work is done.
    """
    for run in runs.values():
        jax.block_until_ready(run())
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(pause)
            start = time.perf_counter()
            jax.block_until_ready(run())
            taken[name].append(time.perf_counter() - start)
    return {name: Times(statistics.median(some), min(some)) for name, some in taken.items()}


def matmul_peak(dtype: Any, size: int = 2048) -> float:
    """The operations a second of a large matrix product, the fastest of some."""
    with jax.enable_x64(dtype == np.float64):
        matrix = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), dtype)
        product = jax.jit(lambda a: a @ a)
        return 2 * size**3 / interleaved({"product": lambda: product(matrix)})["product"].minimum


def geometric_mean(ratios: list[float]) -> float:
    """The geometric mean, NaN of none."""
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else float("nan")
