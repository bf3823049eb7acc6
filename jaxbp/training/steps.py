"""The compiled part of `fit`: a chunk of steps that stops before one that loses finiteness, and the record after it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.objective import Evaluation, evaluate
from jaxbp.params import Mlp, Params
from jaxbp.training.batches import Orders, next_batch, orders_at
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import TrainState

EVALUATION_TILE = 8192  # samples that a record evaluates at a time, where the problem sets no tile


class _Now(NamedTuple):
    step: Array
    params: Params
    solver: Any


class _Carry(NamedTuple):
    alive: Array
    now: _Now
    before: _Now
    orders: Orders | None


def advance(
    problem: Problem,
    solver: Solver,
    batch_size: int | None,
    state: TrainState,
    orders: Orders | None,
    stop: Array,
    train: Batch,
) -> tuple[TrainState, TrainState, Array]:
    """Takes steps until `stop`, or until one whose loss or parameters are not finite.

    Returns the last good state, the one before it, and whether `stop` was reached.

    The loss of a step is that of the parameters before it, so an overflow shows one step late: the state before the
    present one is carried along to fall back on.
    """
    order_key, step_key = jax.random.split(state.key)

    def running(carry: _Carry) -> Array:
        return carry.alive & (carry.now.step < stop)

    def take(carry: _Carry) -> _Carry:
        now = carry.now
        batch, orders = _draw(order_key, carry.orders, batch_size, train)
        params, inner, loss = solver.step(
            problem, now.params, now.solver, batch, jax.random.fold_in(step_key, now.step)
        )
        later = _Now(now.step + 1, params, inner)
        sound = jnp.isfinite(loss)
        alive = sound & _all_finite(params)
        kept = _select(alive, later, _select(sound, now, carry.before))
        return _Carry(alive, kept, now, orders)

    now = _Now(state.step, state.params, state.solver)
    carry = jax.lax.while_loop(running, take, _Carry(jnp.array(True), now, now, orders))
    return TrainState(*carry.now, state.key), TrainState(*carry.before, state.key), carry.alive


def compiled(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Compiles a function for arguments of these shapes, so that compile time can be told from run time.

    With JAX_DISABLE_JIT, which cannot run what is compiled ahead, the function stays as it is.
    """
    jitted = jax.jit(function)
    disabled = jax.config.jax_disable_jit  # type: ignore[attr-defined]
    return jitted if disabled else jitted.lower(*arguments).compile()


def _draw(order_key: Array, orders: Orders | None, batch_size: int | None, train: Batch) -> tuple[Batch, Orders | None]:
    """The batch of the next step, all samples where there are no orders, and the orders for the step after it."""
    if orders is None or batch_size is None:
        return train, None
    indices, orders = next_batch(order_key, orders, batch_size)
    return Batch(train.inputs[indices], train.targets[indices]), orders


def _select(condition: Array, then: _Now, otherwise: _Now) -> _Now:
    return jax.tree.map(partial(jnp.where, condition), then, otherwise)


def _all_finite(params: Params) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]))


def measure(
    problem: Problem, params: Params, train: Batch, held_out: Batch | None
) -> tuple[Evaluation, Evaluation | None]:
    """Evaluates the parameters on the training samples, and on the held-out ones if there are any."""

    def of(batch: Batch) -> Evaluation:
        return evaluate(problem.mlp, params, *batch, problem.loss, problem.tile or EVALUATION_TILE)

    return of(train), None if held_out is None else of(held_out)


def orders_for(state: TrainState, batch_size: int | None, num_samples: int) -> Orders | None:
    """Returns the orders that the next batch is cut from, None where a step uses all samples."""
    if batch_size is None:
        return None
    return orders_at(jax.random.split(state.key)[0], int(state.step), batch_size, num_samples)


def diagnose(problem: Problem, solver: Solver, batch_size: int | None, state: TrainState, train: Batch) -> str:
    """Takes the refused step once more, unguarded, and says where finiteness was lost first."""
    order_key, step_key = jax.random.split(state.key)
    batch, _ = _draw(order_key, orders_for(state, batch_size, train.inputs.shape[0]), batch_size, train)
    params, _, _ = solver.step(problem, state.params, state.solver, batch, jax.random.fold_in(step_key, state.step))
    for layer, leaves in enumerate(params, start=1):
        if not bool(_all_finite((leaves,))):
            return f"diverged: the parameters of layer {layer} are not finite after step {int(state.step)}"
    evaluation = jax.device_get(measure(problem, params, train, None)[0])
    return f"diverged: {first_overflow(problem.mlp, evaluation)} after step {int(state.step)}"


def first_overflow(mlp: Mlp, evaluation: Evaluation) -> str:
    """Says which layer was the first to lose finiteness."""
    layers = np.flatnonzero(evaluation.nonfinite)
    if not layers.size:
        return "the loss is not finite, though every layer is,"
    layer = int(layers[0])
    count = int(evaluation.nonfinite[layer])
    return f"layer {layer + 1} of {mlp.num_layers} lost finiteness first, in {count} preactivations,"
