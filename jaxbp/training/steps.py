"""The compiled part of `fit`: a chunk of steps that stops before one that loses finiteness."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.params import Params
from jaxbp.training.batches import (
    Permutations,
    Piece,
    next_batch,
    next_of_piece,
    permutations_after,
    permutations_at,
)
from jaxbp.training.evaluation import Evaluation, first_overflow
from jaxbp.training.shards import rows_at
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import Outcome, TrainState


class Chunk(NamedTuple):
    """What a chunk of steps leaves.

    Attributes:
        state: the last good state.
        before: the one before it.
        alive: whether every step could be taken.
    """

    state: TrainState
    before: TrainState
    alive: Array


@partial(jax.jit, static_argnums=(0, 1))
def advance(
    problem: Problem,
    solver: Solver,
    state: TrainState,
    train: Batch | Piece,
    stop: int | Array,
    num_steps: int | Array,
    before: TrainState | None = None,
) -> Chunk:
    """Takes steps until `stop`, or until one whose loss or parameters are not finite.

    A pure function: vmap it over states, or make the solver inside a vmapped function, to train
    many networks at once.
    The loss of a step is that of the parameters before it, so an overflow shows one step late: the
    state before the
    present one is carried along to fall back on.

    Args:
        problem: network, loss and batch size (static).
        solver: `first_order(...)`, `gauss_newton(...)` or one of your own (static).
        state: where to start: `TrainState.start(params, solver, key)`.
        train: the training samples, cast to the dtype of the parameters; or those of these steps in
            their order.
        stop: the step to stop at.
        num_steps: the step at which the run ends, which a solver may anneal towards.
        before: the state before this one, where there was one.

    Returns:
        The last good state, the one before it, and whether `stop` was reached.
    """
    problem = problem._replace(num_steps=num_steps)

    def running(chunk: Chunk) -> Array:
        return chunk.alive & (chunk.state.step < stop)

    def take(permutations: Permutations | None, chunk: Chunk) -> Chunk:
        now, before, _ = chunk
        later, loss = _step(problem, solver, now, train, permutations)
        sound = jnp.isfinite(loss)
        alive = sound & _all_finite(later.params)
        return Chunk(_choose(alive, later, _choose(sound, now, before)), now, alive)

    def take_epoch(carry: tuple[Chunk, Permutations]) -> tuple[Chunk, Permutations]:
        chunk, permutations = carry
        epoch = chunk.state.epoch

        def in_it(chunk: Chunk) -> Array:
            return running(chunk) & (chunk.state.epoch == epoch)

        def after(permutations: Permutations) -> Permutations:
            return permutations_after(state.batch_key, permutations, epoch)

        # Permutations that every step carried along would be copied at every step.
        chunk = jax.lax.while_loop(in_it, partial(take, permutations), chunk)
        over = chunk.state.epoch > epoch
        return chunk, jax.lax.cond(over, after, lambda permutations: permutations, permutations)

    start, permutations = (
        Chunk(state, before or state, jnp.array(True)),
        _permutations(problem, state, train),
    )
    if permutations is None:
        return jax.lax.while_loop(running, partial(take, None), start)
    return jax.lax.while_loop(lambda carry: running(carry[0]), take_epoch, (start, permutations))[0]


def refused(
    problem: Problem,
    solver: Solver,
    state: TrainState,
    train: Batch | Piece,
    look: Callable[[Params], Evaluation],
) -> Outcome:
    """Takes the step that `advance` refused once more, unguarded, and says which layer became
    non-finite first.

    `look` evaluates parameters over all training samples.
    """
    # One operation after the other would take half a minute on several devices.
    take = _step if problem.mesh is None else jax.jit(_step, static_argnums=(0, 1))
    later, _ = take(problem, solver, state, train, _permutations(problem, state, train))
    for layer, leaves in enumerate(later.params, start=1):
        if not bool(_all_finite((leaves,))):
            reason = f"the parameters of layer {layer} are not finite"
            return Outcome("diverged", int(state.step), reason, layer)
    reason, place = first_overflow(problem, look(later.params))
    return Outcome("diverged", int(state.step), reason, place)


def _permutations(problem: Problem, state: TrainState, train: Batch | Piece) -> Permutations | None:
    """The orders of the samples, where batches are drawn from all of them."""
    if problem.batch_size is None or isinstance(train, Piece):
        return None
    return permutations_at(state.batch_key, state.epoch, train.inputs.shape[0])


def _step(
    problem: Problem,
    solver: Solver,
    state: TrainState,
    train: Batch | Piece,
    permutations: Permutations | None,
) -> tuple[TrainState, Array]:
    """One step: draws the batch, moves the parameters; returns the state after it and the loss before it."""
    batch, epoch, place = (
        train.samples if isinstance(train, Piece) else train,
        state.epoch,
        state.place,
    )
    if problem.batch_size is not None:
        if isinstance(train, Piece):
            indices, epoch, place = next_of_piece(
                train, state.step, epoch, place, problem.batch_size
            )
        elif permutations is not None:
            indices, epoch, place = next_batch(permutations, epoch, place, problem.batch_size)
        batch = rows_at(problem.mesh, indices, batch)
    params, inner, loss = solver.step(problem, state.params, state.solver, batch, state.step_key)
    return TrainState(state.step + 1, params, inner, state.key, epoch, place), loss


def _choose(condition: Array, then: TrainState, otherwise: TrainState) -> TrainState:
    pairs = (then._replace(key=None), otherwise._replace(key=None))  # type: ignore[arg-type]
    return jax.tree.map(partial(jnp.where, condition), *pairs)._replace(key=then.key)


def _all_finite(params: Params) -> Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(params)]))
