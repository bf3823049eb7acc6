"""Tables of numbers from CSV, spreadsheet and npz files; errors name file, row and column."""

import csv
import re
import warnings
from pathlib import Path
from typing import Literal

import numpy as np

from jaxbp._archive import MAX_BYTES, open_zip, read_bytes, read_npy
from jaxbp._checks import check_count, check_name, nearest_first
from jaxbp._files import as_path
from jaxbp.fitting.cells import Reading, Table

Columns = tuple[str, ...] | Literal["all"] | None
TEXTS = (".csv", ".tsv", ".txt", ".dat")
# Names of a column that numbers the rows.
NUMBERS_ROWS = re.compile(
    r"(unnamed|index|id|idx|row|run|case|sample|record|no|nr|#|number)[\W_\d]*(id|no|nr|number)?\.?",
    re.IGNORECASE,
)


def read_table(
    path: str | Path,
    columns: Columns = None,
    *,
    skip_rows: int = 0,
    drop_missing: bool = False,
    categories: str = "refuse",
    decimal: str | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    r"""Read columns of numbers.

    A text file has a line of names; between columns are commas, semicolons, tabs or spaces. Decimal
    commas, thousands separators, a row of units and comment lines are read; what was assumed is one
    warning. A spreadsheet needs pandas (extra `tables`). An npz file has one array for each name,
    all of one size.

    Args:
        path: a file that ends in .csv, .tsv, .txt, .dat, .xlsx or .npz.
        columns: the names to read, in this order; "all" of the file but one that only numbers the
            rows, or its first three unless given. A name "kind=steel" is 1 where the column `kind`
            holds the text "steel", else 0.
        skip_rows: lines before the line of names.
        drop_missing: leaves rows out that lack a value; without it a missing value raises.
        categories: "refuse", or "one-hot" for a column of 0 and 1 for each text of a column.
        decimal: "." or ","; by default as the numbers of the file require.

    Returns:
        (num_rows, num_columns) in float64, and the names.

    Raises:
        ValueError: the file is missing, not readable or of another kind, lacks a column, or holds
            something that is not a finite number; the message names file, row (that of the file)
            and column.

    Example:
        >>> from pathlib import Path
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "runs.csv"
        >>> _ = path.write_text("mass,time\n30,0.4\n60,0.5\n")
        >>> read_table(path, "all")
        (array([[30. ,  0.4],
               [60. ,  0.5]]), ('mass', 'time'))
    """
    path = as_path(path)
    if not path.is_file():
        raise ValueError(
            f"{path} must be a file, {'it is a directory' if path.is_dir() else 'there is none'}"
        )
    check_name("categories", categories, ("refuse", "one-hot"))
    if decimal is not None:
        check_name("decimal", decimal, (".", ","))
    skipped = check_count("skip_rows", skip_rows, minimum=0)
    reading = Reading(skipped, drop_missing, categories == "one-hot", decimal)
    suffix = path.suffix.lower()
    if suffix not in (*TEXTS, ".xlsx", ".npz"):
        raise ValueError(f"{path} must end in {', '.join(TEXTS)}, .xlsx or .npz")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} must have at most {MAX_BYTES} bytes")
    try:
        if suffix == ".npz":
            table, names = _read_npz(path, columns)
        else:
            cells = Table(path, reading)
            table, names = cells.read(_choose(path, cells.names, columns))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} could not be read: {error}") from error
    if not len(table):
        raise ValueError(f"{path} must hold at least one row of numbers")
    return _without_row_numbers(path, table, names) if columns == "all" else (table, names)


def _without_row_numbers(
    path: Path, table: np.ndarray, names: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Leave a column out that only numbers the rows."""
    numbered = [
        name
        for name, column in zip(names, table.T, strict=True)
        if NUMBERS_ROWS.fullmatch(name)
        and (column == column.round()).all()
        and len(np.unique(column)) == len(column) > 2
    ]
    if not numbered or len(names) < 3:
        return table, names
    kept = [name not in numbered for name in names]
    warnings.warn(
        f"{path}: column {numbered[0]} only numbers the rows and is left out; it is read where "
        "it is named",
        stacklevel=3,
    )
    return table[:, kept], tuple(name for name in names if name not in numbered)


def _choose(path: Path, present: list[str], columns: Columns) -> tuple[str, ...]:
    if columns is None:
        if len(present) < 3:
            raise ValueError(
                f"{path} must have at least three columns, got {', '.join(present) or 'none'}"
            )
        columns = tuple(present[:3])
    elif columns == "all":
        columns = tuple(present)
    for name in columns:
        if name not in present and not any(name.startswith(f"{base}=") for base in present):
            raise ValueError(
                f"{path} has no column {name!r}; it has {', '.join(nearest_first(name, present))}"
            )
        if present.count(name) > 1:
            raise ValueError(f"{path} has {present.count(name)} columns named {name!r}")
    return columns


def _read_npz(path: Path, columns: Columns) -> tuple[np.ndarray, tuple[str, ...]]:
    try:
        archive = open_zip(read_bytes(path))
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"{path} could not be read: {error}") from error
    with archive:
        present = [name.removesuffix(".npy") for name in archive.namelist()]
        names = _choose(path, present, columns)
        arrays = {}
        for name in names:
            info = archive.infolist()[present.index(name)]
            try:
                array = read_npy(archive.read(info))
            except Exception as error:  # a damaged file may raise anything
                raise ValueError(f"{path}, array {name}: {str(error)[:400]}") from error
            if array.dtype.kind not in "iuf":
                raise ValueError(
                    f"{path}, array {name} must hold real numbers, got dtype {array.dtype}"
                )
            numbers = array.astype(np.float64).ravel()
            wrong = np.flatnonzero(~np.isfinite(numbers))
            if wrong.size:
                raise ValueError(
                    f"{path}, array {name}, element {wrong[0]}: {numbers[wrong[0]]} is not finite"
                )
            arrays[name] = numbers
    sizes = {name: array.size for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{path}: the arrays must have one size, got {sizes}")
    return np.column_stack(list(arrays.values())), names
