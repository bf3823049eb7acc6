"""Judges of a cotangent that know the function by its values: along a direction of a leaf, and at
single elements.

For phi(x) = <u, reference(x)> in float64, g the cotangent of one leaf under judgement, v a random
unit direction in it:

    adjoint identity     <g, v> = <u, J v>, J v by forward mode (Griewank and Walther 2008)
    complex step         <g, v> = Im phi(x + i h v) / h, where phi is analytic (Squire and Trapp 1998)
    central difference   g_i = (phi(x + h e_i) - phi(x - h e_i)) / 2h at some elements, kinks left out
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.gradcheck.numerical import CENTRAL_STEP, COMPLEX_STEP
from jaxbp.gradcheck.report import Row

ELEMENTS = 16  # of a leaf, at most, that central differences judge
CHUNK = 2**24  # numbers to evaluate at once
SMOOTH = 1e-4  # step and tolerance of the Cauchy-Riemann equations


class Leaf(NamedTuple):
    """A leaf and what the rule has for it.

    Attributes:
        path: its name in reports.
        position: among the leaves of the arguments.
        bar: the cotangent under judgement.
        allowed: the error that passes, relative to the norm of the cotangent.
        direction: v, of norm 1.
    """

    path: str
    position: int
    bar: np.ndarray
    allowed: float
    direction: np.ndarray

    @property
    def scale(self) -> float:
        """The norm that errors are relative to."""
        return max(float(np.linalg.norm(self.bar)), 1e-30)

    def row(self, judge: str, expected: float, slack: float = 0.0) -> Row:
        """Compares <g, v> with what a judge has for it, which itself is known to `slack`."""
        slope = float(np.sum(self.bar * self.direction))
        return Row(
            self.path,
            judge,
            abs(slope - expected) / self.scale,
            self.allowed + slack / self.scale,
            (),
            slope,
            expected,
        )


class Probe(NamedTuple):
    """phi: the reference, weighted by a cotangent, where single leaves are moved.

    Attributes:
        reference: arguments -> a pytree of real arrays, under jit.
        arguments: in float64.
        cotangent: u, of the structure of the result, in float64.
    """

    reference: Callable[..., Any]
    arguments: Any
    cotangent: Any

    def values(self, position: int, changes: Sequence[Any] | np.ndarray) -> np.ndarray:
        """The values of phi with each of the changes (m, ...) added to one leaf."""
        leaves, structure = jax.tree.flatten(self.arguments)
        axes = [0 if i == position else None for i in range(len(leaves))]
        many = jax.vmap(
            lambda *leaves: self.reference(*jax.tree.unflatten(structure, leaves)), tuple(axes)
        )
        moved = np.asarray(leaves[position]) + np.asarray(changes)
        size = max(1, min(len(moved), CHUNK // max(1, moved[0].size)))
        moved = np.concatenate([moved, np.repeat(moved[-1:], -len(moved) % size, axis=0)])
        parts = [
            many(*leaves[:position], part, *leaves[position + 1 :])
            for part in np.split(moved, len(moved) // size)
        ]
        return np.concatenate([self.weighted(part, size) for part in parts])[: len(changes)]

    def weighted(self, results: Any, size: int) -> np.ndarray:
        """Computes <u, result> for results (size, ...)."""
        pairs = zip(jax.tree.leaves(results), jax.tree.leaves(self.cotangent), strict=True)
        terms = [
            np.asarray(result).reshape(size, -1) @ np.asarray(bar, np.float64).ravel()
            for result, bar in pairs
            if bar.dtype != jax.dtypes.float0
        ]
        return np.sum(terms, axis=0)

    def noise(self, leaf: Leaf) -> float:
        """The rounding error of a value: what second differences are at steps far too short for a curvature."""
        near = self.values(leaf.position, np.multiply.outer(1e-9 * np.arange(8), leaf.direction))
        return float(np.abs(np.diff(near, 2)).max()) + 2.0**-52 * float(np.abs(near).max())


def judge_directions(probe: Probe, leaves: Sequence[Leaf]) -> tuple[list[Row], list[str]]:
    """Holds each cotangent against the adjoint identity, the complex step and central differences."""
    rows, refused, not_analytic, skipped = [], "", [], 0
    arguments, structure = jax.tree.flatten(probe.arguments)
    for leaf in leaves:
        noise = probe.noise(leaf)
        tangents = [
            leaf.direction if i == leaf.position else _zero_tangent(other)
            for i, other in enumerate(arguments)
        ]
        pushed = jax.jvp(
            probe.reference, tuple(probe.arguments), tuple(jax.tree.unflatten(structure, tangents))
        )[1]
        pushed = jax.tree.map(lambda tangent: np.asarray(tangent)[np.newaxis], pushed)
        rows.append(leaf.row("adjoint identity", float(probe.weighted(pushed, 1)[0])))
        try:
            expected = _complex_step(probe, leaf, noise)
            if expected is None:
                not_analytic.append(leaf.path)
            else:
                rows.append(leaf.row("complex step", expected, slack=noise))
        except (TypeError, ValueError, NotImplementedError) as error:
            refused = str(error).split("\n")[0][:100]
        row, kinks = _at_elements(probe, leaf, noise)
        skipped += kinks
        rows += [row] if row is not None else []
    notes = (
        [f"no complex step: the reference takes no complex numbers ({refused})"] if refused else []
    )
    if not_analytic:
        notes.append(f"no complex step: the reference is not analytic in {', '.join(not_analytic)}")
    return rows, [
        *notes,
        f"elements at a kink, where no difference is taken: {skipped}",
    ] if skipped else notes


def _complex_step(probe: Probe, leaf: Leaf, noise: float) -> float | None:
    """Im phi(x + i h v) / h; None where phi lies at a kink or does not obey the Cauchy-Riemann equations."""
    ends = probe.values(leaf.position, np.multiply.outer([SMOOTH, -SMOOTH], leaf.direction))
    steps = np.array([COMPLEX_STEP, -COMPLEX_STEP, SMOOTH, -SMOOTH])
    turned = probe.values(leaf.position, np.multiply.outer(1j * steps, leaf.direction))
    real, imaginary = (ends[0] - ends[1]) / (2 * SMOOTH), (turned[2] - turned[3]) / (2j * SMOOTH)
    above, below = turned[:2].imag / steps[:2]
    tolerance = SMOOTH * (leaf.scale + abs(real)) + noise / SMOOTH
    return float(above) if max(abs(real - imaginary), abs(above - below)) <= tolerance else None


def _at_elements(probe: Probe, leaf: Leaf, noise: float) -> tuple[Row | None, int]:
    """The element, of some drawn at random, that central differences find furthest off; and how many lie at a kink."""
    count = leaf.bar.size
    chosen = np.sort(np.random.default_rng(0).choice(count, min(count, ELEMENTS), replace=False))
    x = np.asarray(jax.tree.leaves(probe.arguments)[leaf.position]).ravel()[chosen]
    h = CENTRAL_STEP * np.maximum(1.0, np.abs(x))
    changes = np.zeros((5, len(chosen), count))
    for i, multiple in enumerate((-2, -1, 0, 1, 2)):
        changes[i, np.arange(len(chosen)), chosen] = multiple * h
    values = probe.values(leaf.position, changes.reshape(-1, *leaf.bar.shape)).reshape(5, -1)
    coarse, fine = (values[4] - values[0]) / (4 * h), (values[3] - values[1]) / (2 * h)
    wide, narrow = (
        np.abs(a - 2 * values[2] + b) for a, b in ((values[4], values[0]), (values[3], values[1]))
    )
    # A quarter of it where phi is smooth; below that a kink is at 4/7 h or more, and moves `fine`
    # by at most 3/2 of what it moves it from `coarse`.
    kink = narrow > 0.3 * wide + 8 * noise
    allowed = leaf.allowed + (2 * np.abs(coarse - fine) + 4 * noise / h) / leaf.scale
    error = np.abs(leaf.bar.ravel()[chosen] - fine) / leaf.scale
    rows = [
        Row(
            leaf.path,
            "central difference",
            float(error[i]),
            float(allowed[i]),
            tuple(int(j) for j in np.unravel_index(chosen[i], leaf.bar.shape)),
            float(leaf.bar.ravel()[chosen[i]]),
            float(fine[i]),
        )
        for i in np.flatnonzero(~kink)
    ]
    worst = max(
        rows,
        key=lambda row: math.inf if math.isnan(row.error) else row.error / row.allowed,
        default=None,
    )
    return worst, int(kink.sum())


def _zero_tangent(leaf: Any) -> np.ndarray:
    floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
    return np.zeros(np.shape(leaf), np.float64 if floating else jax.dtypes.float0)
