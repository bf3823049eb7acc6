"""Numerical derivatives of a scalar function, one element at a time.

    central      (f(p + h) - f(p - h)) / 2h      error: h^2 f''' / 6 + rounding of f / h
    complex      Im f(p + i h) / h               error: h^2 f''' / 6; no difference: h may be tiny

Where a complex step as tiny as that vanishes in rounding, as in log(1 + exp(p + i h)), a longer
one shows it, and the central difference stands in.

References:
    Squire and Trapp 1998, SIAM Review 40 (the complex step).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp._checks import check_name, check_number

METHODS = ("central", "complex")
CENTRAL_STEP = 6e-6  # in float64: about the cube root of u, where truncation and rounding are equal
COMPLEX_STEP = 1e-20  # no difference is taken, so nothing keeps it from being far below the unit


def shifted(tree: Any, position: int, change: Any) -> Any:
    """Returns the pytree with `change` added to its leaf at that position."""
    leaves, structure = jax.tree.flatten(tree)
    leaves[position] = leaves[position] + change
    return jax.tree.unflatten(structure, leaves)


def numerical_gradient(
    function: Callable[[Any], Array],
    params: Any,
    method: str = "central",
    step: float | None = None,
) -> Any:
    """Differentiate a function with respect to every element of a pytree, one after the other.

    It calls the function two to four times for each element: a check for small problems.

    Args:
        function: params -> a scalar. For "complex" it must be analytic and take complex parameters.
        params: a pytree of arrays of a floating dtype.
        method: "central" or "complex".
        step: h; for "central" the cube root of the dtype's unit (6e-6 in float64, 5e-3 in float32,
            where differences keep two or three digits) times the size of the element where that is
            above 1; for "complex" 1e-20.

    Returns:
        The gradient, with the structure, shapes and dtypes of the parameters.

    Raises:
        ValueError: the method is not known, the step is not positive, or the function does not
            return a scalar.
        TypeError: a leaf of the parameters is not of a floating dtype.

    Examples:
        >>> import jax.numpy as jnp
        >>> from jaxbp import gradcheck
        >>> found = gradcheck.numerical_gradient(lambda x: jnp.sum(x**3), jnp.array([1.0, 2.0]))
        >>> [round(float(one), 3) for one in found]
        [3.0, 12.0]
    """
    check_name("method", method, METHODS)
    if step is not None and check_number("step", step, minimum=0) == 0:
        raise ValueError(f"step must be positive, got {step!r}")
    params = jax.tree.map(jnp.asarray, params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"params{jax.tree_util.keystr(path)} must be of a floating dtype, got {leaf.dtype}"
            )
    shape = jax.eval_shape(function, params).shape
    if shape != ():
        raise ValueError(f"function must return a scalar, got shape {shape}")

    def along(params: Any, position: int, leaf: Array, index: Array) -> Array:
        """The derivative with respect to one element of a leaf."""

        def moved(change: Any) -> Array:
            unit = jnp.zeros(leaf.size, jnp.result_type(leaf, change)).at[index].set(change)
            return function(shifted(params, position, unit.reshape(leaf.shape)))

        size = jnp.maximum(1.0, jnp.abs(leaf.ravel()[index]))
        h = jnp.finfo(leaf.dtype).eps ** (1 / 3) * size
        if method == "central":
            h = h if step is None else jnp.asarray(step, leaf.dtype)
            return ((moved(h) - moved(-h)) / (2 * h)).astype(leaf.dtype)
        tiny = COMPLEX_STEP if step is None else step
        found, longer = (jnp.imag(moved(1j * s)) / s for s in (tiny, h))
        central = (moved(h) - moved(-h)) / (2 * h)
        agree = jnp.abs(found - longer) <= 1e-3 * jnp.abs(longer) + h**2
        return jnp.where(agree, found, jnp.real(central)).astype(leaf.dtype)

    @jax.jit
    def differentiate(params: Any) -> list[Array]:
        return [
            jax.lax.map(partial(along, params, position, leaf), jnp.arange(leaf.size)).reshape(
                leaf.shape
            )
            for position, leaf in enumerate(jax.tree.leaves(params))
        ]

    return jax.tree.unflatten(jax.tree.structure(params), differentiate(params))
