"""Numerical derivatives of a scalar function, one element at a time: judges that know nothing of any rule.

    central      (f(p + h) - f(p - h)) / 2h      error: h^2 f''' / 6 + rounding of f / h
    complex      Im f(p + i h) / h               error: h^2 f''' / 6, no difference taken, so h can be tiny

References:
    Squire and Trapp 1998, SIAM Review 40 (the complex step).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxbp.checks import check_number
from jaxbp.names import check_name

STEPS = {"central": 6e-6, "complex": 1e-20}  # about the cube root of float64's unit; far below it


def numerical_gradient(
    function: Callable[[Any], Array], params: Any, method: str = "central", step: float | None = None
) -> Any:
    """Differentiates a function with respect to every element of a pytree, by moving one after the other.

    It calls the function once or twice for each element: a judge for small problems, not a way to train.

    Args:
        function: params -> a scalar. For "complex" it must be analytic and take complex parameters.
        params: a pytree of arrays.
        method: "central" or "complex".
        step: h; 6e-6 for "central", 1e-20 for "complex" unless given.

    Returns:
        The gradient, with the structure, shapes and dtypes of the parameters.

    Raises:
        ValueError: the method is not known, or the step is not positive.
    """
    check_name("method", method, STEPS)
    h = STEPS[method] if step is None else step
    if check_number("step", h, minimum=0) == 0:
        raise ValueError(f"step must be positive, got {step!r}")
    leaves, structure = jax.tree.flatten(params)

    @jax.jit
    def differentiate(leaves: list[Array]) -> list[Array]:
        return [_of_leaf(position, leaves) for position in range(len(leaves))]

    def _of_leaf(position: int, leaves: list[Array]) -> Array:
        leaf = leaves[position]

        def moved(index: Array, change: complex | float) -> Array:
            wide = leaf.astype(jnp.result_type(leaf, change)).ravel()
            shifted = wide.at[index].add(change).reshape(leaf.shape)
            return function(jax.tree.unflatten(structure, [*leaves[:position], shifted, *leaves[position + 1 :]]))

        def one(index: Array) -> Array:
            if method == "complex":
                return (jnp.imag(moved(index, 1j * h)) / h).astype(leaf.dtype)
            return ((moved(index, h) - moved(index, -h)) / (2 * h)).astype(leaf.dtype)

        return jax.lax.map(one, jnp.arange(leaf.size)).reshape(leaf.shape)

    return jax.tree.unflatten(structure, differentiate([jnp.asarray(leaf) for leaf in leaves]))
