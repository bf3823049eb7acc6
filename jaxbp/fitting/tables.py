"""Tables of numbers from CSV and npz files, with errors that name file, row and column."""

import csv
import itertools
import math
from pathlib import Path
from typing import Literal

import numpy as np

from jaxbp._archive import MAX_BYTES, open_zip, read_bytes, read_npy
from jaxbp._checks import nearest_first
from jaxbp._files import as_path

Columns = tuple[str, ...] | Literal["all"] | None


def read_table(path: str | Path, columns: Columns = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads columns of numbers.

    A CSV file has a first line of names, between commas, or between semicolons as where numbers
    have decimal commas; an npz file has one array for each name, all of one size.

    Args:
        path: a file that ends in .csv or .npz.
        columns: the names to read, in this order; "all" of the file, or its first three unless
            given.

    Returns:
        (num_rows, num_columns) in float64, and the names.

    Raises:
        ValueError: the file is missing, not readable or of another kind, lacks a column, or holds
            something that is not a finite number; the message names file, row (the header is row 1)
            and column.
    """
    path = as_path(path)
    if not path.is_file():
        raise ValueError(
            f"{path} must be a file, {'it is a directory' if path.is_dir() else 'there is none'}"
        )
    readers = {".csv": _read_csv, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} must end in .csv or .npz")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} must have at most {MAX_BYTES} bytes")
    try:
        table, names = readers[path.suffix.lower()](path, columns)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} could not be read: {error}") from error
    if not len(table):
        raise ValueError(f"{path} must hold at least one row of numbers")
    return table, names


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
        if name not in present:
            raise ValueError(
                f"{path} has no column {name!r}; it has {', '.join(nearest_first(name, present))}"
            )
        if present.count(name) > 1:
            raise ValueError(f"{path} has {present.count(name)} columns named {name!r}")
    return columns


def _read_csv(path: Path, columns: Columns) -> tuple[np.ndarray, tuple[str, ...]]:
    # utf-8-sig also reads the byte-order mark that spreadsheets write before the first name.
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        semicolons = ";" in first and "," not in first
        lines = csv.reader(itertools.chain([first], file), delimiter=";" if semicolons else ",")
        present = [name.strip() for name in next(lines, [])]
        names = _choose(path, present, columns)
        places = [present.index(name) for name in names]
        rows = []
        for fields in lines:
            if not fields:
                continue
            if len(fields) != len(present):
                raise ValueError(
                    f"{path}, row {lines.line_num}: {len(fields)} fields under {len(present)} names"
                )
            texts = [
                fields[place].replace(",", ".") if semicolons else fields[place] for place in places
            ]
            pairs = zip(names, texts, strict=True)
            rows.append([_number(path, lines.line_num, name, text) for name, text in pairs])
    return np.array(rows, np.float64).reshape(-1, len(names)), names


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{path}, row {row}, column {column}: {text!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{path}, row {row}, column {column}: {number} is not finite")
    return number


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
