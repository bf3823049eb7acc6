"""Many networks at once: the same steps for several states under vmap, each keeping its best parameters."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxbp.params import Params
from jaxbp.training.evaluation import evaluate
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import TrainState
from jaxbp.training.steps import advance


class Members(NamedTuple):
    """Networks of one architecture that were trained at once; the leading axis of every array is theirs.

    Attributes:
        params: the best parameters of each, by the validation loss.
        losses: (members,) their validation losses.
        steps: (members,) the steps at which they were the best.
    """

    params: Params
    losses: np.ndarray
    steps: np.ndarray

    def member(self, position: int) -> Params:
        """The parameters of one of them, as NumPy arrays."""
        return jax.tree.map(lambda leaf: np.asarray(leaf[position]), self.params)


def fit_many(
    problem: Problem,
    solver: Solver,
    states: TrainState,
    train: Batch,
    held_out: Batch,
    *,
    steps: int,
    record_every: int,
    patience: int | None = None,
) -> Members:
    """Trains networks of one architecture from several states at once, in one compiled program.

    Args:
        problem: network, loss, batch size.
        solver: what takes the steps; what differs between the members is in their states, such as a damping.
        states: with a leading axis for the members: see `stacked`.
        train: the training samples, the same for all.
        held_out: what the best parameters are chosen by.
        steps: how many steps each takes.
        record_every: the number of steps from one look at the held-out samples to the next.
        patience: stops after this many looks without an improvement of any member.

    Returns:
        The best parameters of each member. One that loses finiteness stays at its last good ones.
    """
    best = Members(states.params, np.full(states.step.shape, np.inf), np.zeros(states.step.shape, int))
    waited = 0
    for stop in range(0, steps + record_every, record_every):
        states = _take(problem, solver, states, train, min(stop, steps), steps)
        losses = np.asarray(_losses(problem, states.params, held_out))
        better = losses < best.losses
        waited = 0 if better.any() else waited + 1
        kept = jax.tree.map(partial(_where, better), states.params, best.params)
        taken = np.asarray(states.step)
        best = Members(kept, np.where(better, losses, best.losses), np.where(better, taken, best.steps))
        if patience is not None and waited >= patience:
            break
    return best


def stacked(states: list[TrainState]) -> TrainState:
    """Puts states together along a new leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


@partial(jax.jit, static_argnums=(0, 1))
def _take(
    problem: Problem, solver: Solver, states: TrainState, train: Batch, stop: int | Array, num_steps: int | Array
) -> TrainState:
    return jax.vmap(lambda state: advance(problem, solver, state, train, stop, num_steps).state)(states)


@partial(jax.jit, static_argnums=0)
def _losses(problem: Problem, params: Params, held_out: Batch) -> Array:
    return jax.vmap(lambda params: evaluate(problem, params, held_out).loss)(params)


def _where(condition: np.ndarray, then: Array, otherwise: Array) -> Array:
    return jnp.where(condition.reshape(-1, *[1] * (then.ndim - 1)), then, otherwise)
