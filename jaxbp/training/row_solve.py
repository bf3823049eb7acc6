"""The damped step of a batch: by the Cholesky factor of K = J J^T, or for many rows by conjugate
gradients.

Both find the d with the smallest || wanted - J d ||^2 + lambda || d ||^2:

    d = J^T (K + lambda I)^-1 wanted            K (n m, n m) from activations and node errors
    (J^T J + lambda I) d = J^T wanted           by products J v and J^T u alone, without a matrix of either size

Conjugate gradients begin at 0 and lower that sum at each iteration, so that they may stop before
they have converged.

Legend: n samples, m seeds a sample.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.sparse.linalg import cg
from jax.sharding import Mesh

from jaxbp.jacobian import SeededErrors, squared_columns, tangent, weighted_gradient
from jaxbp.network import Residuals
from jaxbp.params import Params
from jaxbp.training.shared_gram import gram_on

ITERATIONS, TOLERANCE = 100, 1e-3  # of the norm of J^T wanted


def by_cholesky(
    mesh: Mesh | None, residuals: Residuals, errors: SeededErrors, damping: Array, wanted: Array
) -> tuple[Params, Array]:
    """Computes d, of the structure of the parameters, and J d (n, m).

    Args:
        mesh: of the devices that share the samples, None for one device.
        residuals: what `forward` left.
        errors: what `seeded_errors` returned.
        damping: lambda.
        wanted: (n, m).
    """
    kernel = gram_on(mesh, residuals, errors) + damping * jnp.eye(wanted.size, dtype=wanted.dtype)
    factor = jax.lax.linalg.cholesky(kernel, symmetrize_input=False), True
    alpha = jax.scipy.linalg.cho_solve(factor, wanted.ravel()).reshape(wanted.shape)
    return weighted_gradient(residuals, errors, alpha), wanted - damping * alpha


def by_conjugate_gradients(
    residuals: Residuals,
    errors: SeededErrors,
    damping: Array,
    wanted: Array,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> tuple[Params, Array]:
    """Computes what `by_cholesky` does, up to the iterations that are left out."""
    inverse = jax.tree.map(
        lambda square: 1 / (square + damping), squared_columns(residuals, errors)
    )

    def product(direction: Params) -> Params:
        there_and_back = weighted_gradient(residuals, errors, tangent(residuals, errors, direction))
        return jax.tree.map(
            lambda squared, leaf: squared + damping * leaf, there_and_back, direction
        )

    def precondition(direction: Params) -> Params:
        return jax.tree.map(jnp.multiply, inverse, direction)

    right = weighted_gradient(residuals, errors, wanted)
    change, _ = cg(product, right, tol=tolerance, maxiter=iterations, M=precondition)
    return change, tangent(residuals, errors, change)
