"""Gauss-Newton in sample space, from node errors, with momentum.

Near the parameters p the outputs are linear, o(p - d) = o(p) - J d, and the loss of a sample is
quadratic in its outputs, with Hessian H_i = S_i S_i^T and gradient S_i e_i. With the rows of J
seeded by S (J stands for S^T J from here on), the step d minimises

    || e - J d ||^2 + lambda || d - mu velocity ||^2

where velocity is the step before it, as in SPRING. The solution needs no matrix of the size of the
parameters:

    K = J J^T                                           (n m, n m), see jaxbp.jacobian
    alpha = (K + lambda I)^-1 (e - mu J velocity)
    velocity <- mu velocity + J^T alpha,   p <- p - eta velocity

For more than DIRECT_ROWS rows of K, conjugate gradients solve (J^T J + lambda I) d = J^T e by
products with J and J^T alone. They start at 0 and lower the sum above at each iteration, so they
may stop before they have converged.

The damping follows the loss: lambda = sigma * (mean of e^2) * (mean of K's diagonal). Far from a
solution the steps are short and safe, near it they become Newton's (Fan and Yuan 2005). sigma is
corrected by the gain ratio, the decrease of the batch's loss relative to the decrease predicted by
the linear outputs: a poor step doubles sigma, others lower it. A step that raises the loss too far,
or is not finite, is rejected: the velocity is dropped and sigma multiplied by 4. Over the last part
of the run the step length eta falls from 1 to 0, which averages the noise of mini-batches. K
squares the condition number of J, so all of this runs in float64, whatever dtype the parameters
have.

Legend: n samples, m seeds a sample.

References:
    Goldshlager, Abrahamsen and Lin 2024, arXiv 2401.10190 (SPRING); Fan and Yuan 2005, Computing 74
    (damping).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.sparse.linalg import cg
from jax.sharding import Mesh

from jaxbp.jacobian import (
    SeededErrors,
    factors_of,
    gram,
    gram_block,
    seeded_errors,
    squared_columns,
    squared_norms,
    tangent,
    weighted_gradient,
)
from jaxbp.least_squares import solved
from jaxbp.network import Residuals, forward
from jaxbp.params import Params
from jaxbp.training.sharding import everywhere, in_shares
from jaxbp.training.solver import Batch, Problem, Solver, check_setting

# Largest factor by which one step may raise the batch's loss. Momentum may climb a little on a
# quadratic loss; where probabilities saturate, the quadratic model of a cross-entropy is no guide.
MAX_RISE, MAX_RISE_OTHERWISE = 2.0, 1.0
POOR_GAIN = -0.5  # gain ratio below which sigma is doubled
BETTER, POOR, REJECTED = 0.8, 2.0, 4.0  # factors of sigma
TINY = 1e-300  # of a sum of weights
FLOOR = 1e-10  # of lambda over the mean diagonal of K, at the rounding of K in float64
TAIL = 0.6  # share of the run, at its end, over which eta falls
DIRECT_ROWS = 16_384  # of K; in float64 it takes 2 GiB
ITERATIONS, TOLERANCE = 100, 1e-3  # of conjugate gradients; relative to the norm of J^T e


class GaussNewtonState(NamedTuple):
    """State between two steps: steps tried, velocity like the parameters, and sigma."""

    step: Array
    velocity: Params
    damping: Array


class Linearization(NamedTuple):
    """Mean loss of a batch, e (n, m), and J as residuals and node errors (m, n, n_l)."""

    loss: Array
    error: Array
    residuals: Residuals
    node_errors: SeededErrors


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussNewton(Solver):
    """Gauss-Newton solver; its fields are the arguments of `gauss_newton`."""

    momentum: Any = 0.95
    damping: Any = 0.1

    def init(self, params: Params) -> GaussNewtonState:
        """Return zero velocity and the initial sigma."""
        zeros = jax.tree.map(jnp.zeros_like, params)
        sigma = jnp.asarray(self.damping, params[0].weight.dtype)
        return GaussNewtonState(jnp.zeros((), jnp.int32), zeros, sigma)

    def step(
        self, problem: Problem, params: Params, state: GaussNewtonState, batch: Batch, key: Array
    ) -> tuple[Params, GaussNewtonState, Array]:
        """Solve the damped linear problem of a batch, and accept its step if the loss allows."""
        with jax.enable_x64(True):
            wide, velocity, samples = _float64((params, state.velocity, batch))
            momentum, smallest, sigma = (
                jnp.asarray(setting, jnp.float64)
                for setting in (self.momentum, self.damping, state.damping)
            )
            eta = step_length(state.step, problem.num_steps)
            here = linearize(problem, wide, samples)
            # The same for a row of weight 2 and for two rows: all means are those by weight.
            count = jnp.maximum(problem.loss.total_weight(samples.targets), TINY)
            share = len(here.error) / count
            damping = jnp.maximum(sigma * share * jnp.mean(here.error**2), FLOOR)
            damping *= share * mean_squared_norm(here)
            carried = momentum * tangent(here.residuals, here.node_errors, velocity)
            change, reached = damped_step(problem.mesh, here, damping, here.error - carried)
            velocity = jax.tree.map(lambda old, new: momentum * old + new, velocity, change)
            # Rounded as it is stored: in float32 the rounding of a large weight can undo a step.
            moved = jax.tree.map(
                lambda old, change, stored: (old - eta * change).astype(stored.dtype),
                wide,
                velocity,
                params,
            )
            after = mean_loss(problem, _float64(moved), samples)
            predicted = predicted_decrease(here, eta * (carried + reached))
            gain = (here.loss - after) / predicted
            most = MAX_RISE if problem.loss.quadratic else MAX_RISE_OTHERWISE
            accepted = jnp.isfinite(reached).all() & (after <= most * here.loss)
            factor = jnp.where(accepted, jnp.where(gain > POOR_GAIN, BETTER, POOR), REJECTED)
            later = GaussNewtonState(
                step=state.step + 1,
                velocity=_choose(accepted, velocity, jax.tree.map(jnp.zeros_like, state.velocity)),
                damping=jnp.clip(factor * sigma, smallest, 1e12).astype(state.damping.dtype),
            )
            loss = here.loss.astype(params[0].weight.dtype)
            return _choose(accepted, moved, params), later, loss

    def finish(self, problem: Problem, params: Params, train: Batch) -> Params | None:
        """Solve the output layer over all samples, if the outputs are linear in it."""
        if problem.mlp.output != "identity" or not problem.loss.quadratic:
            return params
        targets, weights = train.targets, None
        if problem.loss.weighted:
            targets, weights = targets[:, :-1], np.asarray(targets[:, -1])
        return solved(problem.mlp, params, train.inputs, targets, weights=weights)


def gauss_newton(*, momentum: Any = 0.95, damping: Any = 0.1) -> GaussNewton:
    """Make a Gauss-Newton solver, best with batches of some hundred samples.

    When a run ends, the output layer is solved over all samples (see `solve_output`). `fit` returns
    the best of the start, the end, and the end with its output layer solved, by the training loss;
    `FitResult.state` is the end.

    Args:
        momentum: mu, in [0, 1): share of the last step that the next one starts from.
        damping: initial sigma, and its lower bound. 0.03 gives the last digits of a smooth
            surface; on noisy or rough data it follows each batch too closely: the error on the
            terrain was 0.35 with 0.03, 0.24 with 0.1 and 0.23 with 0.3 after 300 steps.

    Returns:
        A solver for `fit` and `fit_many`; for the latter both arguments may be arrays. One step
        takes the memory of a few matrices (n m)^2, m = 1 for one output, and time like their
        Cholesky factorization; above 16,384 rows the memory of a few times the activations of m n
        samples.

    Raises:
        ValueError: an argument is out of range.

    Examples:
        >>> import jaxbp
        >>> jaxbp.gauss_newton(damping=0.03)
        GaussNewton(momentum=0.95, damping=0.03)
    """
    check_setting("momentum", momentum, below=1)
    check_setting("damping", damping, positive=True)
    return GaussNewton(momentum, damping)


def step_length(step: Array, num_steps: Any) -> Array:
    """Compute eta, which falls linearly from 1 to 0 over the last part of the run."""
    total = jnp.asarray(num_steps, jnp.float64)
    return jnp.clip((total - step.astype(jnp.float64)) / jnp.maximum(1.0, TAIL * total), 0.0, 1.0)


def linearize(problem: Problem, params: Params, batch: Batch) -> Linearization:
    """Run the forward pass, and the backward pass once for each column of S."""
    outputs, residuals = forward(problem.mlp, params, batch.inputs)
    roots, error = problem.loss.hessian_factor(outputs, batch.targets)
    node_errors = seeded_errors(problem.mlp, params, residuals, jnp.moveaxis(roots, 2, 0))
    loss = problem.loss.values(outputs, batch.targets).mean()
    return Linearization(loss, error, residuals, node_errors)


def mean_loss(problem: Problem, params: Params, batch: Batch) -> Array:
    """Compute the mean loss of a batch."""
    outputs, _ = forward(problem.mlp, params, batch.inputs)
    return problem.loss.values(outputs, batch.targets).mean()


def mean_squared_norm(here: Linearization) -> Array:
    """Compute the mean of K's diagonal."""
    norms = squared_norms(here.residuals, here.node_errors)
    return jnp.maximum(norms.mean(), jnp.finfo(norms.dtype).tiny)


def predicted_decrease(here: Linearization, change: Array) -> Array:
    """Compute the decrease of the loss if the error changed linearly, from e to e - change."""
    linear = here.error - change
    decrease = (jnp.sum(here.error**2) - jnp.sum(linear**2)) / (2 * here.error.shape[0])
    return jnp.maximum(decrease, jnp.finfo(decrease.dtype).tiny)


def damped_step(
    mesh: Mesh | None, here: Linearization, damping: Array, wanted: Array
) -> tuple[Params, Array]:
    """Find the d with the smallest || wanted - J d ||^2 + lambda || d ||^2; returns d and J d."""
    if wanted.size > DIRECT_ROWS:
        return by_conjugate_gradients(here.residuals, here.node_errors, damping, wanted)
    return by_cholesky(mesh, here.residuals, here.node_errors, damping, wanted)


def by_cholesky(
    mesh: Mesh | None, residuals: Residuals, errors: SeededErrors, damping: Any, wanted: Array
) -> tuple[Params, Array]:
    """Solve with the Cholesky factor of K + lambda I."""
    kernel = gram_on(mesh, residuals, errors) + damping * jnp.eye(wanted.size, dtype=wanted.dtype)
    factor = jax.lax.linalg.cholesky(kernel, symmetrize_input=False), True
    alpha = jax.scipy.linalg.cho_solve(factor, wanted.ravel()).reshape(wanted.shape)
    return weighted_gradient(residuals, errors, alpha), wanted - damping * alpha


def gram_on(mesh: Mesh | None, residuals: Residuals, errors: SeededErrors) -> Array:
    """Compute the lower triangle of K; on a mesh each device computes its rows, for all devices."""
    if mesh is None:
        return gram(residuals, errors)
    factors = factors_of(residuals, errors)
    rows = in_shares(mesh, gram_block(factors, factors, errors[0].shape[0], residuals[0].has_bias))
    return everywhere(mesh, rows)


def by_conjugate_gradients(
    residuals: Residuals,
    errors: SeededErrors,
    damping: Any,
    wanted: Array,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
) -> tuple[Params, Array]:
    """Solve (J^T J + lambda I) d = J^T wanted, preconditioned by its diagonal."""
    diagonal = squared_columns(residuals, errors)
    inverse = jax.tree.map(lambda square: 1 / (square + damping), diagonal)

    def product(direction: Params) -> Params:
        normal = weighted_gradient(residuals, errors, tangent(residuals, errors, direction))
        return jax.tree.map(lambda square, leaf: square + damping * leaf, normal, direction)

    def precondition(direction: Params) -> Params:
        return jax.tree.map(jnp.multiply, inverse, direction)

    right = weighted_gradient(residuals, errors, wanted)
    change, _ = cg(product, right, tol=tolerance, maxiter=iterations, M=precondition)
    return change, tangent(residuals, errors, change)


def _float64(tree: Any) -> Any:
    """Cast every floating array to float64."""

    def cast(leaf: Array) -> Array:
        return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def _choose(condition: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a.astype(b.dtype), b), new, old)
