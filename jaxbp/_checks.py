"""What public functions demand of names, numbers and arrays; an error says the argument, the demand
and what came.

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
    """Returns the known names, the most similar to `name` first."""
    return sorted(
        known, key=lambda other: -difflib.SequenceMatcher(None, str(name).lower(), other).ratio()
    )


def check_name(argument: str, name: object, known: Iterable[str]) -> None:
    """Raises a ValueError that lists the known names, nearest first, unless `name` is one of them.

    Args:
        argument: what the name was given for, as the caller spells it (`hidden[1]`).
        name: what came.
        known: the names that would be right.
    """
    known = tuple(known)
    if not (isinstance(name, str) and name in known):
        raise ValueError(
            f"{argument} must be one of {', '.join(nearest_first(name, known))}; got {name!r}"
        )


def look_up(argument: str, name: str, table: Mapping[str, Row]) -> Row:
    """Returns the row of that name; arguments and error are those of `check_name`."""
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


def as_float_array(name: str, array: Any, dtype: DTypeLike) -> jax.Array:
    """Casts an array-like to a floating dtype.

    Args:
        name: the caller's name for it.
        array: real numbers or booleans, also as nested lists.
        dtype: the dtype that the computation runs in: that of the parameters.

    Returns:
        The JAX array.

    Raises:
        TypeError: the array is complex, or holds something that is not a number.
    """
    if not hasattr(array, "dtype"):
        try:
            array = np.asarray(array)
        except ValueError as ragged:
            raise TypeError(
                f"{name} must be an array of real numbers, got a ragged sequence"
            ) from ragged
    given = array.dtype
    if not (
        jnp.issubdtype(given, jnp.floating)
        or jnp.issubdtype(given, jnp.integer)
        or given == jnp.bool_
    ):
        raise TypeError(f"{name} must be an array of real numbers, got dtype {given}")
    return jnp.asarray(array, dtype=dtype)


def warn_if_narrowed(depth: int, /, **arrays: Any) -> None:
    """Warns once, naming the arrays that hold 64-bit numbers which JAX narrows because x64 is off.

    Args:
        depth: how many calls up the line is that the warning is to point at, 1 for the one that
            calls this.
        **arrays: array-likes by the caller's names for them.
    """
    narrowed = [
        name for name, array in arrays.items() if getattr(array, "dtype", None) == np.float64
    ]
    if narrowed and jnp.result_type(float) != np.float64:
        warnings.warn(
            f"{' and '.join(narrowed)} came as float64 and float32 is used, because x64 is off: cast to float32, or "
            'call jax.config.update("jax_enable_x64", True) first',
            stacklevel=depth,
        )


def check_count(name: str, value: Any, *, minimum: int) -> int:
    """Returns `value` as an int, or raises a ValueError unless it is a whole number of at least `minimum`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not whole or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")
    return int(value)


def check_number(
    name: str, value: Any, *, minimum: float = -math.inf, below: float = math.inf
) -> float:
    """Returns `value` as a float, or raises a ValueError unless it is finite and in [minimum, below)."""
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
    """Raises a ValueError with the first index at which a concrete array is NaN or infinite."""
    wrong = np.argwhere(~np.isfinite(np.asarray(array)))
    if wrong.size:
        index = tuple(int(i) for i in wrong[0])
        where = ", ".join(map(str, index))
        value = np.asarray(array)[index]
        raise ValueError(
            f"{name} must be finite, got {name}[{where}] = {value} ({len(wrong)} such in all)"
        )
