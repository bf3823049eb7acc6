"""`fit_model`: from samples to a function in the units of its data, in one call.

Rows are held out, a few kinds of networks are tried, and the held-out rows decide:

    linear      the output layer alone, solved
    bands       where inputs are few: sine units with random frequencies up to a bound, the output layer solved; a
                ladder of bounds, because a band that is too narrow cannot follow and one that is too wide needs more
                units
    networks    where bands are not enough: tanh networks trained by Gauss-Newton from node errors, several widths,
                dampings and starts at once, stopped where the held-out error is least, the best few averaged

The winner is fitted once more to all rows. `model.history` lists what was tried.

Legend: n rows, d inputs, k outputs.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._checks import as_float_array, check_finite, check_number, look_up
from jaxbp.data import Standardizer
from jaxbp.model import Candidate, Model
from jaxbp.network import forward
from jaxbp.params import Layer, Mlp, Params, init
from jaxbp.training import Stage, gauss_newton
from jaxbp.training.many import fit_many, stacked
from jaxbp.training.output_layer import RIDGES, factor, hidden_activations, solutions, solved
from jaxbp.training.solver import Batch, Problem
from jaxbp.training.state import TrainState

BANDS = (2.0, 3.0, 4.5, 6.0, 9.0, 13.0, 18.0, 25.0)  # radians for a standard deviation of the inputs
MOST_INPUTS_OF_BANDS = 3  # the number of units that a band needs grows with its volume
EXACT = 1e-7  # of the held-out standard deviation: below it no network is trained that could do no better
MOST_ROWS = 5  # times the units: what a band is chosen on
HELD_OUT_SHARE, MOST_HELD_OUT = 0.2, 2000
SOLVER = gauss_newton(momentum=0.9, damping=1.0)


class Effort(NamedTuple):
    """How much is tried.

    Attributes:
        seconds: after which nothing new is started.
        units: of the sine layers.
        networks: the hidden layers of the networks, and how many starts each gets.
        steps: of Gauss-Newton.
    """

    seconds: float
    units: tuple[int, ...]
    networks: tuple[tuple[tuple[int, ...], int], ...]
    steps: int


EFFORTS = {
    "low": Effort(3.0, (256,), (((32, 32), 2),), 100),
    "normal": Effort(10.0, (512, 1024), (((32, 32), 4), ((16, 16), 4), ((64,), 4)), 200),
    "high": Effort(60.0, (512, 1024, 2048), (((32, 32), 8), ((16, 16), 8), ((64,), 8), ((64, 64), 8)), 400),
}


class Rows(NamedTuple):
    """All rows in standard units, and the two parts that they are split into."""

    every: Batch
    train: Batch
    held_out: Batch


class Trial(NamedTuple):
    """A candidate with what it takes to fit it once more.

    Attributes:
        candidate: for the history.
        members: networks and parameters, of which the average is the prediction.
        ridge: of the solved output layer; None where it was trained.
    """

    candidate: Candidate
    members: tuple[tuple[Mlp, Params], ...]
    ridge: float | None


def fit_model(
    inputs: Any,
    outputs: Any,
    *,
    seconds: float | None = None,
    effort: str = "normal",
    seed: int = 0,
    names: Sequence[str] = (),
    on_candidate: Callable[[Candidate], None] | None = None,
) -> Model:
    """Fits a smooth function to samples, as accurately as they allow.

    Args:
        inputs: (n, d) in any units, n at least 5.
        outputs: (n,) or (n, k) in any units.
        seconds: when no further candidate is started; what `effort` says unless given. It bounds the time on a quick
            machine as on a slow one; with another machine another candidate may win.
        effort: low, normal or high: 3, 10 or 60 seconds, and as much more that is tried.
        seed: of the split, the frequencies and the starts: the same seed tries the same candidates.
        names: of the columns of inputs and outputs, kept in the model.
        on_candidate: called with each candidate when it has been tried.

    Returns:
        The model. `model.history` has each candidate with its error on the held-out rows, a fifth of all and at most
        2,000; where networks are averaged, `model.spread(points)` is their standard deviation.

    Raises:
        ValueError: a shape does not fit, a number is not finite, or there are too few rows.
        TypeError: an array does not hold real numbers.
    """
    chosen = look_up("effort", effort, EFFORTS)
    limit = chosen.seconds if seconds is None else check_number("seconds", seconds, minimum=0)
    deadline = time.perf_counter() + limit
    points, values = _table("inputs", inputs, 2), _table("outputs", outputs, 1, 2)
    if len(points) != len(values) or len(points) < 5:
        raise ValueError(f"inputs and outputs must have one row each, at least 5; got {len(points)} and {len(values)}")
    with jax.enable_x64(True):
        scalers = _scaler(points), _scaler(values.reshape(len(values), -1))
        rows = _split(scalers[0].standardize(points), scalers[1].standardize(values.reshape(len(values), -1)), seed)
        trials: list[Trial] = []
        for trial in _trials(rows, chosen, seed, deadline, trials):
            trials.append(trial)
            if on_candidate is not None:
                on_candidate(trial.candidate)
        best = min(trials, key=lambda trial: trial.candidate.held_out)
        members = [(mlp, _refitted(mlp, params, rows.every, best.ridge)) for mlp, params in best.members]
    history = tuple(trial.candidate._replace(chosen=trial is best) for trial in trials)
    share = np.full(rows.every.targets.shape[1], 1 / len(members))
    model = Model((members[0][0],), (), *scalers, values.ndim == 1, history=history, names=tuple(names))
    terms = [Stage(params, share) for _, params in members]
    return model.with_terms([mlp for mlp, _ in members], terms, average=len(members) > 1)


def choose_band(
    rows: Rows, *, effort: str = "normal", seed: int = 0, on_candidate: Callable[[Candidate], None] | None = None
) -> Trial:
    """Finds the sine units with random frequencies that the held-out rows prefer, and the ridge of their output layer.

    Args:
        rows: in standard units, float64, of at most three inputs.
        effort: low, normal or high, as in `fit_model`.
        seed: of the frequencies.
        on_candidate: called with each candidate when it has been tried.

    Returns:
        The best trial; its member has a zero output layer, to be solved or trained.
    """
    trials = []
    with jax.enable_x64(True):
        for trial in _bands(rows, look_up("effort", effort, EFFORTS), seed, math.inf):
            trials.append(trial)
            if on_candidate is not None:
                on_candidate(trial.candidate)
    return min(trials, key=lambda trial: trial.candidate.held_out)


def _trials(rows: Rows, effort: Effort, seed: int, deadline: float, before: list[Trial]) -> Iterator[Trial]:
    """Tries one kind after the other, until a band leaves nothing to improve or the time is over."""
    num_inputs, num_outputs = rows.every.inputs.shape[1], rows.every.targets.shape[1]
    linear = Mlp((num_inputs, num_outputs))
    yield solve_trial("linear", linear, init(linear, jax.random.key(seed)), rows)
    if num_inputs <= MOST_INPUTS_OF_BANDS:
        yield from _bands(rows, effort, seed, deadline)
    least = min(trial.candidate.held_out for trial in before)
    for hidden, num_starts in effort.networks:
        if least < EXACT or time.perf_counter() > deadline:
            return
        yield from _networks(rows, hidden, num_starts, effort.steps, seed)


def _bands(rows: Rows, effort: Effort, seed: int, deadline: float) -> Iterator[Trial]:
    """Climbs the ladder of bands with few units, until the error rises twice; then the best with more units."""
    num_inputs, num_outputs = rows.every.inputs.shape[1], rows.every.targets.shape[1]
    tried: list[tuple[float, float]] = []
    for units in effort.units:
        bands: Sequence[float] = BANDS
        if tried:
            # More units can fill a wider band, so the best one is tried again with its neighbours above.
            first = BANDS.index(min(tried)[1])
            bands = BANDS[first : first + 3]
        errors: list[float] = []
        for band in bands:
            if tried and time.perf_counter() > deadline:
                return
            mlp = Mlp((num_inputs, units, num_outputs), hidden="sine")
            params = sine_features(mlp, band, jax.random.key(seed))
            some = rows._replace(train=Batch(*(array[: MOST_ROWS * units] for array in rows.train)))
            trial = solve_trial(f"{units} sine units up to {band:g}", mlp, params, some)
            yield trial
            errors.append(trial.candidate.held_out)
            tried.append((errors[-1], band))
            if len(errors) > 2 and errors[-1] > errors[-2] > errors[-3]:
                break
        if min(tried)[0] < EXACT / 100 or len(rows.train.inputs) < 2 * units:
            return


def _networks(rows: Rows, hidden: tuple[int, ...], num_starts: int, steps: int, seed: int) -> Iterator[Trial]:
    """Trains networks of one architecture from several starts and averages the best of them."""
    num_inputs, num_outputs = rows.every.inputs.shape[1], rows.every.targets.shape[1]
    mlp, start = Mlp((num_inputs, *hidden, num_outputs)), time.perf_counter()
    keys = jax.random.split(jax.random.key(seed), num_starts)
    states = stacked([TrainState.start(init(mlp, key), SOLVER, key) for key in keys])
    most = 500 // num_outputs
    problem = Problem(mlp, batch_size=most if len(rows.train.inputs) > most else None)
    trained = fit_many(problem, SOLVER, states, rows.train, rows.held_out, steps=steps, record_every=5, patience=10)
    ranked = [trained.member(int(place)) for place in np.argsort(trained.losses)]
    name = f"tanh {'-'.join(map(str, hidden))}"
    outputs = np.stack([np.asarray(forward(mlp, params, rows.held_out.inputs)[0]) for params in ranked])
    errors = [_rms(outputs[:count].mean(axis=0) - rows.held_out.targets) for count in range(1, num_starts + 1)]
    count = 1 + int(np.argmin(errors))
    label = f"{name}, average of {count}" if count > 1 else name
    found = Candidate(label, errors[count - 1], time.perf_counter() - start)
    yield Trial(found, tuple((mlp, params) for params in ranked[:count]), None)


def solve_trial(name: str, mlp: Mlp, params: Params, rows: Rows) -> Trial:
    """Solves the output layer on the training rows for every ridge, and takes the one that the held-out rows prefer."""
    start = time.perf_counter()
    factored = factor(mlp, params, *rows.train)
    weights, biases = solutions(factored, RIDGES)
    hidden = np.asarray(hidden_activations(mlp, params, rows.held_out.inputs))
    errors = [
        _rms(hidden @ weight + bias - np.asarray(rows.held_out.targets))
        for weight, bias in zip(weights, biases, strict=True)
    ]
    best = int(np.argmin(errors))
    candidate = Candidate(name, errors[best], time.perf_counter() - start)
    return Trial(candidate, ((mlp, params),), float(RIDGES[best]))


def _refitted(mlp: Mlp, params: Params, every: Batch, ridge: float | None) -> Params:
    """The winner on all rows: a solved output layer is solved once more."""
    return params if ridge is None else solved(mlp, params, *every, ridge)


def sine_features(mlp: Mlp, band: float, key: jax.Array) -> Params:
    """A sine layer with frequencies uniform in the ball of radius `band`, and any phases; the output layer is zero."""
    (num_inputs, units), num_outputs = mlp.sizes[:2], mlp.sizes[2]
    direction_key, radius_key, phase_key = jax.random.split(key, 3)
    directions = jax.random.normal(direction_key, (num_inputs, units))
    radii = band * jax.random.uniform(radius_key, (1, units)) ** (1 / num_inputs)
    weight = directions / jnp.linalg.norm(directions, axis=0, keepdims=True) * radii
    phases = jax.random.uniform(phase_key, (units,), minval=-math.pi, maxval=math.pi)
    return Layer(weight, phases), Layer(jnp.zeros((units, num_outputs)), jnp.zeros((num_outputs,)))


def _split(inputs: np.ndarray, targets: np.ndarray, seed: int) -> Rows:
    permutation = np.random.RandomState(seed).permutation(len(inputs))
    held_out = min(MOST_HELD_OUT, max(1, round(HELD_OUT_SHARE * len(inputs))))

    def batch(places: np.ndarray) -> Batch:
        return Batch(jnp.asarray(inputs[places]), jnp.asarray(targets[places]))

    return Rows(batch(permutation), batch(permutation[held_out:]), batch(permutation[:held_out]))


def _scaler(values: np.ndarray) -> Standardizer:
    """Mean and standard deviation of each column; a constant one keeps its scale."""
    mean, scale = values.mean(axis=0), values.std(axis=0)
    constant = scale <= 8 * np.finfo(np.float64).eps * np.abs(mean)
    return Standardizer(mean, np.where(constant, 1.0, scale))


def _table(name: str, array: Any, *dimensions: int) -> np.ndarray:
    """The array in float64, with one of these numbers of dimensions and all numbers finite."""
    with jax.enable_x64(True):
        table = np.asarray(as_float_array(name, array, jnp.float64))
    if table.ndim not in dimensions or 0 in table.shape:
        shapes = " or ".join("(n, d)" if d == 2 else "(n,)" for d in dimensions)
        raise ValueError(f"{name} must have shape {shapes} and not be empty, got {table.shape}")
    check_finite(name, table)
    return table


def _rms(error: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(error)))))
