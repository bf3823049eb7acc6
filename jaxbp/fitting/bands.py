"""Few inputs: a ladder of frequency bands, each a layer of random sine units with a solved output layer.

A band is the ball of radius R that the frequencies are drawn from, in pairs of a sine and a cosine, over standardized
inputs. Uniform ones fill a box of side 2 sqrt(3), on which a ball holds about (sqrt(3) / pi)^d volume(R) independent
functions. A band that is too narrow cannot follow the function, one that is too wide needs more units than there are:
held-out rows decide.

Legend: n rows, d inputs, k outputs, r ridges.

References:
    Rahimi and Recht 2007 (random features).
"""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import look_up
from jaxbp.fitting.effort import EFFORTS, Budget, Effort
from jaxbp.fitting.rows import Members, Rows, Trial, rms, varying
from jaxbp.params import Layer, Mlp, Params
from jaxbp.score import Candidate
from jaxbp.training.least_squares import hidden_activations, penalized, triangle
from jaxbp.training.output_layer import with_output
from jaxbp.training.solver import Batch

# For each row: how much of || W ||^2 is a penalty. The smallest suit rows without noise.
RIDGES: tuple[float, ...] = (
    *(1e-30, 1e-28, 1e-26, 1e-24, 1e-21, 1e-18, 1e-15, 1e-12, 1e-10),
    *(1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
)
GOAL = 1e-11  # of the standard deviation: rounding is all that is left
MOST_ROWS = 5  # times the units: what a band is chosen on
MOST_HELD_OUT = 500
LEAST_ROWS = 1.25  # times the units
FEWER_UNITS = (128, 256)  # where the rows are too few for the first of the effort
TIE = 1.04  # of the mean squared error: the larger ridge is the safer one


def choose_band(
    rows: Rows,
    *,
    effort: str = "normal",
    enough: float = GOAL,
    seed: int = 0,
    on_candidate: Callable[[Candidate], None] | None = None,
) -> Trial:
    """Finds the sine units with random frequencies that the held-out rows prefer, and the ridge of their output layer.

    Args:
        rows: in standard units, float64, of at most three inputs.
        effort: low, normal or high, as in `fit_model`.
        enough: the held-out error over the standard deviation below which nothing more is tried.
        seed: of the frequencies.
        on_candidate: called with each candidate when it has been tried.

    Returns:
        The best trial; its member has a zero output layer, to be solved or trained.
    """
    chosen, trials = look_up("effort", effort, EFFORTS), []
    with jax.enable_x64(True):
        for trial in climb(rows, chosen, seed, Budget(math.inf), enough):
            trials.append(trial)
            if on_candidate is not None:
                on_candidate(trial.candidate)
    return min(trials, key=lambda trial: trial.candidate.held_out)


def climb(rows: Rows, effort: Effort, seed: int, budget: Budget, goal: float = GOAL) -> Iterator[Trial]:
    """Tries all bands with the fewest units, then more units in the best band and wider ones, until `goal` is met."""
    num_rows, num_inputs = len(rows.train.inputs), len(varying(rows.every.inputs))
    sizes = tuple(size for size in FEWER_UNITS if size < effort.bands[0]) + effort.bands
    enough = [size for size in sizes if LEAST_ROWS * size <= num_rows]
    first = max((size for size in enough if size <= effort.bands[0]), default=sizes[0])
    best: tuple[float, float, float] = (math.inf, 0.0, 0.0)  # error, radius, ridge
    for units in (size for size in sizes if size == first or (size > first and size in enough)):
        top = widest(num_inputs, units)
        if units == first:
            radii, ridges = [top * 2 ** (-j / 2) for j in range(6)], RIDGES
        else:
            factors = (1.0, 1.4, 2.0) if units < 1536 else (1.0, 1.2)
            radii, ridges = [factor * best[1] for factor in factors if factor * best[1] < 1.6 * top], _near(best[2])
        some = min(num_rows, MOST_ROWS * units)
        operations = 2 * some * units**2 + len(ridges) * units**3 // 2
        final = 2 * len(rows.every.inputs) * units**2
        for position, radius in enumerate(radii):
            # The first size is the least that a fit needs; whoever gives no time for it gets the linear candidate.
            if best[0] < goal or not budget.allows(operations, final=final):
                return
            trial, ridge = _try(rows, some, units, radius, ridges, [seed, units, position], budget)
            yield trial
            best = min(best, (trial.candidate.held_out, radius, ridge))


def _try(
    rows: Rows, num_rows: int, units: int, radius: float, ridges: tuple[float, ...], seed: list[int], budget: Budget
) -> tuple[Trial, float]:
    """Solves the output layer of one band for every ridge, and takes the one that the held-out rows prefer."""
    start = time.perf_counter()
    mlp = Mlp((rows.every.inputs.shape[1], units, rows.every.targets.shape[1]), hidden="sine")
    params = draw_ball(mlp, varying(rows.every.inputs), radius, np.random.default_rng(seed))
    factored = triangle(mlp, params, rows.train.inputs[:num_rows], rows.train.targets[:num_rows])
    hidden = np.asarray(hidden_activations(mlp, params, rows.held_out.inputs))
    targets, few = np.asarray(rows.held_out.targets), slice(0, MOST_HELD_OUT)
    layers = [penalized(factored, ridge * num_rows) for ridge in ridges]
    errors = np.array([rms(hidden[few] @ weight + bias - targets[few]) ** 2 for weight, bias in layers])
    place = int(np.flatnonzero(errors <= TIE * errors.min())[-1])
    weight, bias = layers[place]
    predictions = hidden @ weight + bias
    found = Candidate(
        f"{units} sine units, frequencies up to {radius:.3g}", rms(predictions - targets), time.perf_counter() - start
    )
    refit = partial(_solve_all, mlp, params, ridges[place], budget)
    return Trial(found, ((mlp, params),), predictions, refit), ridges[place]


def _solve_all(mlp: Mlp, params: Params, ridge: float, budget: Budget, every: Batch) -> Members:
    """Solves the output layer of a band over all rows, or over as many as there is time for."""
    units = mlp.sizes[1]
    some = min(len(every.inputs), max(MOST_ROWS * units, int(budget.left / (2 * units**2))))
    weight, bias = penalized(triangle(mlp, params, every.inputs[:some], every.targets[:some]), ridge * some)
    return ((mlp, with_output(params, weight, bias)),)


def widest(num_inputs: int, units: int) -> float:
    """The radius whose ball holds as many functions as 0.6 of the units."""
    ball = math.pi ** (num_inputs / 2) / math.gamma(num_inputs / 2 + 1)
    return (0.6 * units / ((math.sqrt(3) / math.pi) ** num_inputs * ball)) ** (1 / num_inputs)


def draw_ball(mlp: Mlp, columns: np.ndarray, radius: float, generator: np.random.Generator) -> Params:
    """Pairs of a sine and a cosine, their frequencies uniform in the ball over these columns; a zero output layer."""
    num_inputs, units, num_outputs = mlp.sizes
    directions = generator.standard_normal((len(columns), units // 2))
    radii = radius * generator.random(units // 2) ** (1 / len(columns))
    frequencies = np.zeros((num_inputs, units // 2))
    frequencies[columns] = directions / np.linalg.norm(directions, axis=0) * radii
    return paired(frequencies, num_outputs)


def paired(frequencies: np.ndarray, num_outputs: int) -> Params:
    """A sine and a cosine of each frequency (d, units / 2), and a zero output layer."""
    half = frequencies.shape[1]
    phases = np.repeat([0.0, np.pi / 2], half)
    hidden = Layer(jnp.asarray(np.concatenate([frequencies, frequencies], axis=1)), jnp.asarray(phases))
    return hidden, Layer(jnp.zeros((2 * half, num_outputs)), jnp.zeros((num_outputs,)))


def _near(ridge: float) -> tuple[float, ...]:
    place = RIDGES.index(ridge)
    return RIDGES[max(0, place - 2) : place + 3]
