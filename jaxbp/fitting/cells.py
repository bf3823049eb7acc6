"""Text tables as people have them: units, gaps, texts, dates, decimal commas, other separators.

A cell is read in one way or refused. What was assumed about a table is one warning.
"""

import csv
import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "--", "?", "#n/a", "missing")
SEPARATORS = "\t;, "
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
PROBE = 50  # lines that a separator is chosen by
LISTED = 5  # rows in a message


def _numbers_with(decimal: str) -> re.Pattern[str]:
    """The pattern of a number with this decimal sign, with or without thousands separators."""
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    grouped = rf"[1-9]\d{{0,2}}({comma}\d{{3}})+({point}\d*)?"
    plain = rf"(\d+({point}\d*)?|{point}\d+)(e[+-]?\d+)?"
    return re.compile(rf"[+-]?({grouped}|{plain}|inf(inity)?)", re.IGNORECASE)


NUMBERS = {sign: _numbers_with(sign) for sign in ".,"}


class Reading(NamedTuple):
    """How a table is read: the arguments of `read_table`; one_hot for its categories."""

    skip_rows: int = 0
    drop_missing: bool = False
    one_hot: bool = False
    decimal: str | None = None


class Table:
    """The cells of a file, to be asked for columns of numbers.

    Attributes:
        names: of the columns.
        rows: the numbers of the lines.
        columns: the stripped cells of each column.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        """Read the file.

        Raises:
            ValueError: a line has another number of cells, there are no names, or numbers can be
                read in two ways.
        """
        excel = path.suffix.lower() == ".xlsx"
        separator, lines = ("", _sheet(path)) if excel else _fields(path, reading.skip_rows)
        self.path, self.reading, self.notes = path, reading, list[str]()
        lines = [line for line in lines if line[0] > reading.skip_rows and any(line[1])]
        row, self.names = lines[0] if lines else (0, [])
        for other, cells in lines:
            if len(cells) != len(self.names):
                counts = f"{len(cells)} fields under {len(self.names)} names"
                raise ValueError(f"{path}, row {other}: {counts}")
        if lines and all(map(NUMBERS["."].fullmatch, self.names)):
            raise ValueError(f"{path}, row {row} must hold names, got numbers")
        self.names = [name or f"unnamed_{place}" for place, name in enumerate(self.names, 1)]
        self.rows = np.array([row for row, _ in lines[1:]], int)
        self.columns = np.array([cells for _, cells in lines[1:]], object).T
        self.decimal = reading.decimal or self._decimal(separator)
        if self.decimal == ",":
            self.notes.append("numbers have decimal commas")
        self._drop_units()

    def _decimal(self, separator: str) -> str:
        """The decimal sign by which every number of the file can be read; an error if two can."""
        some = any("," in cell for column in self.columns for cell in column)
        if not separator or (separator in ", " and not some):
            return "."
        only: dict[str, Any] = {}
        both = None
        for name, column in zip(self.names, self.columns, strict=False):
            for row, cell in zip(self.rows, column, strict=True):
                if not ("." in cell or "," in cell):
                    continue
                fits = "".join(sign for sign in ".," if NUMBERS[sign].fullmatch(cell))
                if len(fits) == 1:
                    only.setdefault(fits, f"{cell!r} in row {row}, column {name}")
                elif fits:
                    both = both or f"row {row}, column {name}: {cell!r}"
        if len(only) == 2:
            raise ValueError(
                f"{self.path} must have one decimal sign, got {' and '.join(only.values())}"
            )
        if both and not only:
            raise ValueError(
                f"{self.path}, {both} may have a decimal sign or a thousands separator: "
                "decimal (--decimal) must say which"
            )
        return "".join(only) or "."

    def _numbers(self, cells: Any) -> np.ndarray:
        """The numbers of cells, NaN for others."""
        if self.decimal == ".":
            try:
                return np.array(list(cells), np.float64)
            except ValueError:
                pass
        pattern, thousands = NUMBERS[self.decimal], "." if self.decimal == "," else ","
        return np.array(
            [
                float(cell.replace(thousands, "").replace(",", "."))
                if pattern.fullmatch(cell)
                else np.nan
                for cell in cells
            ]
        )

    def _drop_units(self) -> None:
        """Leave a first row out that holds texts only, one of them above a column of numbers."""
        if len(self.rows) < 2 or not np.isnan(self._numbers(self.columns[:, 0])).all():
            return
        for units, *cells in self.columns:
            gaps = _missing(cells)
            if (
                not (_missing([units]) | gaps.all())
                and (gaps | np.isfinite(self._numbers(cells))).all()
            ):
                units = ", ".join(self.columns[:, 0])
                self.notes.append(f"row {self.rows[0]} is taken for units ({units})")
                self.rows, self.columns = self.rows[1:], self.columns[:, 1:]
                return

    def read(self, chosen: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return the numbers of columns, of texts as 0 and 1 if wanted, and the names."""
        parts: dict[str, np.ndarray] = {}
        lacking = np.zeros(len(self.rows), bool)
        for name in chosen if len(self.rows) else ():
            base = next(one for one in self.names if one == name or name.startswith(f"{one}="))
            cells = self.columns[self.names.index(base if name not in self.names else name)]
            gaps = _missing(cells)
            lacking |= gaps
            if gaps.any() and not self.reading.drop_missing:
                raise ValueError(
                    f"{self._at(gaps, name)}: the value is missing ({gaps.sum()} of {len(gaps)} "
                    "rows lack one): drop_missing (--drop-missing) leaves them out"
                )
            if name not in self.names:
                known = [one for one in chosen if one.startswith(f"{base}=")]
                kinds = [one.removeprefix(f"{base}=") for one in known]
                self._refuse(~np.isin(cells, kinds) & ~gaps, base, f"must be one of {kinds}")
                parts[name] = cells == name.removeprefix(f"{base}=")
                continue
            numbers = self._numbers(cells)
            wrong = np.isnan(numbers) & ~gaps
            texts = wrong.any() and (wrong | gaps).all() and not any(map(DATE.fullmatch, cells))
            if self.reading.one_hot and texts:
                parts |= {f"{name}={kind}": cells == kind for kind in sorted(set(cells[wrong]))}
                continue
            self._refuse(wrong, name, _why(cells, wrong, gaps))
            self._refuse(np.isinf(numbers), name, "is not finite")
            parts[name] = numbers
        if lacking.any():
            listed = ", ".join(map(str, self.rows[lacking][:LISTED]))
            dots = ", ..." if lacking.sum() > LISTED else ""
            self.notes.append(
                f"{lacking.sum()} rows that lack a value are left out: {listed}{dots}"
            )
        if self.notes:
            warnings.warn(f"{self.path}: {'; '.join(self.notes)}", stacklevel=3)
        columns = [np.asarray(part[~lacking], np.float64) for part in parts.values()]
        return np.array(columns).T, tuple(parts)

    def _refuse(self, rows: np.ndarray, name: str, why: str) -> None:
        """Raise a ValueError that names the first of these rows, if there is any."""
        if rows.any():
            cell = self.columns[self.names.index(name)][rows][0]
            raise ValueError(f"{self._at(rows, name)}: {cell!r} {why}")

    def _at(self, rows: np.ndarray, name: str) -> str:
        return f"{self.path}, row {self.rows[rows][0]}, column {name}"


def _why(cells: Any, wrong: np.ndarray, gaps: np.ndarray) -> str:
    """Why the first of the wrong cells is refused."""
    if wrong.any() and DATE.fullmatch(cells[wrong][0]):
        return "is a date: give a number instead, such as days since the first"
    if (wrong | gaps).all():
        return (
            "is a text and not a number: leave the column out, or make columns of 0 and 1 by "
            "categories one-hot (--categories one-hot)"
        )
    return "is not a number"


def _missing(cells: Any) -> np.ndarray:
    return np.array([cell.lower() in MISSING for cell in cells], bool)


def _sheet(path: Path) -> list[tuple[int, list[str]]]:
    """The rows of a spreadsheet's first sheet, numbered."""
    try:
        import pandas

        cells = pandas.read_excel(path, header=None, dtype=str, na_filter=False)
    except ImportError as error:
        raise ValueError(
            f"{path} can be read with the extra: pip install 'jaxbp[tables]'"
        ) from error
    return [(row, [cell.strip() for cell in line]) for row, line in enumerate(cells.to_numpy(), 1)]


def _fields(path: Path, skipped: int) -> tuple[str, list[tuple[int, list[str]]]]:
    """The separator of a text, and the cells of its lines but comments, numbered."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252")
    numbered = [
        one for one in enumerate(text.splitlines(), 1) if one[0] > skipped and one[1].strip()
    ]
    lines = [one for one in numbered if one[1].lstrip()[0] != "#"]
    above = [one for one in numbered if lines and one < lines[0]]
    if above and not re.search(r"[^\W\deE_]", lines[0][1]):
        row, header = above[-1]  # the names are a comment, as NumPy writes them
        lines = [(row, header.lstrip("# ")), *lines]
    rows, texts = [row for row, _ in lines], [line for _, line in lines]
    separator = _separator(texts[:PROBE])
    if separator == " ":
        return separator, list(zip(rows, map(str.split, texts), strict=True))
    reader = csv.reader(texts, delimiter=separator, skipinitialspace=True)
    cells = [(rows[reader.line_num - 1], [cell.strip() for cell in line]) for line in reader]
    return separator, cells


def _separator(lines: list[str]) -> str:
    """The first by which all lines have as many fields as the line of names, and more than 1."""
    for separator in SEPARATORS:
        cut = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        counts = {len(line) for line in (map(str.split, lines) if separator == " " else cut)}
        if len(counts) == 1 and counts != {1}:
            return separator
    # A row of another length is refused by its number.
    return max(",;\t", key=lines[0].count) if lines else ","
