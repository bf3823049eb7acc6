"""Few inputs: frequency bands, each a layer of sine units with a solved output layer.

A band is the ball of radius R that the frequencies fill, in pairs of a sine and a cosine, over
standardized inputs. Uniform ones fill a box of side 2 sqrt(3), on which a ball holds about (sqrt(3)
/ pi)^d volume(R) independent functions. A band that is too narrow cannot follow the function, one
that is too wide needs more units than there are: held-out rows decide.

The frequencies fill the ball evenly rather than at random: random ones leave gaps, which the units
beside them pay for with large weights. Radii are those of shells of equal volume; directions follow
an additive recurrence, in the plane by the golden angle. Functions that need more units than a band
has are left to the boxes.

Legend: n rows, d inputs, k outputs, r ridges.

References:
    Rahimi and Recht 2007 (random features); Vogel 1979 (the spiral by the golden angle).
"""

import math
import time
from collections.abc import Iterator
from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxbp.fitting.effort import Budget
from jaxbp.fitting.rows import Rows, Terms, Trial, one_term, rms, varying
from jaxbp.fitting.score import Candidate
from jaxbp.least_squares import hidden_activations, penalized, triangle, with_output
from jaxbp.params import Layer, Mlp, Params
from jaxbp.training import Batch

# For each row: how much of || W ||^2 is a penalty. The smallest suit rows without noise.
RIDGES: tuple[float, ...] = (
    *(1e-30, 1e-28, 1e-26, 1e-24, 1e-21, 1e-18, 1e-15, 1e-12, 1e-10),
    *(1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
)
GOAL = 1e-11  # of the standard deviation: rounding is all that is left
PATIENCE = 2  # bands that are narrower and worse than the best, before the search ends
MOST_ROWS = 5  # times the units: what a band is chosen on
MOST_HELD_OUT = 500
LEAST_ROWS = 1.25  # times the units
UNITS = (512, 256, 128)  # the first that the rows suffice for
# By the number of inputs: the steps of an additive recurrence, powers of the golden ratio and of
# the plastic number.
RECURRENCE = {
    1: np.empty(0),
    2: np.array([0.6180339887498949]),
    3: np.array([0.7548776662466927, 0.5698402909980532]),
}
TIE = 1.04  # of the mean squared error: the larger ridge is the safer one


def try_bands(rows: Rows, seed: int, budget: Budget) -> Iterator[Trial]:
    """Try bands from the widest to narrower ones, until two in a row are worse."""
    num_rows, num_inputs = len(rows.train.inputs), len(varying(rows.every.inputs))
    units = next(size for size in UNITS if LEAST_ROWS * size <= num_rows)
    some = min(num_rows, MOST_ROWS * units)
    operations = some * units**2 + len(RIDGES) * units**3 // 2
    final = len(rows.every.inputs) * units**2
    best: tuple[float, int] = (math.inf, 0)
    for place in range(6):
        if best[0] < GOAL or place > best[1] + PATIENCE:
            return
        if not budget.allows(operations, final=final):
            return
        radius = widest(num_inputs, units) * 2 ** (-place / 2)
        trial = _try(rows, some, units, radius, [seed, units, place], budget)
        yield trial
        best = min(best, (trial.candidate.held_out, place))


def _try(
    rows: Rows,
    num_rows: int,
    units: int,
    radius: float,
    seed: list[int],
    budget: Budget,
) -> Trial:
    """Solve the output layer of one band for every ridge; the held-out rows choose the ridge."""
    start = time.perf_counter()
    mlp = Mlp((rows.every.inputs.shape[1], units, rows.every.targets.shape[1]), hidden="sine")
    params = fill_ball(mlp, varying(rows.every.inputs), radius, np.random.default_rng(seed))
    factored = triangle(mlp, params, rows.train.inputs[:num_rows], rows.train.targets[:num_rows])
    hidden = np.asarray(hidden_activations(mlp, params, rows.held_out.inputs))
    targets, few = np.asarray(rows.held_out.targets), slice(0, MOST_HELD_OUT)
    layers = [penalized(factored, ridge * num_rows) for ridge in RIDGES]
    errors = np.array(
        [rms(hidden[few] @ weight + bias - targets[few]) ** 2 for weight, bias in layers]
    )
    place = int(np.flatnonzero(errors <= TIE * errors.min())[-1])
    weight, bias = layers[place]
    predictions = hidden @ weight + bias
    found = Candidate(
        f"{units} sine units, frequencies up to {radius:.3g}",
        rms(predictions - targets),
        time.perf_counter() - start,
    )
    refit = partial(_solve_all, mlp, params, RIDGES[place], budget)
    return Trial(found, one_term(mlp, with_output(params, weight, bias)), predictions, refit)


def _solve_all(mlp: Mlp, params: Params, ridge: float, budget: Budget, every: Batch) -> Terms:
    """Solves the output layer of a band over all rows, or over as many as there is time for."""
    units = mlp.sizes[1]
    some = min(len(every.inputs), max(MOST_ROWS * units, int(budget.left / (2 * units**2))))
    weight, bias = penalized(
        triangle(mlp, params, every.inputs[:some], every.targets[:some]), ridge * some
    )
    return one_term(mlp, with_output(params, weight, bias))


def widest(num_inputs: int, units: int) -> float:
    """The radius whose ball holds as many functions as 0.6 of the units."""
    ball = math.pi ** (num_inputs / 2) / math.gamma(num_inputs / 2 + 1)
    return (0.6 * units / ((math.sqrt(3) / math.pi) ** num_inputs * ball)) ** (1 / num_inputs)


def fill_ball(
    mlp: Mlp, columns: np.ndarray, radius: float, generator: np.random.Generator
) -> Params:
    """Pairs of a sine and a cosine with frequencies evenly in the ball over these columns."""
    num_inputs, units, num_outputs = mlp.sizes
    frequencies = np.zeros((num_inputs, units // 2))
    phases = generator.random((len(columns) - 1, 1))
    frequencies[columns] = ball_frequencies(len(columns), units // 2, radius, phases)
    return paired(frequencies, num_outputs)


def ball_frequencies(
    d: int, count: int, radius: float, phases: np.ndarray | float = 0.0
) -> np.ndarray:
    """Frequencies (d, count) that fill half a ball evenly; phases (d - 1, 1) turn them."""
    places = np.arange(count)
    radii = radius * ((places + 0.5) / count) ** (1 / d)
    turns = (places * RECURRENCE[d][:, np.newaxis] + phases) % 1
    # Half of the directions are enough: a sine and a cosine serve the opposite one, too.
    if d == 1:
        return radii[np.newaxis]
    if d == 2:
        return radii * np.stack([np.cos(np.pi * turns[0]), np.sin(np.pi * turns[0])])
    ring = np.sqrt(1 - turns[0] ** 2)
    around = 2 * np.pi * turns[1]
    return radii * np.stack([turns[0], ring * np.cos(around), ring * np.sin(around)])


def paired(frequencies: np.ndarray, num_outputs: int) -> Params:
    """A sine and a cosine of each frequency (d, units / 2), and a zero output layer."""
    half = frequencies.shape[1]
    phases = np.repeat([0.0, np.pi / 2], half)
    hidden = Layer(
        jnp.asarray(np.concatenate([frequencies, frequencies], axis=1)), jnp.asarray(phases)
    )
    return hidden, Layer(jnp.zeros((2 * half, num_outputs)), jnp.zeros((num_outputs,)))
