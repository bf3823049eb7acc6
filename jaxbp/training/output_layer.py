"""The output layer by linear least squares: where the outputs are linear in it, nothing needs to be trained."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp._checks import check_number
from jaxbp._samples import as_samples
from jaxbp.losses import LOSSES
from jaxbp.params import Layer, Mlp, Params
from jaxbp.training.least_squares import best_penalty, factor, solution

SHARES = np.concatenate(
    [[0.0], np.logspace(-14, 1, 31)]
)  # of the largest singular value, tried where none is given


def solve_output(
    mlp: Mlp, params: Params, data: tuple[Any, Any], *, ridge: float | None = None
) -> Params:
    """Solves the output layer by least squares over all samples, in float64; the other layers stay
    as they are.

    Where the hidden activations are linearly dependent, or fewer samples than units are there, the
    solution of the smallest norm is taken. A squared loss then has no gradient left in the output
    layer: `loss_and_gradient` shows it.

    Args:
        mlp: the network; its output activation must be the identity.
        params: its parameters.
        data: inputs (n, n_0) and targets (n, n_L).
        ridge: the penalty on the weights as a share of the largest singular value, 0 for none;
            chosen unless given, by generalized cross-validation, or by leave-one-out errors where
            there are no more samples than units.

    Returns:
        The parameters with the new output layer, of their own dtype.

    Raises:
        ValueError: the output activation is not linear, a shape does not fit, or the ridge is
            negative.
        TypeError: inputs or targets are not real numbers.

    References:
        Golub, Heath and Wahba 1979, Technometrics 21 (cross-validation); Golub and Van Loan,
        section 5.
    """
    if ridge is not None:
        check_number("ridge", ridge, minimum=0)
    if mlp.output != "identity":
        raise ValueError(
            f"mlp must have the output activation identity to be solved for, got {mlp.output!r}"
        )
    inputs, targets = as_samples(mlp, params, *data, LOSSES["mean_squared_error"])
    return solved(mlp, params, inputs, targets, ridge)


def solved(
    mlp: Mlp, params: Params, inputs: Array, targets: Array, ridge: float | None = None
) -> Params:
    """Computes what `solve_output` does, of samples that are validated already."""
    factored = factor(mlp, params, inputs, targets)
    largest = (
        factored.singular_values.max(initial=0.0) ** 2
    )  # 0 for one sample, or units that do not vary
    chooses = ridge is None and largest > 0
    penalty = (
        best_penalty(factored, SHARES**2 * largest)[0] if chooses else (ridge or 0.0) ** 2 * largest
    )
    return with_output(params, *solution(factored, penalty))


def with_output(params: Params, weight: np.ndarray, bias: np.ndarray) -> Params:
    """The parameters with this output layer (m, k) and (k,), in their own dtype."""
    dtype = params[-1].weight.dtype
    return (*params[:-1], Layer(jnp.asarray(weight, dtype), jnp.asarray(bias, dtype)))
