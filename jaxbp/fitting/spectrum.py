"""The spectrum of a sine layer, chosen where the rows are most probable.

A layer of sine units with random frequencies and a solved output layer is regression with the
kernel that the units have on average. Each unit reads few of the inputs; input i takes part with
odds s_i : 1, and then has a frequency from N(0, 1 / l_i^2); sine and cosine come in pairs. On
average that is the kernel

    k(x, z) = c prod over i of (1 + s_i exp(-(x_i - z_i)^2 / (2 l_i^2)))

which knows which inputs matter, how fast, and which act together. (l, s, c, noise) minimise the
negative log evidence

    E = 1/2 tr(T^T A^-1 T) + k/2 log det A,  A = K + noise I,  A_bar = 1/2 (k A^-1 - alpha alpha^T),
     alpha = A^-1 T

whose gradient is written by hand, backward through the product:

    W_i = K A_bar s_i e_i / (1 + s_i e_i),  dE/dlog s_i = sum W_i,  dE/dlog l_i = sum W_i ((x_i -
    z_i) / l_i)^2

The kernel serves for this choice alone. The fit is the least-squares problem of the units, whose
condition number is the square root of the kernel's.

Legend: n rows, d inputs, k outputs; theta = log of (l (d,), s (d,), c, noise).

References:
    Rahimi and Recht 2007 (random features); Rasmussen and Williams 2006, section 5.4 (evidence);
    Duvenaud, Nickisch and Rasmussen 2011 (additive kernels).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.optimize import minimize

LEAST_NOISE = 1e-12  # of the variance: below it the Cholesky factorization fails
SHARES = (0.2, 0.8)  # least and most of the units that read an input; weights make up for it
SMOOTH_EVALUATIONS = 30  # from the smooth start, and again from the best probe
CLEAN = 1e-4  # noise above it may be waves that the smooth start cannot follow
PROBES = tuple((length, noise) for length in (0.5, 1.2, 3.0, 8.0) for noise in (1e-6, 1e-3, 3e-2))
FAILED = 1e12  # stands for an energy that is not finite


class Spectrum(NamedTuple):
    """What a search found.

    Attributes:
        theta: (2 d + 2,).
        energy: E there.
        evaluations: how often E was evaluated.
    """

    theta: np.ndarray
    energy: float
    evaluations: int

    @property
    def noise(self) -> float:
        """The share of the variance that is noise."""
        return float(np.exp(self.theta[-1]))


@jax.jit
def energy_and_gradient(
    theta: Array, x: Array, y: Array, mean: Array, width: Array
) -> tuple[Array, Array]:
    """E and dE/dtheta at theta (2 d + 2,) under a normal prior; x (n, d) and y (n, k)."""
    n, d = x.shape
    length, strength = jnp.exp(theta[:d]), jnp.exp(theta[d : 2 * d])
    scale, noise = jnp.exp(theta[-2]), jnp.exp(theta[-1])

    def multiply(kernel: Array, row: Any) -> tuple[Array, None]:
        column, l_i, s_i = row
        squares = ((column[:, jnp.newaxis] - column[jnp.newaxis, :]) / l_i) ** 2
        return kernel * (1 + s_i * jnp.exp(-0.5 * squares)), None

    kernel = jax.lax.scan(multiply, jnp.full((n, n), scale), (x.T, length, strength))[0]
    lower = jnp.linalg.cholesky(kernel + noise * jnp.eye(n))
    half_log_det = jnp.log(jnp.diag(lower)).sum()
    # `0 * half_log_det` puts the calls of LAPACK in order: two at a time can lock up XLA's thread
    # pool.
    inverse = jax.scipy.linalg.cho_solve((lower, True), jnp.eye(n) + 0 * half_log_det)
    alpha = inverse @ y
    energy = 0.5 * jnp.sum(y * alpha) + y.shape[1] * half_log_det
    matrix_bar = 0.5 * (y.shape[1] * inverse - alpha @ alpha.T)
    weighted = matrix_bar * kernel

    def read(_: None, row: Any) -> tuple[None, tuple[Array, Array]]:
        column, l_i, s_i = row
        squares = ((column[:, jnp.newaxis] - column[jnp.newaxis, :]) / l_i) ** 2
        e = s_i * jnp.exp(-0.5 * squares)
        t = weighted * (e / (1 + e))
        return None, (jnp.sum(t * squares), jnp.sum(t))

    _, (length_bar, strength_bar) = jax.lax.scan(read, None, (x.T, length, strength))
    rest = jnp.stack([jnp.sum(weighted), noise * jnp.trace(matrix_bar)])
    away = (theta - mean) / width
    gradient = jnp.concatenate([length_bar, strength_bar, rest]) + away / width
    return energy + 0.5 * jnp.sum(away**2), gradient


def choose_spectrum(x: Any, y: Any, *, evaluations: int) -> Spectrum:
    """Maximise the evidence by L-BFGS, from long lengths and, if noise remains, the best of probes.

    The number of evaluations is bounded, so that the same rows give the same spectrum.

    Args:
        x: (n, d) standardized inputs.
        y: (n, k) standardized targets.
        evaluations: of E, about as many at most.
    """
    d = x.shape[1]
    mean = np.r_[np.full(d, np.log(4.0)), np.full(d, np.log(0.2)), 0.0, np.log(1e-8)]
    width = np.r_[np.full(d, 2.0), np.full(d, 3.0), 5.0, 30.0]
    bounds = [(-1.5, 6.0)] * d + [(-12.0, 6.0)] * d + [(-10.0, 15.0), (np.log(LEAST_NOISE), 2.0)]
    best, count = (np.inf, np.r_[mean[:-1], np.log(CLEAN)]), 0

    def value(theta: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, count
        with jax.debug_nans(False):  # a factorization that fails is part of the search
            energy, gradient = map(np.asarray, energy_and_gradient(theta, x, y, mean, width))
        count += 1
        if not (np.isfinite(energy) and np.isfinite(gradient).all()):
            return FAILED, np.zeros_like(theta)
        if energy < best[0]:
            best = (float(energy), theta.copy())
        return float(energy), gradient.copy()

    def search(theta: np.ndarray, most: int) -> None:
        options = {"maxfun": most, "maxiter": most, "maxcor": 20, "ftol": 1e-7}
        minimize(value, theta, jac=True, method="L-BFGS-B", bounds=bounds, options=options)

    search(best[1], SMOOTH_EVALUATIONS)
    # Where the lengths are too long, waves look like noise, and the search does not come back
    # from there.
    if best[1][-1] > np.log(CLEAN):
        probes = [
            np.r_[np.full(d, np.log(length)), mean[d:-1], np.log(noise)] for length, noise in PROBES
        ]
        search(min(probes, key=lambda theta: value(theta)[0]), SMOOTH_EVALUATIONS)
    # A step to where the factorization fails ends a search early: it goes on from the best point
    # with an empty memory.
    for _ in range(4):
        before, left = best[0], evaluations - count
        if left < 5:
            break
        search(best[1], left)
        if before - best[0] < 1.0:
            break
    return Spectrum(best[1], best[0], count)


def draw_frequencies(
    theta: np.ndarray, num_inputs: int, pairs: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw frequencies (d, pairs), and the widths (pairs,) that make their average the kernel."""
    length, strength = np.exp(theta[:num_inputs]), np.exp(theta[num_inputs : 2 * num_inputs])
    share = strength / (1 + strength)
    drawn = np.clip(share, *SHARES)
    reads = generator.random((num_inputs, pairs)) < drawn[:, np.newaxis]
    odds = np.where(
        reads,
        np.log(share / drawn)[:, np.newaxis],
        np.log((1 - share) / (1 - drawn))[:, np.newaxis],
    )
    frequencies = np.where(
        reads, generator.standard_normal((num_inputs, pairs)) / length[:, np.newaxis], 0
    )
    total = np.exp(theta[-2]) * np.prod(1 + strength)
    return frequencies, np.sqrt(total / pairs * np.exp(odds.sum(axis=0)))
