"""Points at which a rule is checked beside the given one."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxbp.gradcheck.calls import Leaves

FACTORS = (-1.0, 4.0, 0.25, -6.0, 30.0, 1e-3, 1e3)


def points_near(
    point: Leaves, generator: np.random.Generator, gentle: bool
) -> Iterator[tuple[str, Leaves]]:
    """Yield labels and points: near, negated, scaled, with other signs, zero, tied and drawn ones.

    Gentle ones are all near the given one, for iterations that may not converge elsewhere.
    """

    def changed(change: Callable[..., Any]) -> Leaves:
        return [np.asarray(change(_wide(leaf))).astype(leaf.dtype) for leaf in point]

    def normal(leaf: np.ndarray) -> np.ndarray:
        return generator.standard_normal(leaf.shape)

    for k in range(2):
        yield f"a point near ({k + 1})", changed(lambda x: x + 0.1 * size_of(x) * normal(x))
    for factor in FACTORS if not gentle else (1.1, 0.9):
        yield f"arguments times {factor:g}", changed(lambda x, factor=factor: factor * x)
    if gentle:
        return
    yield "other signs", changed(lambda x: x * generator.choice([-1.0, 1.0], x.shape))
    yield "absolute values", changed(lambda x: np.abs(x))
    yield "zeros", changed(np.zeros_like)
    yield "ties", changed(lambda x: np.full_like(x, x.ravel()[:1].sum()))
    yield "pairs of ties", changed(_in_pairs)
    for k in range(min(len(point), 4) * (len(point) > 1)):
        for factor in (-1.0, 5.0):
            moved = (factor * _wide(point[k])).astype(point[k].dtype)
            yield f"argument {k} times {factor:g}", [*point[:k], moved, *point[k + 1 :]]
    for scale in (1.0, 3.0, 10.0, 0.1):
        yield f"drawn, size {scale:g}", changed(lambda x, s=scale: s * size_of(x) * normal(x))
    for scale in (1.0, 5.0):
        yield f"drawn near {scale:g}", changed(lambda x, s=scale: s + 0.3 * normal(x))
        yield f"drawn near {-scale:g}", changed(lambda x, s=scale: -s + 0.3 * normal(x))


def _wide(leaf: np.ndarray) -> np.ndarray:
    return np.asarray(leaf).astype(complex if np.iscomplexobj(leaf) else float)


def size_of(leaf: np.ndarray) -> float:
    """Return the root mean square, 1 if it is 0."""
    rms = float(np.sqrt(np.mean(np.abs(leaf) ** 2))) if leaf.size else 1.0
    return rms if 0 < rms < np.inf else 1.0


def _in_pairs(leaf: np.ndarray) -> np.ndarray:
    """The same numbers with each second one equal to the one before."""
    flat = np.array(leaf).ravel()
    flat[1::2] = flat[: 2 * (flat.size // 2) : 2]
    return flat.reshape(leaf.shape)
