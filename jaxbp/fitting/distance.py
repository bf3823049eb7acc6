"""Distance units: a hidden layer that reads the distance of a point from its centres.

    outputs = phi(z, c_j) weight + polynomial(z) trend,   z = x axes

With the samples as centres and a solved output layer this is kriging, also called Gaussian process
regression or a radial basis function. Radial kernels read the scaled distance r; the kernel
"product" multiplies one factor for each input:

    radial   r^2 = sum over i of ((z_i - c_i) / l_i)^2,  value phi(r),  psi(r) = -phi'(r) / r
    product  prod over i of (1 + a_i exp(-((z_i - c_i) / l_i)^2 / 2))

The backward pass is written by hand: W = units_bar * psi, z_bar = -(z sum(W) - W c) / l^2, x_bar =
z_bar axes^T.

Legend: n points, d inputs, m centres, k outputs, t terms of the polynomial.

References:
    Rasmussen and Williams 2006, section 4.2 (kernels) and 2.7 (trend); Wendland 2004, chapter 8
    (conditionally positive definite kernels); Duvenaud, Nickisch and Rasmussen 2011 (products).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Kernel(NamedTuple):
    """A radial function of the squared scaled distance.

    Attributes:
        formula: (numpy or jax.numpy, s) -> phi and psi.
        degree: of the polynomial beside it.
        at_zero: phi(0).
        even: whether all inputs share one length.
    """

    formula: Callable[[Any, Any], tuple[Any, Any]]
    degree: int = 1
    at_zero: float = 1.0
    even: bool = False


def _root(xp: Any, s: Any) -> Any:
    """The square root, with slope 0 at 0."""
    return xp.where(s > 0, xp.sqrt(xp.where(s > 0, s, 1.0)), 0.0)


def _matern_12(xp: Any, s: Any) -> tuple[Any, Any]:
    r = _root(xp, s)
    phi = xp.exp(-r)
    return phi, xp.where(r > 0, phi / xp.where(r > 0, r, 1.0), 0.0)


def _matern_32(xp: Any, s: Any) -> tuple[Any, Any]:
    a = 3**0.5 * _root(xp, s)
    e = xp.exp(-a)
    return (1 + a) * e, 3 * e


def _matern_52(xp: Any, s: Any) -> tuple[Any, Any]:
    a = 5**0.5 * _root(xp, s)
    e = xp.exp(-a)
    return (1 + a + a * a / 3) * e, 5 / 3 * (1 + a) * e


def _matern_72(xp: Any, s: Any) -> tuple[Any, Any]:
    a = 7**0.5 * _root(xp, s)
    e = xp.exp(-a)
    return (1 + a + 0.4 * a * a + a * a * a / 15) * e, 7 / 15 * (3 + 3 * a + a * a) * e


def _gaussian(xp: Any, s: Any) -> tuple[Any, Any]:
    e = xp.exp(-0.5 * s)
    return e, e


def _cubic(xp: Any, s: Any) -> tuple[Any, Any]:
    r = _root(xp, s)
    return r * s, -3 * r


def _quintic(xp: Any, s: Any) -> tuple[Any, Any]:
    r = _root(xp, s)
    return -r * s * s, 5 * r * s


PRODUCT = "product"
EVEN = "even Gaussian"  # ridge regression where its length is long
KERNELS = {
    "Matern 1/2": Kernel(_matern_12),
    "Matern 3/2": Kernel(_matern_32),
    "Matern 5/2": Kernel(_matern_52),
    "Matern 7/2": Kernel(_matern_72),
    "Gaussian": Kernel(_gaussian),
    "cubic": Kernel(_cubic, at_zero=0.0),
    "quintic": Kernel(_quintic, degree=2, at_zero=0.0),
    EVEN: Kernel(_gaussian, degree=0, even=True),
}


class DistanceParams(NamedTuple):
    """Parameters of distance units.

    Attributes:
        axes: (d, d), one a column: the units read x axes.
        centres: (m, d) in standard units along the axes.
        lengths: (d,) along each axis.
        strengths: (d,) a of the product kernel; unused by the others.
        weight: (m, k) of the output layer.
        trend: (t, k) coefficients of the polynomial.
    """

    axes: Any
    centres: Any
    lengths: Any
    strengths: Any
    weight: Any
    trend: Any


@dataclass(frozen=True)
class Distance:
    """A layer of distance units and its output layer; static and hashable, as `Mlp` is.

    Attributes:
        kernel: a key of `KERNELS`, or "product".
        sizes: (d, m, k).
        degree: 0, 1 or 2, of the polynomial.
    """

    kernel: str
    sizes: tuple[int, int, int]
    degree: int = 1

    def __post_init__(self) -> None:
        """Checks the fields, which may come from a file."""
        if self.kernel not in (*KERNELS, PRODUCT) or self.degree not in (0, 1, 2):
            raise ValueError(f"kernel and degree must be known, got {self.kernel}, {self.degree}")

    def __call__(self, params: DistanceParams, inputs: Array) -> Array:
        """Evaluate outputs (n, k) at inputs (n, d), with the hand-written backward pass."""
        return _outputs(self, params, inputs)

    def shapes(self) -> DistanceParams:
        """The shapes of the parameters."""
        d, m, k = self.sizes
        terms = (1, 1 + d, 1 + d + d * (d + 1) // 2)[self.degree]
        return DistanceParams((d, d), (m, d), (d,), (d,), (m, k), (terms, k))

    def padded(self, params: DistanceParams) -> tuple["Distance", DistanceParams]:
        """The same function with units of weight 0 up to a power of two.

        Models of any number of rows then share a few compiled programs.
        """
        d, m, k = self.sizes
        extra = (1 << (m - 1).bit_length()) - m
        centres = np.pad(params.centres, ((0, extra), (0, 0)), mode="edge")
        weight = np.pad(params.weight, ((0, extra), (0, 0)))
        network = Distance(self.kernel, (d, m + extra, k), self.degree)
        return network, params._replace(centres=centres, weight=weight)

    def __str__(self) -> str:
        """Number and kernel of the units."""
        return f"{self.sizes[1]} {self.kernel} distance units"


def monomials(xp: Any, x: Any, degree: int) -> list[Any]:
    """The columns 1, x_i, x_i x_j up to a degree, in groups."""
    groups = [xp.ones_like(x[:, :1])]
    if degree >= 1:
        groups.append(x)
    if degree >= 2:
        pairs = itertools.combinations_with_replacement(range(x.shape[1]), 2)
        groups.extend(x[:, i : i + 1] * x[:, j : j + 1] for i, j in pairs)
    return groups


def evaluate(
    xp: Any, kernel: str, centres: Any, lengths: Any, strengths: Any, x: Any
) -> tuple[Any, Any]:
    """The units (n, m) and, for radial kernels, psi (n, m)."""
    if kernel == PRODUCT:
        value = xp.ones((x.shape[0], centres.shape[0]), x.dtype)
        for i in range(x.shape[1]):
            value = value * (1 + _factor(xp, centres, lengths, strengths, x, i)[1])
        return value, value
    total = 0.0
    for i in range(x.shape[1]):
        total = total + ((x[:, i : i + 1] - centres[:, i][np.newaxis, :]) / lengths[i]) ** 2
    return KERNELS[kernel].formula(xp, total)


def _factor(xp: Any, centres: Any, lengths: Any, strengths: Any, x: Any, i: int) -> tuple[Any, Any]:
    """The scaled difference of one input, and a exp(-difference^2 / 2)."""
    difference = (x[:, i : i + 1] - centres[:, i][np.newaxis, :]) / lengths[i]
    return difference, strengths[i] * xp.exp(-0.5 * difference**2)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _outputs(layer: Distance, params: DistanceParams, inputs: Array) -> Array:
    # The weights cancel: in float32 nothing would be left of float64 parameters.
    with jax.enable_x64(True):
        x = inputs.astype(params.weight.dtype) @ params.axes
        hidden = evaluate(jnp, layer.kernel, *params[1:4], x)[0]
        polynomial = jnp.concatenate(monomials(jnp, x, layer.degree), axis=1)
        return (hidden @ params.weight + polynomial @ params.trend).astype(inputs.dtype)


def _forward(
    layer: Distance, params: DistanceParams, inputs: Array
) -> tuple[Array, tuple[DistanceParams, Array]]:
    return _outputs(layer, params, inputs), (params, inputs)


def _backward(
    layer: Distance, residuals: tuple[DistanceParams, Array], outputs_bar: Array
) -> tuple[DistanceParams, Array]:
    params, inputs = residuals
    with jax.enable_x64(True):
        x = inputs.astype(params.weight.dtype) @ params.axes
        bar = outputs_bar.astype(params.weight.dtype)
        hidden, psi = evaluate(jnp, layer.kernel, *params[1:4], x)
        polynomial = jnp.concatenate(monomials(jnp, x, layer.degree), axis=1)
        units_bar = bar @ params.weight.T
        parts = [_input_bar(layer.kernel, params, x, i, units_bar * psi) for i in range(x.shape[1])]
        x_bar, centres_bar, lengths_bar, strengths_bar = (
            jnp.stack(part, axis=-1) for part in zip(*parts, strict=True)
        )
        x_bar += polynomial_bar(layer.degree, x, bar @ params.trend.T)
        weights_bar = hidden.T @ bar, polynomial.T @ bar
        axes_bar = inputs.astype(x.dtype).T @ x_bar
        params_bar = DistanceParams(axes_bar, centres_bar, lengths_bar, strengths_bar, *weights_bar)
        return params_bar, (x_bar @ params.axes.T).astype(inputs.dtype)


def _input_bar(
    kernel: str, params: DistanceParams, x: Array, i: int, weighted: Array
) -> tuple[Array, ...]:
    """The cotangents of one column of the inputs and of what belongs to it."""
    centres, lengths, strengths = params[1:4]
    difference, factor = _factor(jnp, centres, lengths, strengths, x, i)
    strength_bar = jnp.zeros_like(lengths[i])
    if kernel == PRODUCT:
        strength_bar = jnp.sum(weighted * jnp.exp(-0.5 * difference**2) / (1 + factor))
        weighted = weighted * factor / (1 + factor)
    moved = weighted * difference / lengths[i]
    return -moved.sum(axis=1), moved.sum(axis=0), jnp.sum(moved * difference), strength_bar


def polynomial_bar(degree: int, x: Array, terms_bar: Array) -> Array:
    """The cotangent of the inputs (n, d) from that of the monomials (n, t)."""
    d = x.shape[1]
    x_bar = jnp.zeros_like(x)
    if degree >= 1:
        x_bar += terms_bar[:, 1 : 1 + d]
    if degree >= 2:
        pairs = itertools.combinations_with_replacement(range(d), 2)
        for place, (i, j) in enumerate(pairs, 1 + d):
            x_bar = x_bar.at[:, i].add(terms_bar[:, place] * x[:, j])
            x_bar = x_bar.at[:, j].add(terms_bar[:, place] * x[:, i])
    return x_bar


_outputs.defvjp(_forward, _backward)
