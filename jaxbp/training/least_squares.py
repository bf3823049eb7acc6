"""The least-squares problem of the output layer, factored so that every penalty is answered at
once.

With the hidden activations A (n, m) and the targets T (n, k), the output layer (W, b) minimises

    || A W + 1 b - T ||^2 + penalty || W ||^2        the bias is never shrunk: the columns of A and T are centred

by an orthogonal factorization, never by the normal equations, which would square the condition
number.

    more samples than units    the triangular factor R of [1 A T], a tile of samples at a time (LAPACK's tpqrt: Demmel,
                               Grigori, Hoemmen and Langou 2012); its first row holds the column
                               means
    as many units or more      the singular values of the centred A; the solution is the one of the smallest norm

The singular values of A, or of R, answer every penalty at once, W = V diag(s / (s^2 + penalty)) U^T
T, and say which one predicts best: by generalized cross-validation from R alone, by exact
leave-one-out errors where U is at hand,

    e_i = alpha_i / D_ii,  alpha = U diag(1 / (s^2 + penalty)) U^T T,  D = U diag(1 / (s^2 +
    penalty)) U^T

which subtracts nothing and so stays exact where the errors are small beside the targets.

Legend: n samples, m units of the last hidden layer, k outputs, r penalties.

References:
    Golub, Heath and Wahba 1979, Technometrics 21 (both criteria).
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from scipy.linalg import lapack

from jaxbp.network import forward
from jaxbp.params import Mlp, Params

TILE = 4096  # samples whose hidden activations are held at a time
BLOCK = 64  # columns that tpqrt reflects at a time
ROUNDING = 2.0**-52
TIE = 1.02  # of the least score: with many units noise leaves it flat, and the larger penalty is the safer one


class Triangle(NamedTuple):
    """What is kept of any number of samples.

    Attributes:
        num_samples: n.
        means: (m + k,) of the hidden activations and the targets.
        hidden: R (m, m), the triangular factor of the centred hidden activations.
        projected: Q^T T (m, k).
        rest: (k,) the sum of squares of each target that no combination of the hidden activations
            reaches.
    """

    num_samples: int
    means: np.ndarray
    hidden: np.ndarray
    projected: np.ndarray
    rest: np.ndarray


class OutputFactor(NamedTuple):
    """The singular value decomposition that answers every penalty.

    Attributes:
        num_samples: n.
        means: (m + k,) of the hidden activations and the targets.
        left: U (n, p), where all samples were at hand at once; None where only R was.
        singular_values: (p,) of the centred hidden activations, the largest first.
        right: V^T (p, m), times the widths of the units where there are any.
        projected: U^T T (p, k), the targets in the basis of the singular vectors.
        rest: (k,) the sum of squares of each target that no combination of the hidden activations
            reaches.
        targets: (n, k), beside `left`.
    """

    num_samples: int
    means: np.ndarray
    left: np.ndarray | None
    singular_values: np.ndarray
    right: np.ndarray
    projected: np.ndarray
    rest: np.ndarray
    targets: np.ndarray | None


@partial(jax.jit, static_argnums=0)
def hidden_activations(mlp: Mlp, params: Params, inputs: Array) -> Array:
    """The activations (n, m) that the output layer reads."""
    return forward(mlp, params, inputs)[1][-1].inputs


def triangle(mlp: Mlp, params: Params, inputs: Array, targets: Array) -> Triangle:
    """Factors the hidden activations and the targets of all samples, in memory for one tile of them and R."""
    num_samples, fan_in = inputs.shape[0], mlp.sizes[-2]
    size = 1 + fan_in + mlp.sizes[-1]
    r = np.zeros((size, size), order="F")
    for first in range(0, num_samples, TILE):
        rows = slice(first, first + TILE)
        columns = np.empty((len(inputs[rows]), size), order="F")
        columns[:, 0] = 1
        columns[:, 1 : 1 + fan_in] = np.asarray(
            hidden_activations(mlp, params, inputs[rows]), np.float64
        )
        columns[:, 1 + fan_in :] = np.asarray(targets[rows], np.float64)
        r = lapack.dtpqrt(0, min(BLOCK, size), r, columns, overwrite_a=True, overwrite_b=True)[0]
    r = np.triu(r)
    centred = r[1:, 1:]
    rest = np.sum(centred[fan_in:, fan_in:] ** 2, axis=0)
    return Triangle(
        num_samples, r[0, 1:] / r[0, 0], centred[:fan_in, :fan_in], centred[:fan_in, fan_in:], rest
    )


def penalized(
    factored: Triangle, penalty: float, widths: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The output layer (m, k), (k,) for one positive penalty on weight / widths: one triangle on another, no SVD."""
    fan_in = len(factored.hidden)
    block = min(BLOCK, fan_in)
    rows = np.asfortranarray(
        np.sqrt(penalty) * np.diag(np.broadcast_to(1 / np.asarray(widths), fan_in))
    )
    r, v, t, _ = lapack.dtpqrt(fan_in, block, np.asfortranarray(factored.hidden), rows)
    below = np.zeros(factored.projected.shape, order="F")
    projected = lapack.dtpmqrt(
        fan_in, v, t, np.asfortranarray(factored.projected), below, side="L", trans="T"
    )[0]
    weight = lapack.dtrtrs(r, projected)[0]
    return weight, factored.means[fan_in:] - factored.means[:fan_in] @ weight


def factor(
    mlp: Mlp, params: Params, inputs: Array, targets: Array, widths: np.ndarray | float = 1.0
) -> OutputFactor:
    """Decomposes the hidden activations of all samples, each column times its unit's width (m,)."""
    num_samples, fan_in = inputs.shape[0], mlp.sizes[-2]
    if num_samples > fan_in + 1:
        n, means, hidden, projected, rest = triangle(mlp, params, inputs, targets)
        left, s, right = np.linalg.svd(hidden * widths, full_matrices=False)
        return OutputFactor(n, means, None, s, right * widths, left.T @ projected, rest, None)
    hidden = np.asarray(hidden_activations(mlp, params, inputs), np.float64)
    values = np.asarray(targets, np.float64)
    means = np.concatenate([hidden.mean(axis=0), values.mean(axis=0)])
    left, s, right = np.linalg.svd((hidden - means[:fan_in]) * widths, full_matrices=False)
    # Centred columns have one direction less than there are samples: the last one holds nothing but
    # rounding.
    left, s, right = (
        left[:, : max(1, num_samples - 1)],
        s[: max(1, num_samples - 1)],
        right[: max(1, num_samples - 1)],
    )
    projected = left.T @ (values - means[fan_in:])
    return OutputFactor(
        num_samples, means, left, s, right * widths, projected, np.zeros(values.shape[1]), values
    )


def solution(factored: OutputFactor, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """The output layer (m, k), (k,) for one penalty; 0 takes the smallest weights where there are many solutions."""
    s, means = factored.singular_values, factored.means
    known = (
        s
        > ROUNDING
        * max(factored.right.shape[1], factored.num_samples if factored.left is not None else 0)
        * s[0]
    )
    # A penalty that is larger than rounding says itself how much of a direction is known.
    known |= penalty > (ROUNDING * s[0]) ** 2
    filters = np.where(known, s, 0.0) / (
        np.where(known, s, 1.0) ** 2 + penalty + np.finfo(float).tiny
    )
    weight = factored.right.T @ (filters[:, np.newaxis] * factored.projected)
    return weight, means[len(weight) :] - means[: len(weight)] @ weight


def best_penalty(
    factored: OutputFactor, penalties: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """The penalty that predicts best, and its mean squared error; of leave-one-out errors the largest within 2 %."""
    ordered = np.unique(penalties)
    scores = np.array([_score(factored, penalty) for penalty in ordered])
    if not np.isfinite(scores).any():
        return float(ordered[-1]), float("inf")
    # With more samples than units the least score is sharp: 2 % of the noise can be more than the
    # error it stands for.
    tie = 1.0 if factored.left is None else TIE
    best = int(np.flatnonzero(scores <= tie * np.nanmin(scores))[-1])
    return float(ordered[best]), float(scores[best])


def left_out(factored: OutputFactor, penalty: float) -> np.ndarray:
    """The predictions (n, k) for each sample from all the others; `factored.left` must be there."""
    if factored.left is None or factored.targets is None:
        raise ValueError("factored must hold all samples, got a triangular factor of them")
    inverse = 1 / (factored.singular_values**2 + penalty + np.finfo(float).tiny)
    alpha = factored.left @ (inverse[:, np.newaxis] * factored.projected)
    return factored.targets - alpha / (factored.left**2 @ inverse)[:, np.newaxis]


def _score(factored: OutputFactor, penalty: float) -> float:
    """The mean squared error to expect: leave-one-out where it can be had, else generalized cross-validation."""
    with np.errstate(all="ignore"):
        if factored.left is not None:
            return float(np.mean((factored.targets - left_out(factored, penalty)) ** 2))
        s, n = factored.singular_values, factored.num_samples
        shrunk = penalty / (s**2 + penalty + np.finfo(float).tiny)
        left = np.sum((shrunk[:, np.newaxis] * factored.projected) ** 2, axis=0) + factored.rest
        freedom = n - 1 - np.sum(1 - shrunk)
        return float(n * np.mean(left) / freedom**2) if freedom > 0 else float("inf")
