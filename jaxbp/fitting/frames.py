"""Data frames of pandas and polars: their names and numbers."""

from typing import Any

import numpy as np


def column_names(array: Any) -> tuple[str, ...]:
    """The names of a data frame's columns or of a series, of pandas or polars; else empty."""
    columns = getattr(array, "columns", None)
    if columns is None:
        name = getattr(array, "name", None)
        columns = [name] if isinstance(name, str) and name else []
    return tuple(map(str, columns))


def names_of(inputs: Any, outputs: Any, num_inputs: int, num_outputs: int) -> tuple[str, ...]:
    """The names of data frames of inputs and outputs; empty where neither has any."""
    names = column_names(inputs), column_names(outputs)
    counts = num_inputs, num_outputs
    if not any(names):
        return ()
    return tuple(
        name
        for kind, known, count in zip(("input", "output"), names, counts, strict=True)
        for name in known or (f"{kind}_{i}" for i in range(count))
    )


def frame_values(argument: str, frame: Any, names: tuple[str, ...] = ()) -> Any:
    """Return the numbers of a data frame, in the order of these names; other arrays as they are.

    Raises:
        ValueError: a name is missing, or a value is.
        TypeError: a column holds no numbers.
    """
    if not hasattr(frame, "columns"):
        return np.asarray(frame) if hasattr(frame, "to_numpy") else frame
    columns = column_names(frame)
    if missing := [name for name in names if name not in columns]:
        raise ValueError(f"{argument} must have a column {missing[0]!r}, got {', '.join(columns)}")
    by_name = dict(zip(columns, frame.columns, strict=True))
    parts = []
    for name in names or columns:
        values = np.asarray(frame[by_name[name]])
        if values.dtype.kind not in "iufb":
            came = frame[by_name[name]].dtype
            raise TypeError(
                f"column {name} of {argument} must hold numbers without gaps, got {came}"
            )
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise ValueError(
                f"column {name} of {argument} must be finite, got {values[wrong[0]]} in row "
                f"{wrong[0]} ({wrong.size} such in all)"
            )
        parts.append(values.astype(np.float64))
    return np.column_stack(parts) if parts else np.empty((len(frame), 0))
