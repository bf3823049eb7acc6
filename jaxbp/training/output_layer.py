"""The output layer by linear least squares: where the outputs are linear in it, nothing needs to be trained.

With the hidden activations A (n, m) and the targets T (n, k), the output layer (W, b) minimises

    || A W + 1 b - T ||^2 + (ridge s_1)^2 || W ||^2        s_1 the largest singular value of A less its column means

by an orthogonal factorization, never by the normal equations, which would square the condition number. The triangular
factor R of [1 A T] is built tile by tile. Its first row holds the column means, and what is left is the factor of the
centred columns: a ridge therefore never shrinks the bias. The singular values of R then answer every ridge at once,

    W = V diag(s / (s^2 + (ridge s_1)^2)) U^T R_T

and with them generalized cross-validation, n RSS / (n - degrees of freedom)^2 (Golub, Heath and Wahba 1979).

Legend: n samples, m units of the last hidden layer, k outputs, r ridges.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._checks import check_number
from jaxbp._samples import as_samples
from jaxbp.losses import LOSSES
from jaxbp.network import forward
from jaxbp.params import Layer, Mlp, Params

TILE = 4096  # samples whose hidden activations are held at a time
RIDGES = np.concatenate([[0.0], np.logspace(-15, 0, 61)])  # tried where none is given
ROUNDING = 2.0**-52


class OutputFactor(NamedTuple):
    """What is kept of all samples to solve the output layer.

    Attributes:
        num_samples: n.
        means: (m + k,) of the hidden activations and the targets.
        singular_values: (p,) of the centred hidden activations, the largest first; p = m, or n - 1 where that is less.
        right: V^T (p, m).
        projected: U^T R_T (p, k), the targets in the basis of the singular vectors.
        rest: (k,) the sum of squares of each target that no combination of the hidden activations reaches.
    """

    num_samples: int
    means: np.ndarray
    singular_values: np.ndarray
    right: np.ndarray
    projected: np.ndarray
    rest: np.ndarray


def solve_output(mlp: Mlp, params: Params, data: tuple[Any, Any], *, ridge: float | None = None) -> Params:
    """Solves the output layer by least squares over all samples, in float64; the other layers stay as they are.

    Where the hidden activations are linearly dependent, or fewer samples than units are there, the solution of the
    smallest norm is taken. A squared loss then has no gradient left in the output layer: `loss_and_gradient` shows it.

    Args:
        mlp: the network; its output activation must be the identity.
        params: its parameters.
        data: inputs (n, n_0) and targets (n, n_L).
        ridge: the penalty on the weights as a share of the largest singular value, 0 for none; chosen by generalized
            cross-validation unless given.

    Returns:
        The parameters with the new output layer, of their own dtype.

    Raises:
        ValueError: the output activation is not linear, a shape does not fit, or the ridge is negative.
        TypeError: inputs or targets are not real numbers.

    References:
        Golub, Heath and Wahba 1979, Technometrics 21 (generalized cross-validation); Golub and Van Loan, section 5.
    """
    if ridge is not None:
        check_number("ridge", ridge, minimum=0)
    if mlp.output != "identity":
        raise ValueError(f"mlp must have the output activation identity to be solved for, got {mlp.output!r}")
    inputs, targets = as_samples(mlp, params, *data, LOSSES["mean_squared_error"])
    return solved(mlp, params, inputs, targets, ridge)


def solved(mlp: Mlp, params: Params, inputs: Array, targets: Array, ridge: float | None = None) -> Params:
    """Computes what `solve_output` does, of samples that are validated already."""
    factored = factor(mlp, params, inputs, targets)
    weight, bias = solutions(factored, [best_ridge(factored) if ridge is None else ridge])
    dtype = params[-1].weight.dtype
    return (*params[:-1], Layer(jnp.asarray(weight[0], dtype), jnp.asarray(bias[0], dtype)))


def factor(mlp: Mlp, params: Params, inputs: Array, targets: Array) -> OutputFactor:
    """Factors the hidden activations and the targets of all samples, holding one tile of them at a time."""
    num_samples, fan_in = inputs.shape[0], mlp.sizes[-2]
    triangle = np.zeros((0, 1 + fan_in + mlp.sizes[-1]))
    for first in range(0, num_samples, TILE):
        rows = slice(first, first + TILE)
        hidden = np.asarray(hidden_activations(mlp, params, inputs[rows]), np.float64)
        columns = np.column_stack([np.ones(len(hidden)), hidden, np.asarray(targets[rows], np.float64)])
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, columns]), mode="r"))
    centred = triangle[1:, 1:]
    left, singular_values, right = np.linalg.svd(centred[:fan_in, :fan_in], full_matrices=False)
    return OutputFactor(
        num_samples=num_samples,
        means=triangle[0, 1:] / triangle[0, 0],
        singular_values=singular_values,
        right=right,
        projected=left.T @ centred[:fan_in, fan_in:],
        rest=np.sum(centred[fan_in:, fan_in:] ** 2, axis=0),
    )


@partial(jax.jit, static_argnums=0)
def hidden_activations(mlp: Mlp, params: Params, inputs: Array) -> Array:
    """The activations (n, m) that the output layer reads."""
    return forward(mlp, params, inputs)[1][-1].inputs


def solutions(factored: OutputFactor, ridges: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The output layers for some ridges: weights (r, m, k) and biases (r, k)."""
    s, means = factored.singular_values, factored.means
    largest = s.max(initial=0.0)  # a single sample has no centred columns
    known = s > ROUNDING * factored.right.shape[1] * largest  # below it, rounding is all there is
    squares = np.where(known, s, 1.0) ** 2 + (np.asarray(ridges)[:, np.newaxis] * largest) ** 2
    weights = factored.right.T @ ((np.where(known, s, 0.0) / squares)[:, :, np.newaxis] * factored.projected)
    fan_in = weights.shape[1]
    return weights, means[fan_in:] - means[:fan_in] @ weights


def best_ridge(factored: OutputFactor, ridges: np.ndarray = RIDGES) -> float:
    """The ridge that generalized cross-validation prefers."""
    s = factored.singular_values
    filters = s**2 / (
        s**2 + (ridges[:, np.newaxis] * s.max(initial=0.0)) ** 2 + np.finfo(float).tiny
    )  # (r, m), 1 where nothing is shrunk
    left = np.sum(((1 - filters)[:, :, np.newaxis] * factored.projected) ** 2, axis=1) + factored.rest
    freedom = factored.num_samples - 1 - filters.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where(freedom > 0, left.sum(axis=1) / freedom**2, np.inf)
    return float(ridges[int(np.argmin(scores))])
