"""Tanh networks trained by Gauss-Newton from node errors, the best few starts averaged."""

import time
from functools import partial

import jax
import numpy as np

from jaxbp.fitting.effort import Budget, Effort
from jaxbp.fitting.rows import Rows, Trial, predicted, rms
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.term import Term
from jaxbp.network import forward
from jaxbp.params import Mlp, init
from jaxbp.training.callbacks import EarlyStopping
from jaxbp.training.gauss_newton import gauss_newton
from jaxbp.training.loop import fit_many

SOLVER = gauss_newton(momentum=0.9, damping=1.0)
MOST_ROWS = 500  # of a batch, times outputs: the side of the kernel that each step factorizes
COMPILING = 4.0  # seconds
# Steps from one look at the held-out rows to the next, and looks without an improvement.
LOOK, PATIENCE = 5, 10


def try_networks(
    rows: Rows, hidden: tuple[int, ...], num_starts: int, effort: Effort, seed: int, budget: Budget
) -> Trial | None:
    """Train one architecture from several starts and average the best, if there is time."""
    num_inputs, num_outputs = rows.every.inputs.shape[1], rows.every.targets.shape[1]
    most = max(1, MOST_ROWS // num_outputs)
    side = min(most, len(rows.train.inputs)) * num_outputs
    if not budget.allows(num_starts * effort.steps * (side**3 + 200 * side**2), overhead=COMPILING):
        return None
    mlp, start = Mlp((num_inputs, *hidden, num_outputs)), time.perf_counter()
    key = jax.random.key(seed)
    trained = fit_many(
        mlp,
        jax.vmap(partial(init, mlp))(jax.random.split(key, num_starts)),
        rows.train,
        steps=effort.steps,
        solver=SOLVER,
        batch_size=most if len(rows.train.inputs) > most else None,
        validation=rows.held_out,
        key=key,
        record_every=LOOK,
        callbacks=(EarlyStopping(PATIENCE),),
    )
    best = np.fmin.reduce(trained.validation_loss, axis=0)
    ranked = [trained.member(int(place)) for place in np.argsort(best)]
    outputs = np.stack(
        [np.asarray(forward(mlp, params, rows.held_out.inputs)[0]) for params in ranked]
    )
    targets = np.asarray(rows.held_out.targets)
    errors = [rms(outputs[:count].mean(axis=0) - targets) for count in range(1, num_starts + 1)]
    count = 1 + int(np.argmin(errors))
    terms = tuple(Term(mlp, params, np.full(num_outputs, 1 / count)) for params in ranked[:count])
    terms = jax.tree.map(np.asarray, terms)
    name = f"tanh {'-'.join(map(str, hidden))}" + (f", average of {count}" if count > 1 else "")
    found = Candidate(name, errors[count - 1], time.perf_counter() - start)
    # Early stopping needs held-out rows, so the networks stay as they are: they are not fitted to
    # all rows.
    return Trial(found, terms, predicted(terms, rows.held_out.inputs), lambda every: terms)
