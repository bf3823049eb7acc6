"""Many networks at once: what `fit` does, over starts, keys and a solver's settings, in one compiled program."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from jaxbp._checks import check_count, check_number
from jaxbp._threads import one_blas_thread
from jaxbp.losses import Loss, as_loss
from jaxbp.params import Mlp, Params
from jaxbp.training.first_order import DEFAULT_SOLVER
from jaxbp.training.samples import check_batch_size, fitting_samples
from jaxbp.training.side_by_side import in_threads, is_small, under_vmap
from jaxbp.training.solver import Problem, Solver


class Fits(NamedTuple):
    """Networks of one architecture that were trained at once, m of them.

    Attributes:
        params: the parameters, every leaf with a leading axis (m, ...): the last, or each network's
            best.
        step: (num_records,) the steps of the records.
        loss: (num_records, m) the losses over the training samples; a network that diverged keeps
            its last good one.
        validation_loss: (num_records, m) those over the validation samples, NaN without any.
        diverged: (m,) which of them became non-finite, and stopped there.
    """

    params: Params
    step: np.ndarray
    loss: np.ndarray
    validation_loss: np.ndarray
    diverged: np.ndarray

    def member(self, position: int) -> Params:
        """The parameters of one of them, as NumPy arrays."""
        return jax.tree.map(lambda leaf: np.asarray(leaf[position]), self.params)


def fit_many(
    mlp: Mlp,
    starts: Params,
    data: tuple[Any, Any],
    *,
    steps: int,
    solver: Solver | Callable[[Any], Solver] | None = None,
    settings: Any = None,
    batch_size: int | None = None,
    loss: str | Loss = "mean_squared_error",
    validation: tuple[Any, Any] | None = None,
    key: Array | None = None,
    record_every: int = 100,
    tile: int | None = None,
    dropout: float = 0.0,
    keep_best: bool = False,
    patience: int | None = None,
    on_params: Callable[[int, Params], None] | None = None,
) -> Fits:
    """Trains networks of one architecture at once on the same samples.

    Args:
        mlp: the network.
        starts: parameters whose leaves have a leading axis, one network each:
            `jax.vmap(partial(init, mlp))(keys)`.
        data: inputs (n, n_0) and targets (n, n_L), or labels (n,).
        steps: how many steps each of them takes.
        solver: as in `fit`, for all; or with `settings` a function of one of these that makes the
            solver.
        settings: learning rates, dampings, ...: an array, or a pytree of them, with the leading
            axis of `starts`.
        batch_size: samples a step, drawn by epochs without replacement, in another order for each;
            None for all.
        loss: a `Loss`, or the name of one.
        validation: inputs and targets that are not trained on.
        key: split into one for each network; required with `batch_size` or `dropout`.
        record_every: the number of steps from one record to the next.
        tile: how many samples a gradient of one network holds in memory at a time; None as in
            `loss_and_gradient`.
        dropout: the probability with which a hidden unit is dropped in training, in [0, 1).
        keep_best: returns each network's parameters at its record with the smallest validation loss
            (training loss without validation samples) instead of the last.
        patience: stops after this many records at which no network had a smaller loss than before,
            and keeps the best.
        on_params: called on the host with the step and the parameters of all of them at each
            record.

    Returns:
        Parameters and records of all. A network that becomes non-finite stays at its last good
        parameters. Other than `fit`, it does not let the solver finish them: see `solve_output`.

    Raises:
        ValueError: an argument is out of range or does not fit the others, or a sample is NaN or
            infinite.
        TypeError: an array does not hold real numbers, or the solver is none.
    """
    loss = as_loss(loss)
    check_count("steps", steps, minimum=0)
    check_count("record_every", record_every, minimum=1)
    check_number("dropout", dropout, minimum=0, below=1)
    if patience is not None:
        check_count("patience", patience, minimum=1)
    if key is None and (batch_size is not None or dropout > 0):
        raise ValueError("key must be given with batch_size or dropout: jax.random.key(seed)")
    count = _num_members(starts, settings)
    solver = DEFAULT_SOLVER if solver is None else solver
    if isinstance(solver, Solver) != (settings is None) or not (
        isinstance(solver, Solver) or callable(solver)
    ):
        raise TypeError(
            f"solver must be a Solver, or with settings a function that makes one of them, got {solver!r}"
        )
    make = _the_same(solver) if isinstance(solver, Solver) else solver
    train, held_out = fitting_samples(
        mlp, jax.tree.map(lambda leaf: leaf[0], starts), data, validation, loss
    )
    check_batch_size(batch_size, train.inputs.shape[0])
    problem = Problem(mlp, loss, batch_size, tile, dropout)
    keys = jax.random.split(jax.random.key(0) if key is None else key, count)
    kept, watched, waited, records = starts, np.full(count, np.inf), 0, []
    members = starts, settings, keys
    with one_blas_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        apart = jax.default_backend() == "cpu" and not is_small(problem, train)
        look = (
            in_threads(pool, problem, make, members)
            if apart
            else under_vmap(problem, make, members)
        )
        for stop in range(0, steps + record_every, record_every):
            found = look((train, held_out), min(stop, steps), steps)
            losses = found.loss if held_out is None else found.validation_loss
            better = losses < watched
            watched, waited = np.where(better, losses, watched), 0 if better.any() else waited + 1
            kept = jax.tree.map(partial(_choose, better), found.params, kept)
            none = np.full_like(found.loss, np.nan)
            records.append(
                (min(stop, steps), found.loss, none if held_out is None else found.validation_loss)
            )
            if on_params is not None:
                on_params(min(stop, steps), found.params)
            if patience is not None and waited >= patience:
                break
    step, *columns = (np.array(column) for column in zip(*records, strict=True))
    best = keep_best or patience is not None
    return Fits(kept if best else found.params, step, columns[0], columns[1], ~found.alive)


def _num_members(starts: Params, settings: Any) -> int:
    """The length of the leading axis of the starts and the settings."""
    lengths = {
        np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in jax.tree.leaves((starts, settings))
    }
    if len(lengths) != 1 or not min(lengths):
        raise ValueError(
            f"starts and settings must have one leading axis, a network each, got lengths {sorted(lengths)}"
        )
    return int(lengths.pop())


@lru_cache
def _the_same(solver: Solver) -> Callable[[Any], Solver]:
    """A function that gives this solver; the same for the same solver, so that nothing is compiled twice."""
    return lambda setting: solver


def _choose(condition: np.ndarray, then: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    return np.where(condition.reshape(-1, *[1] * (then.ndim - 1)), then, otherwise)
