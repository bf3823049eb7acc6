"""Checks of names, numbers and arrays; an error names the argument, what it must be and what came.

Nothing here knows a layer or a loss.
"""

import difflib
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

Row = TypeVar("Row")


def nearest_first(name: object, known: Iterable[str]) -> list[str]:
    """Return the known names, the most similar to `name` first."""
    return sorted(
        known, key=lambda other: -difflib.SequenceMatcher(None, str(name).lower(), other).ratio()
    )


def check_name(argument: str, name: object, known: Iterable[str]) -> None:
    """Raise a ValueError that lists the known names, nearest first, unless `name` is one."""
    known = tuple(known)
    if not (isinstance(name, str) and name in known):
        raise ValueError(
            f"{argument} must be one of {', '.join(nearest_first(name, known))}; got {name!r}"
        )


def look_up(argument: str, name: str, table: Mapping[str, Row]) -> Row:
    """Return the row of that name; the error is that of `check_name`."""
    check_name(argument, name, table)
    return table[name]


def check_functions(kind: str, name: Any, /, **functions: Any) -> None:
    """Raise a ValueError unless the name is a text and the functions are callable and hashable."""
    if not (isinstance(name, str) and name):
        raise ValueError(f"name must be a text, the first argument of {kind}, got {name!r}")
    for argument, function in functions.items():
        if not callable(function):
            raise ValueError(f"{argument} of {kind} {name!r} must be a function, got {function!r}")
        try:
            hash(function)
        except TypeError:
            raise ValueError(
                f"{argument} of {kind} {name!r} must be hashable, as jit requires of a static "
                f"argument, got {type(function).__name__}"
            ) from None


def as_array(name: str, array: Any) -> Any:
    """Return an array as it is, and a sequence of numbers, traced ones too, as an array.

    Raises:
        TypeError: the sequence is ragged.
    """
    if hasattr(array, "dtype"):
        return array
    traced = any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(array))
    try:
        return jnp.asarray(array) if traced else np.asarray(array)
    except ValueError as ragged:
        raise TypeError(
            f"{name} must be an array of real numbers, got a ragged sequence"
        ) from ragged


def as_float_array(name: str, array: Any, dtype: DTypeLike) -> jax.Array:
    """Cast real numbers or booleans, also in nested lists, to a floating dtype.

    Raises:
        TypeError: the array is complex, or holds something that is not a number.
    """
    array = as_array(name, array)
    real = (jnp.floating, jnp.integer, jnp.bool_)
    if not any(jnp.issubdtype(array.dtype, kind) for kind in real):
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    return jnp.asarray(array, dtype=dtype)


def warn_if_narrowed(depth: int, /, **arrays: Any) -> None:
    """Warn once, naming the float64 arrays that JAX narrows because x64 is off.

    `depth` counts the calls up to the line that the warning points at, 1 for the caller.
    """
    narrowed = [
        name for name, array in arrays.items() if getattr(array, "dtype", None) == np.float64
    ]
    if narrowed and jnp.result_type(float) != np.float64:
        warnings.warn(
            f"{' and '.join(narrowed)} came as float64 and float32 is used, because x64 is off: "
            'cast to float32, or call jax.config.update("jax_enable_x64", True) first',
            stacklevel=depth,
        )


def check_count(name: str, value: Any, *, minimum: int) -> int:
    """Return `value` as an int; raise a ValueError unless it is whole and at least `minimum`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
    return int(value)


def check_number(
    name: str, value: Any, *, minimum: float = -math.inf, below: float = math.inf
) -> float:
    """Return `value` as a float; raise a ValueError unless it is finite, in [minimum, below)."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, str) or not (math.isfinite(number) and minimum <= number < below):
        bounds = "" if minimum == -math.inf else f" of at least {minimum:g}"
        bounds += "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"{name} must be a finite number{bounds}, got {value!r}")
    return number


def check_finite(name: str, array: Any) -> None:
    """Raise a ValueError with the first index at which a concrete array is NaN or infinite."""
    wrong = np.argwhere(~np.isfinite(np.asarray(array)))
    if wrong.size:
        index = tuple(int(i) for i in wrong[0])
        where = ", ".join(map(str, index))
        value = np.asarray(array)[index]
        raise ValueError(
            f"{name} must be finite, got {name}[{where}] = {value} ({len(wrong)} such in all)"
        )
