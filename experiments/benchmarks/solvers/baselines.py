"""Baselines that are not networks: polynomials, radial functions, Gaussian processes, trees."""

import contextlib
import math
import time
import warnings
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from solvers.networks import function_networks, surface_networks
from solvers.problems import Problem
from solvers.rules import Fitted, Predict, Solver, best_of, chosen, direct

DEGREES = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 70, 80)
NEIGHBORS = (30, 60, 100, 150, 200)
LOCAL_KERNELS = {"cubic": 1.0, "thin_plate_spline": 1.0, "quintic": 1.0}
LOCAL_SHAPES = (0.35, 1.0, 3.0)  # of Gaussian kernels
SHAPES = (0.4, 0.2, 0.1, 0.05, 0.025)  # of Gaussian kernels over all samples
FAILED = 1e12  # stands for an energy that is not finite
FIRST_ROWS = 300  # samples for the first search of a Gaussian process's length scales
SMOOTHNESS = {"RBF": math.inf, "Matern 5/2": 2.5, "Matern 3/2": 1.5}  # nu of the kernels


def surface_baselines() -> dict[str, Solver]:
    """For surfaces."""
    polynomials = {f"degree {degree}": direct(partial(_chebyshev, degree)) for degree in DEGREES}
    kernels = [*LOCAL_KERNELS.items(), *(("gaussian", shape) for shape in LOCAL_SHAPES)]
    splines = {
        f"{kernel} {shape:g}, {count} neighbors": direct(partial(_rbf, kernel, shape, count))
        for count in NEIGHBORS
        for kernel, shape in kernels
    }
    return surface_networks() | {"Chebyshev": chosen(polynomials), "scipy RBF": chosen(splines)}


def function_baselines() -> dict[str, Solver]:
    """For functions of several inputs."""
    kernels = [("cubic", 1.0), ("quintic", 1.0), *(("gaussian", shape) for shape in SHAPES)]
    splines = {f"{some[0]} {some[1]:g}": direct(partial(_rbf, *some, None)) for some in kernels}
    trees = {
        f"exact splits, depth {depth}": direct(partial(_trees, None, depth)) for depth in (3, 4, 5)
    }
    trees |= {
        f"histograms, {leaves} leaves": direct(partial(_trees, leaves, None)) for leaves in (4, 8)
    }
    processes = {f"ARD {name}": partial(_gaussian_process, nu) for name, nu in SMOOTHNESS.items()}
    return function_networks() | {
        "scipy RBF": chosen(splines),
        "gradient boosting": chosen(trees),
        "Gaussian process": best_of(processes),
    }


def _chebyshev(degree: int, problem: Problem) -> Predict:
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

    coefficients = lstsq(basis(problem.train.points), problem.train.values, lapack_driver="gelsy")[
        0
    ]
    return lambda points: basis(points) @ coefficients


def _rbf(kernel: str, epsilon: float, neighbors: int | None, problem: Problem) -> Predict:
    """SciPy's interpolation of all samples, or of the nearest ones when predicting."""
    from scipy.interpolate import RBFInterpolator

    count = None if neighbors is None else min(neighbors, len(problem.train.points))
    return RBFInterpolator(*problem.train, kernel=kernel, epsilon=epsilon, neighbors=count)


def _trees(leaves: int | None, depth: int | None, problem: Problem) -> Predict:
    """Gradient boosting in scikit-learn's two forms, 500 trees at a rate of 0.1."""
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor

    if depth is not None:
        options: dict[str, Any] = {"n_estimators": 500, "max_depth": depth, "subsample": 0.5}
        return (
            GradientBoostingRegressor(random_state=problem.seed, **options)
            .fit(*problem.train)
            .predict
        )
    options = {"max_iter": 500, "max_leaf_nodes": leaves, "min_samples_leaf": 5}
    with threadpool_limits(1, "openmp"):  # so few samples are not worth a second thread
        return (
            HistGradientBoostingRegressor(random_state=problem.seed, **options)
            .fit(*problem.train)
            .predict
        )


def _gaussian_process(nu: float, problem: Problem, seconds: float) -> Fitted:
    """Length scales by the marginal likelihood, first on some samples, then on all."""
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    start = time.perf_counter()

    def optimizer(
        deadline: float, objective: Any, theta: np.ndarray, bounds: np.ndarray
    ) -> tuple[np.ndarray, float]:
        tried: list[tuple[float, np.ndarray]] = []
        longest = 0.0

        def timed(theta: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal longest
            begun = time.perf_counter()
            if tried and begun + 2 * longest > deadline:  # the last factorization takes time, too
                raise TimeoutError
            value, gradient = objective(theta)
            longest = max(longest, time.perf_counter() - begun)
            if not np.isfinite(value):  # a matrix that cannot be factorized
                return FAILED, np.zeros_like(theta)
            tried.append((value, theta.copy()))
            return value, gradient

        with contextlib.suppress(TimeoutError):  # the best of those tried is what there is
            minimize(timed, theta, jac=True, method="L-BFGS-B", bounds=bounds)
        if not tried:
            raise np.linalg.LinAlgError
        value, best = min(tried, key=lambda pair: pair[0])
        return best, value

    num_inputs = problem.num_inputs
    scales = Matern(np.full(num_inputs, num_inputs**0.5), (1e-2, 1e4), nu=nu)
    first = ConstantKernel(1.0, (1e-3, 1e6)) * scales
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a length scale at its bound, as that of an input that does not matter
        found: list[Any] = []
        # Scales found on some samples can be too smooth for the matrix of all: start again, too.
        for rows, share in ((FIRST_ROWS, 0.3), (None, 0.65), (None, 1.0)):
            begin = found[0].kernel_ if len(found) == 1 else first
            for alpha in (1e-10, 1e-8, 1e-6):
                search = partial(optimizer, start + share * seconds)
                process = GaussianProcessRegressor(
                    begin, alpha=alpha, normalize_y=True, optimizer=search
                )
                with contextlib.suppress(np.linalg.LinAlgError):
                    found.append(process.fit(*(some[:rows] for some in problem.train)))
                    break
        best = max(found[1:] or found, key=lambda process: process.log_marginal_likelihood_value_)
    return Fitted(best.predict, time.perf_counter() - start)
