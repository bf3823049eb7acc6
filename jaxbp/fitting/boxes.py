"""Many rows: small solved networks in overlapping boxes, blended by smooth weights.

    outputs = sum over boxes b of w_b(x) network_b((x - c_b) / h) / sum of w_b(x)
    w_b(x) = product over inputs of (1 - |t|)^4 (4 |t| + 1),  t = (x - c_b) / h, 0 outside |t| < 1

The boxes stand on a grid of step h, so that each point lies in two of them along each input. Their
networks share their units: sine and cosine units whose frequencies fill a ball, or distance units
with the rows of the box as centres. Only the output layers differ, each solved by itself: the cost
grows in proportion to the rows.

The backward pass is written by hand: of outputs = sum w_b o_b / sum w_b, w_b_bar = o_bar (o_b -
outputs), and each box is differentiated in its own coordinates.

Legend: n points, d inputs, b boxes, m units of a box, k outputs, t terms of the polynomial.

References:
    Wendland 2004, chapter 15 (partitions of unity); Dong and Li 2021 (local extreme learning).
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import Array
from scipy.spatial import cKDTree

from jaxbp.fitting.bands import ball_frequencies
from jaxbp.fitting.distance import KERNELS, monomials, polynomial_bar
from jaxbp.fitting.effort import Budget
from jaxbp.fitting.evidence import Kriging, rms
from jaxbp.fitting.rows import Rows, Terms, Trial
from jaxbp.fitting.score import Candidate
from jaxbp.fitting.term import Term
from jaxbp.training import Batch

SINE = "sine"
UNITS = (200, 400)  # of a box, tried in turn
ROWS_PER_UNIT = 2.75
RADII = (1.0, 1.4, 0.7)  # times the usual radius
USUAL = 0.065  # independent functions of the ball for each unit
CUT = 1e-13  # of the largest pivot: what is smaller is rounding
LOCAL_ROWS, LEAST_LOCAL_ROWS, MOST_LOCAL_ROWS = 160, 40, 600  # of a box of distance units
LOCAL_KERNELS = ("Matern 1/2", "Matern 3/2", "Matern 5/2")
EVIDENCE_ROWS, EVALUATIONS = 256, 25


class BoxParams(NamedTuple):
    """Parameters of all boxes.

    Attributes:
        low: (d,) corner of the grid.
        step: (d,) h.
        units: frequencies (d, m / 2), or centres (b, m, d).
        lengths: (d,) of distance units.
        weight: (b, m, k).
        trend: (b, t, k).
    """

    low: Any
    step: Any
    units: Any
    lengths: Any
    weight: Any
    trend: Any


@dataclass(frozen=True)
class Boxes:
    """The static part: what a box holds, and the grid of boxes.

    Attributes:
        kernel: "sine", or a key of `KERNELS`.
        sizes: (d, m, k).
        grid: the number of boxes along each input.
    """

    kernel: str
    sizes: tuple[int, int, int]
    grid: tuple[int, ...]

    def __post_init__(self) -> None:
        """Checks the fields, which may come from a file."""
        fine = all(type(count) is int and 0 < count < 10**6 for count in self.grid)
        if self.kernel not in (SINE, *KERNELS) or len(self.grid) != self.sizes[0] or not fine:
            raise ValueError(f"kernel and grid must be known, got {self.kernel}, {self.grid}")

    @property
    def degree(self) -> int:
        """Of the polynomial beside the units."""
        return 0 if self.kernel == SINE else 1

    def __call__(self, params: BoxParams, inputs: Array) -> Array:
        """Evaluate outputs (n, k) at inputs (n, d)."""
        return _outputs(self, params, inputs)

    def shapes(self) -> BoxParams:
        """The shapes of the parameters."""
        (d, m, k), b = self.sizes, math.prod(self.grid)
        units = (d, m // 2) if self.kernel == SINE else (b, m, d)
        return BoxParams((d,), (d,), units, (d,), (b, m, k), (b, 1 + d * self.degree, k))

    def __str__(self) -> str:
        """Number and content of the boxes."""
        return f"{math.prod(self.grid)} boxes of {self.sizes[1]} {self.kernel} units"


class _Corner(NamedTuple):
    """The box at one corner of each point's cell: number, coordinates, weight and its slopes."""

    box: Array
    local: Array
    weight: Array
    slopes: Array


def _corners(layer: Boxes, params: BoxParams, x: Array) -> Iterator[_Corner]:
    counts = jnp.asarray(layer.grid)[jnp.newaxis]
    scaled = (x - params.low[jnp.newaxis]) / params.step[jnp.newaxis]
    place = jnp.clip(scaled, 0.0, counts * 1.0) - 0.5
    moves = (scaled > 0) & (scaled < counts)
    for corner in itertools.product((0, 1), repeat=layer.sizes[0]):
        index = jnp.floor(place).astype(int) + jnp.asarray(corner)[jnp.newaxis]
        inside = (index >= 0) & (index < counts)
        t = jnp.clip(place - index, -1.0, 1.0)
        left = 1 - jnp.abs(t)
        factors = jnp.where(inside, left**4 * (4 * jnp.abs(t) + 1), 0.0)
        own = jnp.where(inside & moves, -20 * t * left**3, 0.0)[:, :, jnp.newaxis]
        # Row i holds the factors with the slope of the i-th in its place.
        each = jnp.where(jnp.eye(x.shape[1], dtype=bool), own, factors[:, jnp.newaxis, :])
        index = jnp.clip(index, 0, counts - 1)
        box = jnp.ravel_multi_index(tuple(index.T), layer.grid, mode="clip")
        weight = jnp.prod(factors, axis=1, keepdims=True)
        yield _Corner(box, scaled - 0.5 - index, weight, jnp.prod(each, axis=2))


def _hidden(layer: Boxes, params: BoxParams, corner: _Corner) -> tuple[Array, Array]:
    """The units (n, m), and psi (n, m) of distances or the cosines and negative sines."""
    if layer.kernel == SINE:
        z = corner.local @ params.units
        sine, cosine = jnp.sin(z), jnp.cos(z)
        return jnp.concatenate([sine, cosine], axis=1), jnp.concatenate([cosine, -sine], axis=1)
    difference = corner.local[:, jnp.newaxis] - params.units[corner.box]
    squares = jnp.sum((difference / params.lengths[jnp.newaxis, jnp.newaxis]) ** 2, axis=2)
    return KERNELS[layer.kernel].formula(jnp, squares)


def _output(layer: Boxes, params: BoxParams, corner: _Corner, hidden: Array) -> Array:
    polynomial = jnp.concatenate(monomials(jnp, corner.local, layer.degree), axis=1)
    output = jnp.einsum("nm,nmk->nk", hidden, params.weight[corner.box])
    return output + jnp.einsum("nt,ntk->nk", polynomial, params.trend[corner.box])


def _blend(layer: Boxes, params: BoxParams, x: Array) -> tuple[Array, Array]:
    """The weighted mean of the boxes around each point, and the sum of the weights."""
    total: Any = 0.0
    weights: Any = 0.0
    for corner in _corners(layer, params, x):
        hidden = _hidden(layer, params, corner)[0]
        total = total + corner.weight * _output(layer, params, corner, hidden)
        weights = weights + corner.weight
    return total / weights, weights


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _outputs(layer: Boxes, params: BoxParams, inputs: Array) -> Array:
    # The weights cancel: in float32 nothing would be left of float64 parameters.
    with jax.enable_x64(True):
        return _blend(layer, params, inputs.astype(params.weight.dtype))[0].astype(inputs.dtype)


def _forward(layer: Boxes, params: BoxParams, inputs: Array) -> tuple[Array, Any]:
    return _outputs(layer, params, inputs), (params, inputs)


def _backward(layer: Boxes, residuals: Any, outputs_bar: Array) -> Any:
    params, inputs = residuals
    with jax.enable_x64(True):
        x = inputs.astype(params.weight.dtype)
        outputs, weights = _blend(layer, params, x)
        total_bar = outputs_bar.astype(x.dtype) / weights
        bars = jax.tree.map(jnp.zeros_like, params)
        scaled_bar = jnp.zeros_like(x)
        for corner in _corners(layer, params, x):
            hidden, psi = _hidden(layer, params, corner)
            output = _output(layer, params, corner, hidden)
            weight_bar = jnp.sum(total_bar * (output - outputs), axis=1, keepdims=True)
            output_bar = corner.weight * total_bar
            hidden_bar = jnp.einsum("nk,nmk->nm", output_bar, params.weight[corner.box])
            terms_bar = jnp.einsum("nk,ntk->nt", output_bar, params.trend[corner.box])
            local_bar = polynomial_bar(layer.degree, corner.local, terms_bar)
            units_bar, lengths_bar, moved = _units_bar(layer, params, corner, hidden_bar * psi)
            scaled_bar += local_bar + moved + weight_bar * corner.slopes
            polynomial = jnp.concatenate(monomials(jnp, corner.local, layer.degree), axis=1)
            bars = bars._replace(
                units=bars.units + units_bar,
                lengths=bars.lengths + lengths_bar,
                weight=bars.weight.at[corner.box].add(jnp.einsum("nm,nk->nmk", hidden, output_bar)),
                trend=bars.trend.at[corner.box].add(
                    jnp.einsum("nt,nk->ntk", polynomial, output_bar)
                ),
            )
        x_bar = scaled_bar / params.step[jnp.newaxis]
        step_bar = -jnp.sum(
            x_bar * (x - params.low[jnp.newaxis]) / params.step[jnp.newaxis], axis=0
        )
        bars = bars._replace(low=-x_bar.sum(axis=0), step=step_bar)
        return bars, x_bar.astype(inputs.dtype)


def _units_bar(
    layer: Boxes, params: BoxParams, corner: _Corner, weighted: Array
) -> tuple[Array, Array, Array]:
    """The cotangents of units, lengths and local coordinates from hidden_bar * psi (n, m)."""
    if layer.kernel == SINE:
        z_bar = sum(jnp.split(weighted, 2, axis=1))
        return corner.local.T @ z_bar, jnp.zeros_like(params.lengths), z_bar @ params.units.T
    difference = corner.local[:, jnp.newaxis] - params.units[corner.box]
    lengths = params.lengths[jnp.newaxis, jnp.newaxis]
    moved = weighted[:, :, jnp.newaxis] * difference / lengths**2
    units_bar = jnp.zeros_like(params.units).at[corner.box].add(moved)
    lengths_bar = jnp.sum(moved * difference, axis=(0, 1)) / params.lengths
    return units_bar, lengths_bar, -moved.sum(axis=1)


_outputs.defvjp(_forward, _backward)


class Grid(NamedTuple):
    """A grid of overlapping boxes over rows."""

    low: np.ndarray
    step: np.ndarray
    counts: tuple[int, ...]

    def local(self, x: np.ndarray, index: tuple[int, ...]) -> np.ndarray:
        """Coordinates in one box, from -1 to 1 inside."""
        return (x - self.low) / self.step - 0.5 - np.array(index)


def make_grid(x: np.ndarray, rows_per_box: float) -> Grid:
    """Boxes that hold so many rows on average; inputs that do not vary have one."""
    low, extent = x.min(axis=0), np.ptp(x, axis=0)
    moving = extent > 0
    d = int(moving.sum())
    side = max(1, round(2 * (len(x) / rows_per_box) ** (1 / d)))
    counts = tuple(int(side) if one else 1 for one in moving)
    step = np.where(moving, extent / np.array(counts), 1.0)
    return Grid(low, step, counts)


def _rows_of_boxes(grid: Grid, x: np.ndarray, least: int) -> Iterator[np.ndarray]:
    """The rows inside each box, or the nearest where they are fewer than `least`."""
    tree = cKDTree((x - grid.low) / grid.step - 0.5)
    for index in np.ndindex(grid.counts):
        rows = np.array(sorted(tree.query_ball_point(index, 1.0, p=np.inf)), int)
        if len(rows) < least:
            rows = np.atleast_1d(tree.query(index, min(least, len(x)))[1])
        yield rows


def fit_sines(batch: Batch, units: int, radius: float) -> Term:
    """Solve boxes of sine units, whose frequencies fill a ball of this radius."""
    x, targets = (np.asarray(part) for part in batch)
    grid = make_grid(x, ROWS_PER_UNIT * units)
    frequencies = np.zeros((x.shape[1], units // 2))
    moving = np.flatnonzero(np.ptp(x, axis=0) > 0)
    frequencies[moving] = ball_frequencies(len(moving), units // 2, radius)
    weights, trends = [], []
    rows_of_boxes = _rows_of_boxes(grid, x, int(1.5 * units))
    for index, rows in zip(np.ndindex(grid.counts), rows_of_boxes, strict=True):
        z = grid.local(x[rows], index) @ frequencies
        hidden = np.concatenate([np.sin(z), np.cos(z)], axis=1)
        mean = targets[rows].mean(axis=0)
        weights.append(
            scipy.linalg.lstsq(hidden, targets[rows] - mean, cond=CUT, lapack_driver="gelsy")[0]
        )
        trends.append(mean[np.newaxis])
    known = (grid.low, grid.step, frequencies, np.ones(x.shape[1]))
    params = BoxParams(*known, np.stack(weights), np.stack(trends))
    sizes = (x.shape[1], units, targets.shape[1])
    return Term(Boxes(SINE, sizes, grid.counts), params, np.ones(sizes[2]))


def fit_distances(batch: Batch) -> Term | None:
    """Solve boxes of distance units, kernel and lengths by the evidence of two neighbourhoods."""
    x, targets = (np.asarray(part) for part in batch)
    grid = make_grid(x, LOCAL_ROWS)
    boxes = list(_rows_of_boxes(grid, x, LEAST_LOCAL_ROWS))
    most = max(map(len, boxes))
    if most > MOST_LOCAL_ROWS:
        return None
    kernel, theta = _local_evidence(grid, x, targets)
    d, k = x.shape[1], targets.shape[1]
    centres, weights = np.zeros((len(boxes), most, d)), np.zeros((len(boxes), most, k))
    trends = np.zeros((len(boxes), 1 + d, k))
    for b, (index, rows) in enumerate(zip(np.ndindex(grid.counts), boxes, strict=True)):
        local = Kriging(kernel, grid.local(x[rows], index), targets[rows])
        solved = local.solve(theta)
        centres[b, : len(rows)] = local.x
        weights[b, : len(rows)], trends[b] = solved.weight, solved.trend
    params = BoxParams(grid.low, grid.step, centres, np.exp(theta[:-1]), weights, trends)
    return Term(Boxes(kernel, (d, most, k), grid.counts), params, np.ones(k))


def _local_evidence(grid: Grid, x: np.ndarray, targets: np.ndarray) -> tuple[str, np.ndarray]:
    """Kernel, lengths in units of the step and noise, the mean over two neighbourhoods."""
    scaled = x / grid.step
    tree = cKDTree(scaled)
    places = [tree.query(scaled[i], min(EVIDENCE_ROWS, len(x)))[1] for i in (0, len(x) // 2)]
    found = []
    for kernel in LOCAL_KERNELS:
        fits = [Kriging(kernel, scaled[rows], targets[rows]) for rows in places]
        theta = np.mean([fit.search(EVALUATIONS) for fit in fits], axis=0)
        error = np.mean([rms(fit.solve(theta).left_out) for fit in fits])
        found.append((error, kernel, theta))
    return min(found, key=lambda one: one[0])[1:]


def usual_radius(num_inputs: int, units: int) -> float:
    """The radius whose ball has a given number of independent functions on a box of side 2."""
    ball = math.pi ** (num_inputs / 2) / math.gamma(num_inputs / 2 + 1)
    return math.pi * (USUAL * units / ball) ** (1 / num_inputs)


def try_boxes(rows: Rows, num_inputs: int, budget: Budget, rough: bool) -> Iterator[Trial]:
    """Try boxes of distance units where much is left, and of sine units where little is."""
    num_rows = len(rows.train.inputs)
    if rough:
        each = 6.0 * LOCAL_ROWS**2 * 2**num_inputs
        most = int(0.5 * budget.left / each)
        if budget.allows(min(num_rows, most) * each, overhead=1.0):
            yield from _trial(rows, most, fit_distances)
        return
    best: tuple[float, float] = (math.inf, 1.0)
    for units in UNITS:
        factors = RADII if units == UNITS[0] else (best[1],)
        for factor in factors:
            each = 4.0 * 2**num_inputs * units**2
            most = int(0.1 * budget.left / each)
            operations = min(num_rows, most) * each
            if num_rows < 2 * ROWS_PER_UNIT * units or not budget.allows(operations, operations):
                return
            radius = factor * usual_radius(num_inputs, units)
            for trial in _trial(rows, most, partial(fit_sines, units=units, radius=radius)):
                best = min(best, (trial.candidate.held_out, factor))
                yield trial


def _trial(rows: Rows, most: int, fit: Any) -> Iterator[Trial]:
    """Fit to the training rows, at most so many."""
    start = time.perf_counter()
    term = fit(Batch(*(part[:most] for part in rows.train)))
    if term is None:
        return
    predictions = np.asarray(jax.jit(lambda x: term(x))(rows.held_out.inputs))
    error = rms(predictions - np.asarray(rows.held_out.targets))
    found = Candidate(str(term), error, time.perf_counter() - start)
    some = most if len(rows.train.inputs) > most else len(rows.every.inputs)

    def refit(every: Batch) -> Terms:
        return (fit(Batch(*(part[:some] for part in every))),)

    yield Trial(found, (term,), predictions, refit)
