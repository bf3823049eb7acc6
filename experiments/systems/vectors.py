"""How far one gradient is from another: angle and ratio of lengths."""

from typing import Any, NamedTuple

import jax
import numpy as np


class Difference(NamedTuple):
    """A gradient beside the right one.

    Attributes:
        angle: between them, in degrees.
        ratio: its length over that of the right one.
        relative: || gradient - right || / || right ||.
    """

    angle: float
    ratio: float
    relative: float


def flat(tree: Any) -> np.ndarray:
    """All numbers of a pytree in one float64 vector."""
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def difference(gradient: Any, right: Any) -> Difference:
    """Compares two pytrees of one structure as vectors."""
    a, b = flat(gradient), flat(right)
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    # atan2 keeps the digits of a small angle that arccos of the cosine would lose.
    unit_a, unit_b = a / lengths[0], b / lengths[1]
    angle = 2 * np.arctan2(np.linalg.norm(unit_a - unit_b), np.linalg.norm(unit_a + unit_b))
    return Difference(
        float(np.degrees(angle)), float(lengths[0] / lengths[1]), float(np.linalg.norm(a - b) / lengths[1])
    )
