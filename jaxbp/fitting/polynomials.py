"""Polynomials: a layer of products of Chebyshev polynomials, and its output layer.

    outputs = sum over j of weight_j prod over i of T_{a_ij}(u_i),   sum over i of a_ij <= degree
    u = (x - centre) / half runs from -1 to 1 over the rows

The degrees are doubled, in few operations: T_{m+j} = 2 T_m T_j - T_{m-j}. The backward pass
is written by hand, with slopes by the derivative of that.

Legend: n points, d inputs, t terms, k outputs.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

MOST_TERMS = 1200


class PolynomialParams(NamedTuple):
    """Parameters of a polynomial.

    Attributes:
        centre: (d,) the middle of the rows in standard units.
        half: (d,) half their width.
        weight: (t, k) of the output layer.
    """

    centre: Any
    half: Any
    weight: Any


@dataclass(frozen=True)
class Polynomial:
    """The static part; hashable, as `Mlp` is.

    Attributes:
        degrees: (d,) of the inputs: the total degree, or 0 for inputs that are not read.
        num_outputs: k.
    """

    degrees: tuple[int, ...]
    num_outputs: int

    def __post_init__(self) -> None:
        """Checks the fields, which may come from a file."""
        fine = all(type(one) is int for one in self.degrees) and len(set(self.degrees) - {0}) == 1
        if not fine or min(self.degrees) < 0 or self.num_terms > MOST_TERMS:
            raise ValueError(f"degrees must be 0 and one positive number, got {self.degrees}")

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(d, t, k)."""
        return len(self.degrees), self.num_terms, self.num_outputs

    @property
    def num_terms(self) -> int:
        """t, the number of products up to the total degree."""
        inputs = sum(one > 0 for one in self.degrees)
        return math.comb(max(self.degrees) + inputs, inputs)

    def exponents(self) -> np.ndarray:
        """a (t, d), ordered by total degree."""
        rows = np.zeros((1, 0), int)
        for degree in self.degrees:
            more = np.repeat(rows, degree + 1, axis=0)
            rows = np.column_stack([more, np.tile(np.arange(degree + 1), len(rows))])
            rows = rows[rows.sum(axis=1) <= max(self.degrees)]
        return rows[np.argsort(rows.sum(axis=1), kind="stable")]

    def __call__(self, params: PolynomialParams, inputs: Array) -> Array:
        """Evaluate outputs (n, k) at inputs (n, d), with the hand-written backward pass."""
        return _outputs(self, params, inputs)

    def shapes(self) -> PolynomialParams:
        """The shapes of the parameters."""
        d, t, k = self.sizes
        return PolynomialParams((d,), (d,), (t, k))

    def growth(self, params: PolynomialParams, inputs: np.ndarray) -> np.ndarray:
        """How much larger errors of the output layer are at inputs (n, d) than between the rows.

        The terms of the highest degree, like which the first that are left out are: their root mean
        square (n, 1) over that between the rows, at least 1.
        """
        highest = self.exponents().sum(axis=1) == max(self.degrees)
        units = self.units(np, params, inputs)[highest]
        between = 2.0 ** -np.count_nonzero(self.degrees)
        return np.sqrt(np.maximum(1.0, np.mean(units**2, axis=0) / between))[:, np.newaxis]

    def scaled(self, params: PolynomialParams, inputs: Any) -> Any:
        """u (d, n)."""
        return ((inputs - params.centre[np.newaxis]) / params.half[np.newaxis]).T

    def units(self, xp: Any, params: PolynomialParams, inputs: Any) -> Any:
        """The terms (t, n)."""
        values = chebyshev(xp, self.scaled(params, inputs), max(self.degrees))[0]
        exponents = self.exponents()
        return math.prod(values[:, i][exponents[:, i]] for i in range(len(self.degrees)))

    def __str__(self) -> str:
        """The degree."""
        return f"polynomial of degree {max(self.degrees)}"


def chebyshev(xp: Any, u: Any, degree: int) -> tuple[Any, Any]:
    """T_a(u) and T_a'(u) for a from 0 to degree, (degree + 1, *shape of u) each."""
    one, u = xp.ones_like(u)[np.newaxis], u[np.newaxis]
    values, slopes = xp.concatenate([one, u]), xp.concatenate([0 * one, one])
    while len(values) <= degree:
        m = len(values) - 1
        before = np.arange(m - 1, -1, -1)
        more = 2 * values[m:] * values[1:] - values[before]
        slope = 2 * (slopes[m:] * values[1:] + values[m:] * slopes[1:]) - slopes[before]
        values, slopes = xp.concatenate([values, more]), xp.concatenate([slopes, slope])
    return values[: degree + 1], slopes[: degree + 1]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _outputs(layer: Polynomial, params: PolynomialParams, inputs: Array) -> Array:
    # Terms cancel: in float32 nothing would be left of float64 parameters.
    with jax.enable_x64(True):
        return _evaluate(layer, params, inputs.astype(params.weight.dtype)).astype(inputs.dtype)


@partial(jax.jit, static_argnums=0)
def _evaluate(layer: Polynomial, params: PolynomialParams, inputs: Array) -> Array:
    return layer.units(jnp, params, inputs).T @ params.weight


def _forward(layer: Polynomial, params: PolynomialParams, inputs: Array) -> tuple[Array, Any]:
    return _outputs(layer, params, inputs), (params, inputs)


def _backward(layer: Polynomial, residuals: Any, outputs_bar: Array) -> Any:
    params, inputs = residuals
    with jax.enable_x64(True):
        bar = outputs_bar.astype(params.weight.dtype)
        u = layer.scaled(params, inputs.astype(bar.dtype))
        values, slopes = chebyshev(jnp, u, max(layer.degrees))
        exponents = layer.exponents()
        units_bar = params.weight @ bar.T
        factors = [values[:, i][exponents[:, i]] for i in range(len(u))]
        rows = []
        for i in range(len(u)):
            moved = [*factors[:i], slopes[:, i][exponents[:, i]], *factors[i + 1 :]]
            rows.append(jnp.sum(math.prod(moved) * units_bar, axis=0))
        u_bar = jnp.stack(rows)
        x_bar = (u_bar / params.half[:, jnp.newaxis]).T
        params_bar = PolynomialParams(
            -x_bar.sum(axis=0), -jnp.sum(x_bar * u.T, axis=0), math.prod(factors) @ bar
        )
        return params_bar, x_bar.astype(inputs.dtype)


_outputs.defvjp(_forward, _backward)
