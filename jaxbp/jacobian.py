"""Products and Gram matrix of the Jacobian of the outputs with respect to all parameters.

The Jacobian J itself is never formed. A row belongs to a sample i and a seed s_i (k,): it is the
gradient of <s_i, o_i>. Its part for layer l is the outer product of the activation A_{l-1,i} with
the node error D_{l,i} of the seed, and D_{l,i} itself for the bias. From these two factors:

    J v        sum over l of < D_l, A_{l-1} V_l + v_l >
    J^T u      A_{l-1}^T (u D_l) and the sum of u D_l
    J J^T      sum over l of (A_{l-1} A_{l-1}^T + 1) * (D_l D_l^T)

A pair of samples takes 387 products for 2-64-64-64-1, not 8,577. Without biases the 1 is left out.

Legend: n samples, k outputs, m seeds a sample; a row of J is (i, c), i = 1..n outer and c = 1..m
inner.

References:
    Goodfellow 2015, arXiv 1510.01799: the norms of these rows, from the same factors.
"""

import dataclasses
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._samples import as_batch, as_params, as_samples
from jaxbp.dense import affine, matmul
from jaxbp.losses import Loss, as_loss
from jaxbp.network import Residuals, forward, gradient, node_errors
from jaxbp.params import Layer, Mlp, Params

# Strips of J J^T: 4 compute 5/8 of it; 8 are not faster and compile longer.
MOST_STRIPS, SAMPLES_OF_A_STRIP = 4, 32

SeededErrors = tuple[Array, ...]
Factors = tuple[Array, Array]  # activations and node errors of a layer


def seeded_errors(mlp: Mlp, params: Params, residuals: Residuals, seeds: Array) -> SeededErrors:
    """Take step 1 of the backward pass for each of the seeds (m, n, k), cotangents of the outputs.

    Returns:
        For each layer its node errors (m, n, n_l).
    """
    return jax.vmap(lambda seed: node_errors(mlp, params, residuals, seed)[0])(seeds)


def tangent(residuals: Residuals, errors: SeededErrors, direction: Params) -> Array:
    """Compute J v (n, m): the change of the seeded outputs along a direction of the parameters."""
    # d<s, o> = <D, dZ> and dZ = A dW + db, summed over the layers: a change of W also moves the
    # layers above it, which is what the node error D already carries.
    terms = (
        jnp.sum(
            node_error * affine(layer, kept.inputs)[jnp.newaxis],
            axis=2,
        )
        for kept, node_error, layer in zip(residuals, errors, direction, strict=True)
    )
    return sum(terms, start=jnp.zeros((), residuals[0].inputs.dtype)).T


def weighted_gradient(residuals: Residuals, errors: SeededErrors, weights: Array) -> Params:
    """Compute J^T u, in the structure of the parameters, for weights u (n, m)."""
    rows = weights.T[:, :, jnp.newaxis]
    return gradient(residuals, tuple(jnp.sum(rows * node_error, axis=0) for node_error in errors))


def squared_norms(residuals: Residuals, errors: SeededErrors) -> Array:
    """Compute the squared norm of each row of J (n, m), the diagonal of J J^T."""
    terms = (
        jnp.sum(node_error**2, axis=2)
        * (jnp.sum(kept.inputs**2, axis=1) + float(kept.has_bias))[jnp.newaxis, :]
        for kept, node_error in zip(residuals, errors, strict=True)
    )
    return sum(terms, start=jnp.zeros((), residuals[0].inputs.dtype)).T


def squared_columns(residuals: Residuals, errors: SeededErrors) -> Params:
    """Compute the squared norm of each column of J, in the structure of the parameters."""
    squares = tuple(dataclasses.replace(kept, inputs=kept.inputs**2) for kept in residuals)
    return gradient(squares, tuple(jnp.sum(node_error**2, axis=0) for node_error in errors))


def factors_of(residuals: Residuals, errors: SeededErrors) -> list[Factors]:
    """Return for each layer A_{l-1} (n, n_{l-1}) and D_l (n m, n_l), a sample's m rows together."""
    num_seeds, num_samples, _ = errors[0].shape
    return [
        (kept.inputs, node_error.transpose(1, 0, 2).reshape(num_samples * num_seeds, -1))
        for kept, node_error in zip(residuals, errors, strict=True)
    ]


def gram_block(
    rows: list[Factors], columns: list[Factors], num_seeds: int, has_bias: bool = True
) -> Array:
    """Compute the block of J J^T of a samples by b others (a m, b m).

    Args:
        rows: for each layer A_{l-1} (a, n_{l-1}) of the samples and their D_l (a m, n_l), a
            sample's m rows together.
        columns: those of the others, (b, n_{l-1}) and (b m, n_l).
        num_seeds: m.
        has_bias: whether the layers have biases.
    """
    total = jnp.zeros((), rows[0][0].dtype)
    for (inputs, factors), (other_inputs, other_factors) in zip(rows, columns, strict=True):
        samples = matmul(inputs, other_inputs.T) + float(has_bias)
        total += _for_each_seed(samples, num_seeds) * matmul(factors, other_factors.T)
    return total


def gram(residuals: Residuals, errors: SeededErrors) -> Array:
    """Compute the lower triangle of J J^T (n m, n m); above the diagonal some is left out."""
    factors, num_seeds = factors_of(residuals, errors), errors[0].shape[0]
    ways = {"cuda": _gram_by_products, "default": _gram_by_strips}
    return jax.lax.platform_dependent(
        factors,
        **{
            name: partial(way, num_seeds=num_seeds, has_bias=residuals[0].has_bias)
            for name, way in ways.items()
        },
    )


def _gram_by_strips(factors: list[Factors], num_seeds: int, has_bias: bool = True) -> Array:
    """The lower triangle of J J^T by strips; what is above the diagonal is partly 0."""
    num_samples = factors[0][0].shape[0]

    def strip(start: int, stop: int) -> Array:
        """The rows of these samples, from their own columns on."""
        rows, columns = (
            [
                (inputs[some], factor[some.start * num_seeds : some.stop * num_seeds])
                for inputs, factor in factors
            ]
            for some in (slice(start, stop), slice(start, num_samples))
        )
        return jnp.pad(
            gram_block(rows, columns, num_seeds, has_bias), ((0, 0), (start * num_seeds, 0))
        )

    num_strips = min(MOST_STRIPS, -(-num_samples // SAMPLES_OF_A_STRIP))
    edges = [num_samples * i // num_strips for i in range(num_strips + 1)]
    # Strips of the upper triangle, transposed: LAPACK counts by columns.
    return jnp.concatenate([strip(*edge) for edge in pairwise(edges)]).T


def _gram_by_products(factors: list[Factors], num_seeds: int, has_bias: bool = True) -> Array:
    """The lower triangle of J J^T by symmetric products, as cuBLAS has them."""

    def lower(matrix: Array) -> Array:
        zeros = jnp.zeros((matrix.shape[0], matrix.shape[0]), matrix.dtype)
        return jax.lax.linalg.symmetric_product(matrix, zeros)

    terms = (
        _for_each_seed(lower(inputs) + float(has_bias), num_seeds) * lower(errors)
        for inputs, errors in factors
    )
    return sum(terms, start=jnp.zeros((), factors[0][0].dtype))


def _for_each_seed(samples: Array, num_seeds: int) -> Array:
    """Numbers of pairs of samples (a, b) as those of their rows (a m, b m)."""
    return (
        samples
        if num_seeds == 1
        else jnp.repeat(jnp.repeat(samples, num_seeds, axis=0), num_seeds, axis=1)
    )


@partial(jax.jit, static_argnums=0)
def neural_tangent_kernel(mlp: Mlp, params: Params, inputs: Array) -> Array:
    """Compute J J^T, J the Jacobian of the outputs with respect to all parameters.

    It takes n^2 (sum of the widths) products, and memory for a few matrices of its size; J itself,
    with a column for each parameter, is never formed.

    Args:
        mlp: the network (static under jit).
        params: its parameters.
        inputs: (n, n_0).

    Returns:
        (n k, n k) for n samples and k outputs; row i k + c belongs to output c of sample i.

    Raises:
        ValueError: a shape does not fit.

    Examples:
        >>> import jaxbp
        >>> mlp, params = jaxbp.Mlp((1, 1)), [([[2.0]], [0.0])]
        >>> print(jaxbp.neural_tangent_kernel(mlp, params, [[1.0], [2.0]]))
        [[2. 3.]
         [3. 5.]]
    """
    params = as_params(mlp, params)
    inputs = as_batch(mlp, params, inputs)
    outputs, residuals = forward(mlp, params, inputs)
    identity = jnp.eye(mlp.sizes[-1], dtype=outputs.dtype)
    seeds = jnp.broadcast_to(identity[:, jnp.newaxis, :], (len(identity), *outputs.shape))
    lower = jnp.tril(gram(residuals, seeded_errors(mlp, params, residuals, seeds)))
    return lower + jnp.tril(lower, -1).T


@partial(jax.jit, static_argnums=(0, 4), static_argnames="norms")
def per_example_gradients(
    mlp: Mlp,
    params: Params,
    inputs: Array,
    targets: Array,
    loss: str | Loss = "mean_squared_error",
    *,
    norms: bool = False,
) -> Params | Array:
    """Compute the gradient of each sample's loss, or its norm without forming it.

    One backward pass of the batch serves all samples. The gradients take n times the memory of the
    parameters; the norms take that of the node errors, since ||a d^T|| = ||a|| ||d||.

    Args:
        mlp: the network (static under jit, as is `loss`).
        params: its parameters.
        inputs: (n, n_0).
        targets: (n, n_L), or what else the loss takes.
        loss: a `Loss`, or the name of one.
        norms: whether to return norms.

    Returns:
        The gradients, of the structure of the parameters, each leaf with a leading axis of n; their
        mean is the gradient of the batch's loss. With `norms`, (n,).

    Raises:
        ValueError: a shape does not fit, or the loss is not known.

    References:
        Goodfellow 2015, arXiv 1510.01799.

    Examples:
        >>> import jaxbp
        >>> mlp, params = jaxbp.Mlp((1, 1)), [([[2.0]], [0.0])]
        >>> samples = [[1.0], [2.0]], [[0.0], [0.0]]
        >>> weight, bias = jaxbp.per_example_gradients(mlp, params, *samples)[0]
        >>> print(weight.ravel(), bias.ravel())
        [ 4. 16.] [4. 8.]
        >>> print(jaxbp.per_example_gradients(mlp, params, *samples, norms=True).round(2))
        [ 5.66 17.89]
    """
    loss, params = as_loss(loss), as_params(mlp, params)
    inputs, targets = as_samples(mlp, params, inputs, targets, loss)
    outputs, residuals = forward(mlp, params, inputs, keep_preactivations=True)
    seeds = loss.gradient(outputs, targets)[jnp.newaxis]
    errors = seeded_errors(mlp, params, residuals, seeds)
    if norms:
        return jnp.sqrt(squared_norms(residuals, errors)[:, 0])
    return tuple(
        Layer(
            kept.inputs[:, :, jnp.newaxis] * error[0][:, jnp.newaxis, :],
            layer.bias if layer.bias is None else error[0],
        )
        for kept, error, layer in zip(residuals, errors, params, strict=True)
    )
