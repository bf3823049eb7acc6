"""Kriging in closed form: the evidence of its lengths and noise, and leave-one-out errors.

With the kernel matrix Phi of the rows, the polynomial F beside it and the noise share v,

    K = Phi + v I,   F = Q [R; 0],   Q = [Q_1 Z]         Z spans what the polynomial cannot reach
    a = (Z^T K Z)^-1 Z^T T,   weight = Z a,   P = Z (Z^T K Z)^-1 Z^T
    E = m/2 sum over outputs of log(T^T P T) + k/2 log det(Z^T K Z),   m = n - t
    leave-one-out error e_i = weight_i / P_ii,   its variance s^2 / P_ii,   s^2 = T^T P T / m

E is the negative restricted log evidence, the amplitude s of each output at its best. Its gradient
with respect to a metric A, distances being |A^T (x_i - x_j)|, is written by hand:

    G = Z (k/2 (Z^T K Z)^-1 - sum m/2 a a^T / T^T P T) Z^T,   dE/dlog v = v tr G
    dE/dA = -sum over i, j of G_ij psi_ij (x_i - x_j) (x_i - x_j)^T A

A length l_i for each input is A = diag(1 / l).

Legend: n rows, d inputs, k outputs, t terms of the polynomial; theta = log of (l (d,), v).

References:
    Rasmussen and Williams 2006, sections 2.7, 5.4.1, 5.4.2; Dubrule 1983, Mathematical Geology 15
    (leave-one-out); Handcock and Stein 1993 (restricted evidence).
"""

from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular
from scipy.optimize import minimize

from jaxbp.fitting.distance import KERNELS, PRODUCT, evaluate, monomials

LEAST_NOISE = 1e-13  # of the amplitude squared: below it the Cholesky factorization fails
FAILED = 1e10  # stands for an evidence that cannot be computed
LENGTHS = (0.5, 1.5)  # mean, beside log sqrt(d), and deviation of the wide normal prior on log l
NOISE = (float(np.log(1e-6)), 8.0)  # the same of log v
STARTS = tuple(
    (length, noise) for length in (0.1, 0.3, 1.0, 3.0) for noise in (1e-10, 1e-4, 1e-2, 1.0)
)
SCALE_FREE = tuple((1.0, noise) for noise in (1e-10, 1e-4, 1e-2, 1.0))


class Kriging:
    """Rows and a kernel; `search` chooses theta, `solve` gives weights and errors."""

    def __init__(self, kernel: str, x: np.ndarray, targets: np.ndarray) -> None:
        """Factors the polynomial, of the degree that the kernel needs and the rows allow.

        Args:
            kernel: as in `Distance`.
            x: (n, d) in standard units.
            targets: (n, k) in standard units.
        """
        self.kernel, self.x, self.targets = kernel, x, targets
        needed = KERNELS[kernel].degree if kernel != PRODUCT else 0
        self.degree = needed if len(x) > 2 * (1 + x.shape[1]) or needed > 1 else 0
        self.polynomial = np.concatenate(monomials(np, x, self.degree), axis=1)
        self.reflectors = lapack.dgeqrf(self.polynomial)[:2]
        self.projected = self._project(targets)

    def _multiply(self, columns: np.ndarray, transpose: str) -> np.ndarray:
        columns = np.asfortranarray(columns)
        work = int(lapack.dormqr("L", transpose, *self.reflectors, columns, -1)[1][0])
        return lapack.dormqr("L", transpose, *self.reflectors, columns, work)[0]

    def _project(self, columns: np.ndarray) -> np.ndarray:
        """Z^T times columns (n, c)."""
        return self._multiply(columns, "T")[self.polynomial.shape[1] :]

    def _lift(self, columns: np.ndarray) -> np.ndarray:
        """Z times columns (m, c)."""
        whole = np.zeros((len(self.x), columns.shape[1]), order="F")
        whole[self.polynomial.shape[1] :] = columns
        return self._multiply(whole, "N")

    def _factor(self, phi: np.ndarray, noise: float) -> tuple[np.ndarray, bool]:
        inner = self._project(self._project(phi).T)
        inner = (inner + inner.T) / 2
        inner[np.diag_indices_from(inner)] += noise
        lower, failed = lapack.dpotrf(inner, lower=1)
        return lower, failed == 0

    @cached_property
    def _differences(self) -> np.ndarray:
        """x_i - x_j, (d, n n)."""
        return np.stack([np.subtract.outer(column, column).ravel() for column in self.x.T])

    def energy(self, metric: np.ndarray, log_noise: float) -> tuple[float, np.ndarray, float]:
        """E, dE/dA and dE/dlog v at a metric A (d, d) under the wide prior, for radial kernels."""
        m, k = self.projected.shape
        total = np.sum((metric.T @ self._differences) ** 2, axis=0).reshape(len(self.x), -1)
        phi, psi = KERNELS[self.kernel].formula(np, total)
        lower, fine = self._factor(phi, np.exp(log_noise))
        if not fine:
            return FAILED, np.zeros_like(metric), 0.0
        a = lapack.dpotrs(lower, self.projected, lower=1)[0]
        fit = np.maximum(np.sum(self.projected * a, axis=0), 1e-290)
        energy = m / 2 * np.sum(np.log(fit)) + k * np.log(np.diag(lower)).sum()
        inverse = np.tril(lapack.dpotri(lower, lower=1)[0])
        inverse += np.tril(inverse, -1).T
        inner_bar = k / 2 * inverse - (a * (m / 2 / fit)) @ a.T
        weights = (self._lift(self._lift(inner_bar).T) * psi).ravel()
        metric_bar = -((self._differences * weights) @ self._differences.T) @ metric
        noise_bar = float(np.exp(log_noise) * np.trace(inner_bar))
        # Distances grow with the root of d; without that many short lengths look like noise.
        left, strengths, right = np.linalg.svd(metric)
        away = (-np.log(strengths) - LENGTHS[0] - 0.5 * np.log(len(metric))) / LENGTHS[1]
        slope = away / LENGTHS[1]
        if KERNELS[self.kernel].even:  # one length counts once
            away, slope = away / len(metric) ** 0.5, slope / len(metric)
        away_noise = (log_noise - NOISE[0]) / NOISE[1]
        energy += 0.5 * np.sum(away**2) + 0.5 * away_noise**2
        metric_bar -= (left * (slope / strengths)) @ right
        if not (np.isfinite(energy) and np.isfinite(metric_bar).all()):
            return FAILED, np.zeros_like(metric), 0.0
        return float(energy), metric_bar, noise_bar + away_noise / NOISE[1]

    def energy_of(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """E and dE/dtheta for a length along each axis."""
        metric = np.diag(np.exp(-theta[:-1]))
        value, metric_bar, noise_bar = self.energy(metric, theta[-1])
        return value, np.r_[-np.diag(metric_bar * metric), noise_bar]

    def search(self, evaluations: int, start: np.ndarray | None = None) -> np.ndarray:
        """Minimise E by L-BFGS from theta, or from the best two of some starts; returns theta."""
        d = self.x.shape[1]
        # One column for each parameter that is free.
        free = np.eye(d + 1)
        if KERNELS[self.kernel].even:
            free = np.column_stack([np.r_[np.ones(d), 0], free[-1]])

        def energy(short: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self.energy_of(free @ short)
            return value, gradient @ free

        if start is not None:
            starts = [start]
        else:
            grid = SCALE_FREE if KERNELS[self.kernel].at_zero == 0 else STARTS
            tried = [np.log(np.r_[np.full(d, length * d**0.5), noise]) for length, noise in grid]
            starts = sorted(tried, key=lambda one: energy(one @ free / free.sum(axis=0))[0])[:2]
        bounds = [(-5.0, 6.0)] * (free.shape[1] - 1) + [(np.log(LEAST_NOISE), 5.0)]
        shorts = [one @ free / free.sum(axis=0) for one in starts]
        found = [_minimize(energy, short, evaluations, bounds) for short in shorts]
        return free @ min(found, key=lambda one: one.fun).x

    def turn(self, evaluations: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Minimise E over all entries of the metric, from the lengths of theta.

        A distance depends on A A^T alone: the left singular vectors of A are the new axes, its
        singular values the inverse lengths along them.

        Returns:
            The axes (d, d), one a column, and theta along them.
        """
        d = self.x.shape[1]

        def energy(entries: np.ndarray) -> tuple[float, np.ndarray]:
            value, metric_bar, noise_bar = self.energy(entries[:-1].reshape(d, d), entries[-1])
            return value, np.r_[metric_bar.ravel(), noise_bar]

        bounds = [(None, None)] * d * d + [(np.log(LEAST_NOISE), 5.0)]
        start = np.r_[np.diag(np.exp(-theta[:-1])).ravel(), theta[-1]]
        entries = _minimize(energy, start, evaluations, bounds).x
        axes, strengths, _ = np.linalg.svd(entries[:-1].reshape(d, d))
        return axes, np.r_[-np.log(strengths), entries[-1]]

    def solve(self, theta: np.ndarray, strengths: np.ndarray | None = None) -> "Solved":
        """Solve the output layer and the polynomial; rounding bounds the noise from below."""
        lengths = np.exp(theta[:-1])
        strengths = np.zeros(len(lengths)) if strengths is None else strengths
        phi = evaluate(np, self.kernel, self.x, lengths, strengths, self.x)[0]
        noise = max(float(np.exp(theta[-1])), LEAST_NOISE * (float(phi[0, 0]) or 1.0))
        lower, fine = self._factor(phi, noise)
        while not fine:
            noise = max(10 * noise, LEAST_NOISE * float(np.abs(phi).max()))
            lower, fine = self._factor(phi, noise)
        return Solved(self, lengths, strengths, phi, noise, np.tril(lower))


class Solved:
    """A solved kriging: parameters, leave-one-out errors and variances.

    Attributes:
        lengths: (d,).
        strengths: (d,).
        noise: v.
        weight: (n, k).
        trend: (t, k).
        amplitude: (k,) s.
        left_out: (n, k) leave-one-out errors, prediction minus target.
        deviations: (n, k) their standard deviations.
    """

    def __init__(
        self,
        rows: Kriging,
        lengths: np.ndarray,
        strengths: np.ndarray,
        phi: np.ndarray,
        noise: float,
        lower: np.ndarray,
    ) -> None:
        """Reads everything off the Cholesky factor of Z^T K Z."""
        self.rows, self.lengths, self.strengths, self.noise = rows, lengths, strengths, noise
        a = lapack.dpotrs(lower, rows.projected, lower=1)[0]
        m = len(a)
        self.amplitude = np.sqrt(np.maximum(np.sum(rows.projected * a, axis=0), 0) / m)
        self.weight = rows._lift(a)
        inverse = solve_triangular(lower, np.eye(m), lower=True).T
        self._root = rows._lift(np.asfortranarray(inverse))
        diagonal = np.sum(self._root**2, axis=1)[:, np.newaxis]
        self.left_out = -self.weight / diagonal
        self.deviations = self.amplitude / np.sqrt(diagonal)
        self._inverse = np.linalg.pinv(rows.polynomial)
        self._matrix = phi + noise * np.eye(len(phi))
        self.trend = self._inverse @ (rows.targets - self._matrix @ self.weight)

    def _units(self, x: np.ndarray) -> np.ndarray:
        return evaluate(np, self.rows.kernel, self.rows.x, self.lengths, self.strengths, x)[0]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Outputs (p, k) at x (p, d)."""
        polynomial = np.concatenate(monomials(np, x, self.rows.degree), axis=1)
        return self._units(x) @ self.weight + polynomial @ self.trend

    def variance(self, x: np.ndarray) -> np.ndarray:
        """The variance (p,) of a new observation at x (p, d), over the amplitude squared."""
        at_zero = (
            float(np.prod(1 + self.strengths))
            if self.rows.kernel == PRODUCT
            else KERNELS[self.rows.kernel].at_zero
        )
        polynomial = np.concatenate(monomials(np, x, self.rows.degree), axis=1)
        reached = polynomial @ self._inverse
        units = self._units(x)
        weighted = reached @ self._matrix
        left = units - weighted
        total = at_zero - np.sum(reached * (units + left), axis=1)
        total -= np.sum((left @ self._root) ** 2, axis=1)
        return np.maximum(total, 0) + self.noise


def _minimize(energy: Any, start: np.ndarray, evaluations: int, bounds: list[Any]) -> Any:
    limits = {"maxfun": evaluations, "maxiter": evaluations, "ftol": 1e-6}
    return minimize(energy, start, jac=True, method="L-BFGS-B", bounds=bounds, options=limits)


def rms(error: Any) -> float:
    """The root mean square, infinite where the error is not finite."""
    with np.errstate(all="ignore"):
        value = float(np.sqrt(np.mean(np.square(np.asarray(error)))))
    return value if np.isfinite(value) else float("inf")
