"""Numbers, arrays and foreign texts as they are written in terminals, tables, figures and files."""

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Characters that steer a terminal, break a line or turn the direction of writing.
CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def number(value: Any, digits: int = 4) -> str:
    """Return a number in so many figures, as a program reads it: 1.5e-09."""
    if np.iscomplexobj(value):
        return f"{complex(value) + 0.0:.{digits}g}"
    return f"{float(value) + 0.0:.{digits}g}"  # + 0.0 makes 0 of -0


def typeset(value: Any, digits: int = 3) -> str:
    """Return a number as a figure shows it: 1.5×10⁻⁹, with a true minus sign."""
    mantissa, _, exponent = number(value, digits).partition("e")
    return mantissa.replace("-", "−") + power(int(exponent or 0))


def power(exponent: int) -> str:
    """Return a power of ten as a factor, nothing for 1."""
    return f"×10{str(exponent).translate(SUPERSCRIPTS)}" if exponent else ""


def summary(
    array: Any, digits: int = 4, most: int = 4, write: Callable[[Any, int], str] = number
) -> str:
    """Return the numbers of a small array, or shape and norm, or the dtype where it has none."""
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == np.bool_):
        return f"{array.dtype}{list(array.shape)}"
    values = np.asarray(array)
    if values.size <= most:
        return ", ".join(write(value, digits) for value in values.ravel())
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.linalg.norm(values.astype(np.result_type(values.dtype, np.float64)))
    return f"{list(values.shape)}, norm {write(norm, digits)}"


def clean(text: object) -> str:
    """Return a foreign text with its control characters written as escapes."""
    return CONTROLS.sub(lambda found: ascii(found.group())[1:-1], str(text))


def csv_cell(text: object) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned.lstrip()[:1] in tuple("=+-@") else cleaned
