"""Compare fit_model with interpolators and Gaussian processes on curves, few rows and any spacing.

Twelve curves, with 6 to 250 rows, spaced evenly, at random, in logarithms or in clusters; with
--functions well-known functions of two to ten inputs, at rows spread at random. Each baseline is
fitted with its own settings, and the best of them *by the true error* is what fit_model is compared
with: a choice that none of them could make from the rows. Errors below 1e-7 of the standard
deviation count as 1e-7. Reported are the ratio of the errors, the coverage of 90 % intervals and
the claimed error over the true one. All of it takes hours; --rows, --spacings and --draws take a
part.
"""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.experiment import Common, begin, finish, run

import numpy as np
from scipy.interpolate import (
    CloughTocher2DInterpolator,
    CubicSpline,
    NearestNDInterpolator,
    RBFInterpolator,
    make_smoothing_spline,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel

import jaxbp
from data.functions import FUNCTIONS as ENGINEERS
from data.surfaces import franke

SMALLEST = 1e-7  # of the standard deviation: smaller errors count as this
CURVES: dict[str, tuple[float, float, float, Callable[[np.ndarray], np.ndarray]]] = {
    "logistic": (0.02, 6, 0, lambda x: 1 / (1 + np.exp(-4 * (x - 2.5)))),
    "saturation": (0.01, 100, 0, lambda x: x / (1 + x)),
    "logarithm": (1, 1e4, 0, np.log),
    "power": (0.1, 10, 0, lambda x: x**0.37),
    "exponential": (0.05, 5, 0, lambda x: np.exp(1.3 * x)),
    "step": (0.01, 1, 0, lambda x: np.tanh(15 * (x - 0.4))),
    "resonance": (0.1, 3, 0, lambda x: 1 / np.hypot(1 - x * x, 0.15 * x)),
    "three periods": (0.01, 1, 0, lambda x: np.exp(-2 * x) * np.sin(6 * np.pi * x)),
    "nine periods": (0.01, 1, 0, lambda x: np.exp(-2 * x) * np.sin(18 * np.pi * x)),
    "kink": (0.1, 4, 0, lambda x: np.abs(x - 1.7) + 0.3 * x),
    "noisy wave": (0.1, 6, 0.1, lambda x: np.sin(1.5 * x) + 0.2 * x),
    "noisy logistic": (0.1, 6, 0.02, lambda x: 1 / (1 + np.exp(-4 * (x - 2.5)))),
}


def ishigami(p: np.ndarray) -> np.ndarray:
    """Return sin a + 7 sin^2 b + 0.1 c^4 sin a, angles from -pi to pi (Ishigami and Homma 1990)."""
    a, b, c = np.pi * (2 * p.T - 1)
    return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)


def robot_arm(p: np.ndarray) -> np.ndarray:
    """Return the distance of the end of an arm of two links from its base (An and Owen 2001)."""
    angles, lengths = np.cumsum(2 * np.pi * p[:, :2], axis=1), p[:, 2:]
    return np.hypot(*(np.sum(lengths * wave(angles), axis=1) for wave in (np.cos, np.sin)))


def piston(p: np.ndarray) -> np.ndarray:
    """Return the cycle time of a piston (Kenett and Zacks 1998)."""
    low = np.array([30, 0.005, 0.002, 1000, 90_000, 290, 340])
    high = np.array([60, 0.02, 0.01, 5000, 110_000, 296, 360])
    mass, area, volume, spring, pressure, ambient, gas = (low + p * (high - low)).T
    force = pressure * area + 19.62 * mass - spring * volume / area
    heat = pressure * volume / gas * ambient
    now = area / (2 * spring) * (np.sqrt(force**2 + 4 * spring * heat) - force)
    return 2 * np.pi * np.sqrt(mass / (spring + area**2 * heat / now**2))


def branin(p: np.ndarray) -> np.ndarray:
    """Return Branin's function over its usual box (Dixon and Szego 1978)."""
    x, y = 15 * p[:, 0] - 5, 15 * p[:, 1]
    parabola = y - 5.1 * x**2 / (4 * np.pi**2) + 5 * x / np.pi - 6
    return parabola**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10


def in_units(name: str) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """Return an engineers' function of points of the unit cube, and its number of inputs."""
    function, ranges = ENGINEERS[name]
    low, high = np.array(list(ranges.values())).T
    return lambda p: function(low + p * (high - low)), len(low)


SHAPES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "franke": (lambda p: franke(*p.T), 2),
    "branin": (branin, 2),
    "cone": (lambda p: np.hypot(p[:, 0] - 0.4, p[:, 1] - 0.6), 2),
    "fold": (lambda p: np.abs(p @ [1.0, 0.6] - 0.8) + 0.3 * p[:, 1], 2),
    "ishigami": (ishigami, 3),
    "front": (lambda p: np.tanh(12 * p @ [1.0, -1.0, 0.3]), 3),
    "wave": (lambda p: np.sin(2 * p.sum(axis=1)), 4),
    "robot arm": (robot_arm, 4),
    "friedman": in_units("friedman"),
    "OTL circuit": in_units("otl_circuit"),
    "piston": (piston, 7),
    "borehole": in_units("borehole"),
    "wing weight": in_units("wing_weight"),
}


@dataclass(frozen=True)
class Config(Common):
    """Flags of the comparison."""

    rows: tuple[int, ...] = (6, 8, 12, 25, 40, 60, 120, 250)
    """Numbers of rows."""
    spacings: tuple[str, ...] = ("even", "random", "logarithmic", "clustered")
    """Layouts of the rows."""
    draws: int = 5
    """Draws of each case."""
    functions: bool = False
    """Functions of several inputs in place of curves."""


def main(config: Config) -> None:
    """Compare on every case and print the ratios for each number of rows."""
    folder = begin(config)
    found: list[dict[str, Any]] = []
    names, spacings = (SHAPES, ("random",)) if config.functions else (CURVES, config.spacings)
    for name in names:
        for num_rows in config.rows:
            for spacing in spacings:
                for draw in range(config.draws):
                    seed = [config.seed, list(names).index(name), num_rows, draw]
                    found.append(compare(name, num_rows, spacing, np.random.default_rng(seed)))
        if not config.quiet:
            own = [one for one in found if one["curve"] == name]
            print(f"{name}: {summary(own)}", flush=True)
    print(f"all {len(found)} cases: {summary(found)}")
    for one in sorted(found, key=lambda one: -one["ratio"])[:5]:
        print(
            f"  {one['ratio']:.3g} times {one['best']}: {one['curve']}, {one['rows']} rows, "
            f"{one['spacing']}, {one['chosen']}"
        )
    finish(config, folder, "compare_fits", {"cases": found}, {})


def compare(
    name: str, num_rows: int, spacing: str, generator: np.random.Generator
) -> dict[str, Any]:
    """Fit one case by fit_model and by every baseline."""
    noise = CURVES[name][2] if name in CURVES else 0.0
    x, new, function = sample(name, num_rows, spacing, generator)
    values, true = function(x) + noise * generator.standard_normal(num_rows), function(new)
    start = time.perf_counter()
    model = jaxbp.fit_model(x, values)
    seconds = time.perf_counter() - start
    predicted = model(new)
    lower, upper = model.interval(new)
    observed = true + noise * generator.standard_normal(len(new))
    deviation = true.std()
    fits = baselines(x.shape[1]).items()
    errors = {other: rms(fit(x, values, new) - true) for other, fit in fits}
    best = min(errors, key=lambda other: errors[other])
    error = rms(predicted - true)
    floor = SMALLEST * deviation
    return {
        "curve": name,
        "rows": num_rows,
        "spacing": spacing,
        "chosen": next(one.name for one in model.history if one.chosen),
        "error": error / deviation,
        "best": best,
        "best_error": errors[best] / deviation,
        "ratio": max(error, floor) / max(errors[best], floor),
        "claimed_over_true": max(model.error, floor) / max(rms(predicted - observed), floor),
        "coverage": float(np.mean((observed >= lower) & (observed <= upper))),
        "seconds": seconds,
    }


def sample(
    name: str, num_rows: int, spacing: str, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return rows (n, d), new points (p, d) and the function of both."""
    if name in SHAPES:
        function, num_inputs = SHAPES[name]
        return (
            generator.random((num_rows, num_inputs)),
            generator.random((1000, num_inputs)),
            function,
        )
    low, high, _, curve = CURVES[name]
    x = space(low, high, spacing, num_rows, generator)
    new = np.geomspace(low, high, 401) if spacing == "logarithmic" else np.linspace(low, high, 401)
    if spacing == "clustered":
        new = np.linspace(x[0], x[-1], 401)
    return x[:, np.newaxis], new[:, np.newaxis], lambda points: curve(points[:, 0])


def space(
    low: float, high: float, spacing: str, num_rows: int, generator: np.random.Generator
) -> np.ndarray:
    """Return ordered abscissas of one layout."""
    if spacing == "even":
        return np.linspace(low, high, num_rows)
    if spacing == "random":
        return np.sort(generator.uniform(low, high, num_rows))
    if spacing == "logarithmic":
        return np.geomspace(low, high, num_rows)
    centres = generator.uniform(low, high, 3)[np.arange(num_rows) % 3]
    x = centres + 0.06 * (high - low) * generator.standard_normal(num_rows)
    return np.sort(np.clip(x, low, high) + 1e-4 * (high - low) * generator.random(num_rows))


def baselines(num_inputs: int) -> dict[str, Callable[..., np.ndarray]]:
    """Return (x, values, new) -> predictions, in standard units inside."""
    fits: dict[str, Callable[..., np.ndarray]] = {}
    if num_inputs == 1:
        fits["cubic spline"] = lambda x, y, new: CubicSpline(x[:, 0], y)(new[:, 0])
        fits["smoothing spline"] = lambda x, y, new: make_smoothing_spline(x[:, 0], y)(new[:, 0])
    if num_inputs == 2:
        fits["Clough-Tocher"] = clough_tocher
    for kernel in ("cubic", "thin_plate_spline", "quintic"):
        fits[f"RBF {kernel}"] = lambda x, y, new, kernel=kernel: RBFInterpolator(
            x, y, kernel=kernel
        )(new)
    for width in (0.3, 1.0, 3.0, 10.0):
        fits[f"RBF Gaussian {width:g}"] = lambda x, y, new, width=width: RBFInterpolator(
            x, y, kernel="gaussian", epsilon=width
        )(new)
    bounds, lengths = (1e-2, 1e2 if num_inputs == 1 else 1e3), np.ones(num_inputs)
    for name, kernel in (
        ("RBF", RBF(lengths, bounds)),
        ("Matern 3/2", Matern(lengths, bounds, 1.5)),
        ("Matern 5/2", Matern(lengths, bounds, 2.5)),
    ):
        whole = ConstantKernel(1.0, (1e-3, 1e5)) * kernel + WhiteKernel(1e-4, (1e-11, 10))
        fits[f"Gaussian process {name}"] = lambda x, y, new, whole=whole: (
            GaussianProcessRegressor(whole, n_restarts_optimizer=1, random_state=0)
            .fit(x, y)
            .predict(new)
        )
    return {name: standardized(fit) for name, fit in fits.items()}


def clough_tocher(x: np.ndarray, values: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Interpolate on triangles; outside of them the nearest row counts."""
    inside = CloughTocher2DInterpolator(x, values)(new)
    return np.where(np.isnan(inside), NearestNDInterpolator(x, values)(new), inside)


def standardized(fit: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Wrap a baseline: standard units, and NaN where it fails."""

    def wrapped(x: np.ndarray, values: np.ndarray, new: np.ndarray) -> np.ndarray:
        moved = [(some - x.mean(axis=0)) / x.std(axis=0) for some in (x, new)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                predicted = fit(moved[0], (values - values.mean()) / values.std(), moved[1])
            except (ValueError, np.linalg.LinAlgError):
                return np.full(len(new), np.nan)
        return predicted * values.std() + values.mean()

    return wrapped


def rms(error: np.ndarray) -> float:
    """Return the root mean square, infinite where it is not finite."""
    value = float(np.sqrt(np.mean(error**2)))
    return value if np.isfinite(value) else float("inf")


def summary(found: list[dict[str, Any]]) -> str:
    """Return ratios, coverage and claims in one line."""
    ratios, claims = (
        np.array([one[key] for one in found]) for key in ("ratio", "claimed_over_true")
    )
    return (
        f"error over the best baseline's: worst {ratios.max():.3g}, 95th percentile "
        f"{np.quantile(ratios, 0.95):.3g}, geometric mean {np.exp(np.log(ratios).mean()):.3g}; "
        f"coverage {np.mean([one['coverage'] for one in found]):.2f}; claimed over true "
        f"{np.quantile(claims, 0.05):.2g} to {np.quantile(claims, 0.95):.2g}; "
        f"longest {max(one['seconds'] for one in found):.1f} s"
    )


if __name__ == "__main__":
    run(main, Config)
