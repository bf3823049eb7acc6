"""Networks side by side: on a CPU a thread each, on an accelerator, and where steps are short,
under vmap.

`experiments/benchmark.py --parts many` times both ways. On a CPU vmap saves the calls of short
operations, and no more; with batches it costs the permutation of an epoch at every step.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxbp.params import Params
from jaxbp.training.evaluation import evaluate
from jaxbp.training.solver import Batch, Problem, Solver
from jaxbp.training.state import TrainState
from jaxbp.training.steps import advance

SMALL = 2**15  # multiplications of a forward pass up to which vmap is the quicker way on a CPU


class Seen(NamedTuple):
    """What is seen of a network after some steps, or of all of them along a leading axis; None without validation."""

    params: Params
    loss: Any
    validation_loss: Any
    alive: Any


Members = tuple[Params, Any, Array]  # starts, settings and keys
Look = Callable[
    [tuple[Batch, Batch | None], int, int], Seen
]  # samples, the step to stop at, and that of the end


def is_small(problem: Problem, train: Batch) -> bool:
    """Whether a step is so short that the calls of its operations take most of its time."""
    weights = sum(fan_in * fan_out for fan_in, fan_out in pairwise(problem.mlp.sizes))
    return problem.batch_size is None and train.inputs.shape[0] * weights <= SMALL


def in_threads(
    pool: ThreadPoolExecutor, problem: Problem, make: Callable[[Any], Solver], members: Members
) -> Look:
    """One program for one network, called for all of them from the threads of a pool."""
    apart = [jax.tree.map(lambda leaf, i=i: leaf[i], members) for i in range(len(members[2]))]
    states, settings = (
        [_start(make, *member) for member in apart],
        [setting for _, setting, _ in apart],
    )
    # What the caller has set in this thread.
    x64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    nans = jax.config.jax_debug_nans  # type: ignore[attr-defined]
    device = jax.config.jax_default_device  # type: ignore[attr-defined]

    def look(samples: tuple[Batch, Batch | None], stop: int, num_steps: int) -> Seen:
        def one(position: int) -> Seen:
            with jax.enable_x64(x64), jax.debug_nans(nans), jax.default_device(device):
                taken = _take(
                    problem, make, states[position], settings[position], samples, stop, num_steps
                )
                states[position], seen = jax.block_until_ready(taken)
                return jax.device_get(seen)

        # The first one compiles; the others wait for it while there are no steps to take.
        seen = (
            [one(0), *pool.map(one, range(1, len(states)))]
            if stop == 0
            else [*pool.map(one, range(len(states)))]
        )
        return jax.tree.map(lambda *leaves: np.stack(leaves), *seen)

    return look


def under_vmap(problem: Problem, make: Callable[[Any], Solver], members: Members) -> Look:
    """One program for all networks."""
    starts, settings, keys = members
    states = [jax.vmap(partial(_start, make))(starts, settings, keys)]

    def look(samples: tuple[Batch, Batch | None], stop: int, num_steps: int) -> Seen:
        states[0], seen = _take_all(problem, make, states[0], settings, samples, stop, num_steps)
        return jax.device_get(seen)

    return look


@partial(jax.jit, static_argnums=0)
def _start(make: Callable[[Any], Solver], start: Params, setting: Any, key: Array) -> TrainState:
    return TrainState.start(start, make(setting), key)


@partial(jax.jit, static_argnums=(0, 1))
def _take(
    problem: Problem,
    make: Callable[[Any], Solver],
    state: TrainState,
    setting: Any,
    samples: tuple[Batch, Batch | None],
    stop: int | Array,
    num_steps: int | Array,
) -> tuple[TrainState, Seen]:
    """Takes the steps of one network until `stop`, and evaluates it."""
    state, _, alive = advance(problem, make(setting), state, samples[0], stop, num_steps)
    loss, held_out = (
        None if some is None else evaluate(problem, state.params, some).loss for some in samples
    )
    return state, Seen(state.params, loss, held_out, alive)


@partial(jax.jit, static_argnums=(0, 1))
def _take_all(
    problem: Problem, make: Callable[[Any], Solver], states: TrainState, settings: Any, *others: Any
) -> Any:
    """What `_take` does, of networks along a leading axis."""
    return jax.vmap(lambda state, setting: _take(problem, make, state, setting, *others))(
        states, settings
    )
