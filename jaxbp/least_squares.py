"""The output layer by linear least squares, factored once and solved for every penalty.

With the hidden activations A (n, m) and the targets T (n, k), the output layer (W, b) minimises

    || A W + 1 b - T ||^2 + penalty || W ||^2

The bias is not penalized: the columns of A and T are centred. Without a bias they are not. The
factorization is orthogonal; the normal equations would square the condition number.

    n > m + 1     triangular factor R of [1 A T], built from tiles of samples by LAPACK's tpqrt
                  (Demmel, Grigori, Hoemmen and Langou 2012); its first row holds the column means
    n <= m + 1    singular value decomposition of the centred A; minimum-norm solution

The singular values of A, or of R, give W = V diag(s / (s^2 + penalty)) U^T T for every penalty. The
penalty is chosen by generalized cross-validation where only R is known, and by exact leave-one-out
errors where U is known:

    e_i = alpha_i / D_ii,   alpha = D T,   D = U diag(1 / (s^2 + penalty)) U^T

This form subtracts nothing, so it stays exact where the errors are small beside the targets.

Legend: n samples, m units of the last hidden layer, k outputs.

References:
    Golub, Heath and Wahba 1979, Technometrics 21 (both criteria); Golub and Van Loan, Matrix
    Computations, section 5.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import lapack

from jaxbp._checks import check_number
from jaxbp._samples import as_params, as_samples
from jaxbp.losses import LOSSES
from jaxbp.network import forward
from jaxbp.params import Layer, Mlp, Params

TILE = 4096  # samples whose hidden activations are held at a time
BLOCK = 64  # columns that tpqrt reflects at a time
ROUNDING = 2.0**-52
# Relative to the least leave-one-out score, which is flat with many units: the largest penalty
# within this factor is the safest.
TIE = 1.02
# Relative to the largest singular value; tried where no ridge is given.
SHARES = np.concatenate([[0.0], np.logspace(-14, 1, 31)])


def solve_output(
    mlp: Mlp, params: Params, data: tuple[Any, Any], *, ridge: float | None = None
) -> Params:
    """Solve the output layer by least squares over all samples, in float64.

    The other layers stay unchanged. If the hidden activations are linearly dependent, or there are
    fewer samples than units, the minimum-norm solution is returned. The gradient of a squared loss
    with respect to the output layer is then zero up to rounding.

    Args:
        mlp: network; its output activation must be the identity.
        params: its parameters.
        data: inputs (n, n_0) and targets (n, n_L).
        ridge: penalty on the weights relative to the largest singular value; 0 for none. By
            default it is chosen by generalized cross-validation, or by leave-one-out errors if
            there are no more samples than units.

    Returns:
        Parameters with the new output layer, in their own dtype.

    Raises:
        ValueError: the output activation is not the identity, a shape does not fit, or the ridge
            is negative.
        TypeError: inputs or targets are not real numbers.

    Examples:
        >>> import jax, numpy as np, jaxbp
        >>> inputs = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
        >>> mlp = jaxbp.Mlp((1, 20, 1))
        >>> params = jaxbp.init(mlp, jax.random.key(0), dtype=np.float32)
        >>> params = jaxbp.solve_output(mlp, params, (inputs, 2 * inputs))
        >>> bool(np.abs(jaxbp.predict(mlp, params, inputs) - 2 * inputs).max() < 1e-3)
        True
    """
    if ridge is not None:
        check_number("ridge", ridge, minimum=0)
    if mlp.output != "identity":
        raise ValueError(
            f"mlp must have the output activation identity to be solved for, got {mlp.output!r}"
        )
    params = as_params(mlp, params)
    inputs, targets = as_samples(mlp, params, *data, LOSSES["mean_squared_error"])
    return solved(mlp, params, inputs, targets, ridge)


def solved(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    ridge: float | None = None,
    weights: np.ndarray | None = None,
) -> Params:
    """Solve the output layer for validated samples, which count as often as their weights say."""
    if weights is not None:
        counted = weights > 0
        if counted.sum() <= mlp.sizes[-2] + 1 and (weights[counted] == 1).all():
            inputs, targets, weights = inputs[counted], targets[counted], None
    factored = factor(mlp, params, inputs, targets, weights=weights)
    # 0 for one sample, or for units that do not vary.
    largest = factored.singular_values.max(initial=0.0) ** 2
    if ridge is None and largest > 0:
        penalty = best_penalty(factored, SHARES**2 * largest)[0]
    else:
        penalty = (ridge or 0.0) ** 2 * largest
    return with_output(params, *solution(factored, penalty))


def with_output(params: Params, weight: np.ndarray, bias: np.ndarray) -> Params:
    """Return the parameters with this output layer (m, k) and (k,), in their own dtype."""
    dtype = params[-1].weight.dtype
    shift = None if params[-1].bias is None else jnp.asarray(bias, dtype)
    return (*params[:-1], Layer(jnp.asarray(weight, dtype), shift))


class Triangle(NamedTuple):
    """Means (m + k,), R (m, m), Q^T T (m, k), and the squared norms (k,) orthogonal to Q."""

    num_samples: float
    means: np.ndarray
    hidden: np.ndarray
    projected: np.ndarray
    rest: np.ndarray


class OutputFactor(NamedTuple):
    """Singular value decomposition of the centred hidden activations.

    Attributes:
        num_samples: n, or the sum of the weights.
        means: (m + k,) of the hidden activations and the targets.
        left: U (n, p), or None where only R is known.
        singular_values: (p,) in decreasing order.
        right: V^T (p, m), scaled by the widths of the units.
        projected: U^T T (p, k).
        rest: (k,) squared norm of each target orthogonal to the hidden activations.
        targets: (n, k), or None like `left`.
    """

    num_samples: float
    means: np.ndarray
    left: np.ndarray | None
    singular_values: np.ndarray
    right: np.ndarray
    projected: np.ndarray
    rest: np.ndarray
    targets: np.ndarray | None


@partial(jax.jit, static_argnums=0)
def hidden_activations(mlp: Mlp, params: Params, inputs: Array) -> Array:
    """Compute the activations (n, m) that the output layer reads."""
    return forward(mlp, params, inputs)[1][-1].inputs


def triangle(
    mlp: Mlp, params: Params, inputs: Array, targets: Array, weights: np.ndarray | None = None
) -> Triangle:
    """Factor the hidden activations and targets.

    A row is multiplied by the root of its weight, and `num_samples` is the sum of the weights.
    """

    def units(some: Array) -> Array:
        return hidden_activations(mlp, params, some)

    return triangle_of(units, mlp.sizes[-2], inputs, targets, mlp.bias, weights)


def triangle_of(
    units: Callable[[Any], Any],
    fan_in: int,
    inputs: Any,
    targets: Any,
    bias: bool = True,
    weights: np.ndarray | None = None,
) -> Triangle:
    """Factor units, a function of inputs (n, d) -> (n, fan_in), with one tile in memory."""
    roots = None if weights is None else np.sqrt(weights)[:, np.newaxis]
    size = 1 + fan_in + targets.shape[1]
    r = np.zeros((size, size), order="F")
    for first in range(0, len(inputs), TILE):
        rows = slice(first, first + TILE)
        columns = np.empty((len(inputs[rows]), size), order="F")
        columns[:, 0] = bias
        columns[:, 1 : 1 + fan_in] = np.asarray(units(inputs[rows]), np.float64)
        columns[:, 1 + fan_in :] = np.asarray(targets[rows], np.float64)
        columns *= 1.0 if roots is None else roots[rows]
        r = lapack.dtpqrt(0, min(BLOCK, size), r, columns, overwrite_a=True, overwrite_b=True)[0]
    r = np.triu(r)
    centred = r[1:, 1:]
    rest = np.sum(centred[fan_in:, fan_in:] ** 2, axis=0)
    means = r[0, 1:] / r[0, 0] if bias else np.zeros(size - 1)
    count = len(inputs) if weights is None else float(weights.sum())
    return Triangle(count, means, centred[:fan_in, :fan_in], centred[:fan_in, fan_in:], rest)


def penalized(
    factored: Triangle, penalty: float, widths: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for one positive penalty on weight / widths without an SVD, (m, k) and (k,)."""
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
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    widths: np.ndarray | float = 1.0,
    weights: np.ndarray | None = None,
) -> OutputFactor:
    """Decompose the hidden activations, each column scaled by its unit's width (m,)."""
    num_samples, fan_in = inputs.shape[0], mlp.sizes[-2]
    if num_samples > fan_in + 1 or weights is not None:
        n, means, hidden, projected, rest = triangle(mlp, params, inputs, targets, weights)
        left, s, right = np.linalg.svd(hidden * widths, full_matrices=False)
        return OutputFactor(n, means, None, s, right * widths, left.T @ projected, rest, None)
    hidden = np.asarray(hidden_activations(mlp, params, inputs), np.float64)
    values = np.asarray(targets, np.float64)
    means = np.concatenate([hidden.mean(axis=0), values.mean(axis=0)]) * mlp.bias
    left, s, right = np.linalg.svd((hidden - means[:fan_in]) * widths, full_matrices=False)
    # Centred columns span at most n - 1 directions: the last singular value is rounding.
    rank = max(1, num_samples - mlp.bias)
    left, s, right = left[:, :rank], s[:rank], right[:rank]
    projected = left.T @ (values - means[fan_in:])
    return OutputFactor(
        num_samples, means, left, s, right * widths, projected, np.zeros(values.shape[1]), values
    )


def solution(factored: OutputFactor, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the output layer (m, k), (k,) for one penalty; 0 gives the minimum-norm solution."""
    s, means = factored.singular_values, factored.means
    rows = 0 if factored.left is None else factored.num_samples
    known = s > ROUNDING * max(factored.right.shape[1], rows) * s[0]
    # A penalty above the rounding level damps unknown directions itself.
    known |= penalty > (ROUNDING * s[0]) ** 2
    filters = np.where(known, s, 0.0) / (
        np.where(known, s, 1.0) ** 2 + penalty + np.finfo(float).tiny
    )
    weight = factored.right.T @ (filters[:, np.newaxis] * factored.projected)
    return weight, means[len(weight) :] - means[: len(weight)] @ weight


def best_penalty(
    factored: OutputFactor, penalties: Sequence[float] | np.ndarray
) -> tuple[float, float]:
    """Return the penalty with the least expected squared error, and that error."""
    ordered = np.unique(penalties)
    scores = np.array([_score(factored, penalty) for penalty in ordered])
    if not np.isfinite(scores).any():
        return float(ordered[-1]), float("inf")
    # With more samples than units the minimum is sharp, and no tie is needed.
    tie = 1.0 if factored.left is None else TIE
    best = int(np.flatnonzero(scores <= tie * np.nanmin(scores))[-1])
    return float(ordered[best]), float(scores[best])


def left_out(factored: OutputFactor, penalty: float) -> np.ndarray:
    """Predict each sample from all others, (n, k); needs `factored.left`."""
    if factored.left is None or factored.targets is None:
        raise ValueError("factored must hold all samples, got a triangular factor of them")
    inverse = 1 / (factored.singular_values**2 + penalty + np.finfo(float).tiny)
    alpha = factored.left @ (inverse[:, np.newaxis] * factored.projected)
    return factored.targets - alpha / (factored.left**2 @ inverse)[:, np.newaxis]


def _score(factored: OutputFactor, penalty: float) -> float:
    """Return the leave-one-out error if U is known, else the generalized cross-validation score."""
    with np.errstate(all="ignore"):
        if factored.left is not None:
            return float(np.mean((factored.targets - left_out(factored, penalty)) ** 2))
        s, n = factored.singular_values, factored.num_samples
        shrunk = penalty / (s**2 + penalty + np.finfo(float).tiny)
        left = np.sum((shrunk[:, np.newaxis] * factored.projected) ** 2, axis=0) + factored.rest
        freedom = n - 1 - np.sum(1 - shrunk)
        return float(n * np.mean(left) / freedom**2) if freedom > 0 else float("inf")
