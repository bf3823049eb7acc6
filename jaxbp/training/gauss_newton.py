"""Gauss-Newton in sample space, from node errors, with momentum.

Near the parameters p the outputs are linear, o(p + d) = o(p) + J d, and the loss of a sample is
quadratic in its outputs, with Hessian H_i = S_i S_i^T and gradient S_i e_i. With the rows of J
seeded by S (so that J stands for S^T J from here on), the damped step d minimises || e + J d ||^2 +
lambda || d - mu d_before ||^2, which remembers the step before it as SPRING does. The solution
needs no matrix of the size of the parameters:

    K = J J^T                       (n m, n m), from activations and node errors: see jaxbp.jacobian
    alpha = (K + lambda I)^-1 (e - mu J velocity)               see row_solve.py, also for more rows than K is good for
    velocity <- mu velocity + J^T alpha,  p <- p - eta velocity

The damping follows the loss, lambda = sigma * (mean of e^2) * (mean of K's diagonal): far from a
solution the steps are short and safe, near it they become Newton's (Fan and Yuan 2005). The gain
ratio, the decrease of the batch's loss over the decrease that the linear outputs promise, corrects
sigma: a poor step doubles it, others bring it back. A step that lets the loss rise too far, or is
not finite, is refused, its velocity is dropped and sigma multiplied by 4. K squares
the condition number of J, so all of this runs in float64, whatever the parameters are.

References:
    Goldshlager, Abrahamsen and Lin 2024, arXiv 2401.10190 (SPRING); Fan and Yuan 2005, Computing 74
    (damping).
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_count, check_number
from jaxbp.jacobian import seeded_errors, squared_norms, tangent
from jaxbp.least_squares import solved
from jaxbp.network import forward
from jaxbp.params import Params
from jaxbp.training.row_solve import by_cholesky, by_conjugate_gradients
from jaxbp.training.solver import Batch, Problem, Solver

# Of the batch's loss in one step. A quadratic loss lets momentum climb a little; where
# probabilities saturate, the quadratic model of a cross-entropy is no guide to a climb.
MAX_RISE, MAX_RISE_OTHERWISE = 2.0, 1.0
POOR_GAIN = -0.5  # below it the linear outputs promised too much
FLOOR = 1e-10  # of lambda over the mean diagonal of K, where float64 would lose what K still tells


class GaussNewtonState(NamedTuple):
    """What a step hands to the next.

    Attributes:
        step: the number of steps tried.
        velocity: of the structure of the parameters.
        damping: sigma.
        smallest_damping: the least that sigma comes back to; of the state, so that runs with
            several can be vmapped.
    """

    step: Array
    velocity: Params
    damping: Array
    smallest_damping: Array


def gauss_newton(
    *,
    momentum: float = 0.95,
    damping: float = 0.1,
    tail: float = 0.6,
    solve_dtype: str = "float64",
    direct_rows: int = 16_384,
) -> Solver:
    """Makes a Gauss-Newton solver for `fit`, best with batches of some hundred samples.

    Args:
        momentum: mu, in [0, 1): how much of the last step the next one starts from.
        damping: sigma at the start, and the smallest that it comes back to. 0.03 gives the last
            digits of a smooth surface; on noisy or rough data it follows each batch too closely:
            the terrain's error was 0.35 with 0.03, 0.24 with 0.1 and 0.23 with 0.3 after 300 steps.
        tail: the share of the run, at its end, over which the step length eta falls from 1 to 0: it
            anneals the step, so that mini-batch noise averages out. 0 for none.
        solve_dtype: "float64", or "float32" for a device that has no float64: K is then known to
            1e-5 only, and a smooth surface keeps fewer digits.
        direct_rows: the largest number of rows of K, samples of a batch times outputs, that is
            factorized: 16,384 are 2 GiB in float64. Of more, conjugate gradients find the step
                without K.

    When a run ends, the output layer is solved over all samples (see `solve_output`), and `fit`
    returns what has the smallest training loss: the start, the end, or the end with its output
    layer solved. `FitResult.state` is the end.

    Returns:
        A solver. One step takes memory for a few matrices (n m)^2, m = 1 for one output, and time
        like their Cholesky factorization; beyond `direct_rows` memory for a few times the
        activations of m n samples.

    Raises:
        ValueError: an argument is out of range; in `fit`, dropout is asked for.
    """
    if solve_dtype not in ("float64", "float32"):
        raise ValueError(f"solve_dtype must be 'float64' or 'float32', got {solve_dtype!r}")
    check_count("direct_rows", direct_rows, minimum=0)
    if any(isinstance(setting, jax.core.Tracer) for setting in (momentum, damping, tail)):
        return _make.__wrapped__(
            momentum, damping, tail, solve_dtype, direct_rows
        )  # one of many in `fit_many`: no number yet
    check_number("momentum", momentum, minimum=0, below=1)
    if check_number("damping", damping, minimum=0) == 0:
        raise ValueError(f"damping must be positive, got {damping!r}")
    if check_number("tail", tail, minimum=0) > 1:
        raise ValueError(f"tail must be in [0, 1], got {tail!r}")
    return _make(momentum, damping, tail, solve_dtype, direct_rows)


@lru_cache
def _make(
    momentum: float, damping: float, tail: float, solve_dtype: str, direct_rows: int
) -> Solver:
    """The solver, the same one for the same settings, so that `fit` compiles its step once."""

    def init(params: Params) -> GaussNewtonState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        dtype = params[0].weight.dtype
        sigma = jnp.asarray(damping, dtype)
        return GaussNewtonState(jnp.zeros((), jnp.int32), zeros, sigma, sigma)

    def step(
        problem: Problem, params: Params, state: GaussNewtonState, batch: Batch, key: Array
    ) -> tuple[Params, GaussNewtonState, Array]:
        if problem.dropout > 0:
            raise ValueError(
                "dropout must be 0 with gauss_newton: the linearization needs a fixed mask"
            )
        with jax.enable_x64(solve_dtype == "float64"):
            wide, velocity, inputs, targets = _widen((params, state.velocity, *batch), solve_dtype)
            eta = _step_length(state.step, problem.num_steps, tail).astype(solve_dtype)
            loss = problem.loss
            outputs, residuals = forward(problem.mlp, wide, inputs)
            before = loss.values(outputs, targets).mean()
            roots, scaled_error = loss.hessian_factor(outputs, targets)
            seeded = seeded_errors(problem.mlp, wide, residuals, jnp.moveaxis(roots, 2, 0))
            carried = momentum * tangent(residuals, seeded, velocity)
            floor = (
                FLOOR
                if solve_dtype == "float64"
                else scaled_error.size * jnp.finfo(solve_dtype).eps
            )
            scale = jnp.maximum(
                squared_norms(residuals, seeded).mean(), jnp.finfo(solve_dtype).tiny
            )
            damped = jnp.maximum(state.damping * jnp.mean(scaled_error**2), floor) * scale
            solve = (
                partial(by_cholesky, problem.mesh)
                if scaled_error.size <= direct_rows
                else by_conjugate_gradients
            )
            change, reached = solve(residuals, seeded, damped, scaled_error - carried)
            new_velocity = jax.tree.map(lambda old, new: momentum * old + new, velocity, change)
            # Judged as it will be stored: in float32 a large weight's rounding alone can undo what
            # a step gained.
            moved = jax.tree.map(
                lambda leaf, change, stored: (leaf - eta * change).astype(stored.dtype),
                wide,
                new_velocity,
                params,
            )
            after = loss.values(
                forward(problem.mlp, _widen(moved, solve_dtype), inputs)[0], targets
            ).mean()
            linear = scaled_error - eta * (carried + reached)  # J velocity
            promised = (jnp.sum(scaled_error**2) - jnp.sum(linear**2)) / (2 * outputs.shape[0])
            gain = (before - after) / jnp.maximum(promised, jnp.finfo(solve_dtype).tiny)
            accepted = jnp.isfinite(reached).all() & (
                after <= (MAX_RISE if loss.quadratic else MAX_RISE_OTHERWISE) * before
            )
            good = accepted & (gain > POOR_GAIN)
            correction = jnp.where(good, 0.8, jnp.where(accepted, 2.0, 4.0))

            def choose(condition: Array, new: Any, old: Any) -> Any:
                return jax.tree.map(
                    lambda a, b: jnp.where(condition, a, b).astype(b.dtype), new, old
                )

            kept = GaussNewtonState(
                step=state.step + 1,
                velocity=choose(
                    accepted, new_velocity, jax.tree.map(jnp.zeros_like, state.velocity)
                ),
                damping=jnp.clip(correction * state.damping, state.smallest_damping, 1e12).astype(
                    state.damping.dtype
                ),
                smallest_damping=state.smallest_damping,
            )
            return choose(accepted, moved, params), kept, before.astype(params[0].weight.dtype)

    return Solver("gauss_newton", init, step, _finish)


def _finish(problem: Problem, params: Params, train: Batch) -> Params:
    """Solves the output layer over all samples, where the outputs are linear in it and the loss is quadratic."""
    linear = problem.mlp.output == "identity" and problem.loss.quadratic
    return solved(problem.mlp, params, train.inputs, train.targets) if linear else params


def _widen(tree: Any, dtype: str) -> Any:
    def cast(leaf: Array) -> Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def _step_length(step: Array, num_steps: int | Array, tail: float) -> Array:
    """Falls linearly from 1 to 0 over the last share `tail` of the run."""
    left = (num_steps - step) / jnp.maximum(1.0, tail * num_steps)
    return jnp.clip(left, 0.0, 1.0)
