"""Solvers for `compare_solvers`, fit_model and others, and the problems that they get.

A solver gets a problem in standard units and seconds to train in. Settings are chosen by the error
on a fifth of the samples; the last fit, on all of them, comes on top of the seconds, so that no
setting is too slow to be taken.
"""

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxbp
from data import FUNCTIONS, SURFACES, Samples, sample_surface
from jaxbp.fitting import standardizer

NUM_TEST = 10_000  # points that the error is measured on
DEGREES = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80)
NEIGHBORS = (30, 60, 100, 150, 200)
KERNELS = (("cubic", 1.0), ("thin_plate_spline", 1.0), ("quintic", 1.0))
LOCAL_KERNELS = (*KERNELS, *(("gaussian", shape) for shape in (0.35, 1.0, 3.0)))
GLOBAL_KERNELS = (*KERNELS, *(("gaussian", shape) for shape in (0.4, 0.2, 0.1, 0.05, 0.025)))
NLLS_SETTINGS = (((8, 8), 100), ((16, 16), 30), ((16, 16), 100), ((32, 32), 30))
SMOOTHNESS = {"RBF": math.inf, "Matern 5/2": 2.5, "Matern 3/2": 1.5}  # nu of the kernels
FIRST_ROWS, SEARCH_STEPS = 300, 50  # of the search of a Gaussian process's length scales


class Problem(NamedTuple):
    """A function to fit, inputs and outputs standardized by its training samples.

    Attributes:
        train: points (n, d) and values (n,) to train on.
        test: points for the error; none was trained on.
        seed: for a solver's random numbers.
    """

    train: Samples
    test: Samples
    seed: int

    def error(self, predict: "Predict") -> float:
        """Return the RMSE of predictions at the test points over the standard deviation there."""
        error = np.asarray(predict(self.test.points), np.float64).reshape(-1) - self.test.values
        return float(np.sqrt(np.mean(error**2)) / self.test.values.std())

    def split(self) -> "Problem":
        """Return the problem with a fifth of its own samples to test on, to choose settings by."""
        order = np.random.RandomState(self.seed).permutation(len(self.train.values))
        test, train = (
            Samples(self.train.points[rows], self.train.values[rows])
            for rows in np.split(order, [len(order) // 5])
        )
        return Problem(train, test, self.seed)


Predict = Callable[[np.ndarray], np.ndarray]  # points (m, d) in standard units -> values
Fit = Callable[[Problem], Predict]
Solver = Callable[[Problem, float], tuple[Predict, float, str]]  # also seconds taken, settings


def standardized(train: Samples, test: Samples, seed: int) -> Problem:
    """Return a problem from samples in their own units."""
    inner, outer = standardizer(train.points), standardizer(train.values[:, np.newaxis])
    train, test = (
        Samples(inner.standardize(x), outer.standardize(y[:, np.newaxis])[:, 0])
        for x, y in (train, test)
    )
    return Problem(train, test, seed)


def surface_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Sample a surface; `NUM_TEST` points of a grid that are not trained on are the test."""
    generator = np.random.RandomState(seed)
    task = sample_surface(SURFACES[name], num_samples, generator)
    chosen = generator.permutation(np.flatnonzero(task.scored))[:NUM_TEST]
    return standardized(task.train, Samples(*(some[chosen] for some in task.test)), seed)


def function_problem(name: str, num_samples: int, seed: int) -> Problem:
    """Sample a function at uniform points; `NUM_TEST` others are the test."""
    row, generator = FUNCTIONS[name], np.random.RandomState(seed)
    drawn = (row.sample(generator, count) for count in (num_samples, NUM_TEST))
    train, test = (Samples(points, row.function(points)) for points in drawn)
    return standardized(train, test, seed)


def surface_solvers() -> dict[str, Solver]:
    """For surfaces."""
    splines = {
        f"{kernel} {shape:g}, {count} neighbors": partial(rbf, kernel, shape, count)
        for count in NEIGHBORS
        for kernel, shape in LOCAL_KERNELS
    }
    polynomials = {f"degree {degree}": partial(chebyshev, degree) for degree in DEGREES}
    return {
        "jaxbp": fit_model,
        "Chebyshev": partial(chosen, polynomials),
        "scipy RBF": partial(chosen, splines),
    }


def function_solvers() -> dict[str, Solver]:
    """For functions of several inputs."""
    splines = {f"{some[0]} {some[1]:g}": partial(rbf, *some, None) for some in GLOBAL_KERNELS}
    networks = {
        f"tanh {'-'.join(map(str, hidden))}, {steps} steps": partial(nlls_gram, hidden, steps)
        for hidden, steps in NLLS_SETTINGS
    }
    processes = {f"ARD {name}": partial(gaussian_process, nu) for name, nu in SMOOTHNESS.items()}
    found: dict[str, Solver] = {
        "jaxbp": fit_model,
        "scipy RBF": partial(chosen, splines),
        "Gaussian process": partial(chosen, processes),
    }
    return found | ({"nlls-gram": partial(chosen, networks)} if find_spec("nlls_gram") else {})


def chosen(fits: Mapping[str, Fit], problem: Problem, seconds: float) -> tuple[Predict, float, str]:
    """Fit by the setting with the least validation error among those tried in the time.

    Settings run in the order given, cheap ones first; singular equations rule one out.
    """
    start, trial = time.perf_counter(), problem.split()
    errors: dict[str, float] = {}
    for settings, fit in fits.items():
        if errors and time.perf_counter() - start > seconds:
            break
        with contextlib.suppress(np.linalg.LinAlgError):
            errors[settings] = float(np.nan_to_num(trial.error(fit(trial)), nan=math.inf))
    for settings in sorted(errors, key=errors.__getitem__):
        with contextlib.suppress(np.linalg.LinAlgError):
            return fits[settings](problem), time.perf_counter() - start, settings
    raise np.linalg.LinAlgError("every setting has singular equations")


def fit_model(problem: Problem, seconds: float) -> tuple[Predict, float, str]:
    """The library's own choice; its seconds are wall time, compilation included."""
    start = time.perf_counter()
    model = jaxbp.fit_model(*problem.train, seconds=seconds, seed=problem.seed)
    return model, time.perf_counter() - start, next(one.name for one in model.history if one.chosen)


def chebyshev(degree: int, problem: Problem) -> Predict:
    """Least squares on products of Chebyshev polynomials of a total degree, by pivoted QR."""
    from numpy.polynomial.chebyshev import chebvander
    from scipy.linalg import lstsq

    low, high = problem.train.points.min(axis=0), problem.train.points.max(axis=0)
    margin = (high - low) / len(problem.train.points)  # random points do not reach the border
    powers = np.arange(degree + 1)
    first, second = np.nonzero(powers[:, np.newaxis] + powers <= degree)

    def basis(points: np.ndarray) -> np.ndarray:
        x, y = ((2 * points - low - high) / (high - low + 2 * margin)).T
        return chebvander(x, degree)[:, first] * chebvander(y, degree)[:, second]

    solved = lstsq(basis(problem.train.points), problem.train.values, lapack_driver="gelsy")
    return lambda points: basis(points) @ solved[0]


def rbf(kernel: str, epsilon: float, neighbors: int | None, problem: Problem) -> Predict:
    """SciPy's interpolation of all samples, or of the nearest ones when predicting."""
    from scipy.interpolate import RBFInterpolator

    count = None if neighbors is None else min(neighbors, len(problem.train.points))
    return RBFInterpolator(*problem.train, kernel=kernel, epsilon=epsilon, neighbors=count)


def nlls_gram(hidden: tuple[int, ...], steps: int, problem: Problem) -> Predict:
    """Levenberg-Marquardt with geodesic acceleration and QR on all samples, from jaxbp's start."""
    from nlls_gram import QR, LevenbergMarquardt

    mlp = jaxbp.Mlp((problem.train.points.shape[1], *hidden, 1), hidden="tanh")
    params: Any = jaxbp.init(mlp, jax.random.key(problem.seed), "glorot", dtype=jnp.float64)
    data = tuple(map(jnp.asarray, problem.train))

    def residual(params: Any, data: Any) -> Any:
        return jaxbp.reference_predict(mlp, params, data[0])[:, 0] - data[1]

    solver = LevenbergMarquardt(residual, linear_solver=QR())
    state, update = solver.init(params, data), jax.jit(solver.update)
    for _ in range(steps):
        params, state, _ = update(params, state, data)
    return jax.jit(partial(jaxbp.reference_predict, mlp, params))


def gaussian_process(nu: float, problem: Problem) -> Predict:
    """scikit-learn's, a length scale for each input by marginal likelihood.

    The search uses a part of the samples first, then all of them.
    """
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    def search(objective: Any, theta: np.ndarray, bounds: Any) -> tuple[np.ndarray, float]:
        def finite(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = objective(theta)
            return (value if np.isfinite(value) else 1e12), gradient  # a singular matrix

        options = {"maxfun": SEARCH_STEPS}
        found = minimize(finite, theta, jac=True, bounds=bounds, options=options)
        return found.x, found.fun

    d = problem.train.points.shape[1]
    scales = Matern(np.full(d, d**0.5), (1e-2, 1e4), nu=nu)
    kernel: Any = ConstantKernel(1.0, (1e-3, 1e6)) * scales
    options: dict[str, Any] = {"normalize_y": True, "optimizer": search}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length scale at its bound: an input without effect
        for rows in (FIRST_ROWS, None):
            process = GaussianProcessRegressor(kernel, **options)
            process.fit(*(some[:rows] for some in problem.train))
            kernel = process.kernel_
    return process.predict
