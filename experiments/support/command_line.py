"""What all experiments share on the command line: flags from a dataclass, errors in one line, progress."""

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from jaxbp.names import PlatformName, nearest_first

Config = TypeVar("Config")

# OpenBLAS's threads, which factorize matrices for JAX on a CPU, and XLA's own get into each other's way: on two cores
# the main job took 11.5 s in its loop with two of them and 7.2 s with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@dataclass(frozen=True)
class Common:
    """Flags of every experiment on a source document."""

    out: str = "figures"
    """Folder of the pictures."""
    seed: int = 0
    """Of everything random."""
    platform: PlatformName = "auto"
    """Where to run."""
    show: bool = False
    """Also open the pictures in windows."""
    quiet: bool = False
    """Print the final table only."""


def parse(config_type: type[Config], arguments: Sequence[str], default: Config) -> Config:
    """Reads flags into a frozen dataclass; exits with status 2 and the nearest known name where one is wrong."""
    try:
        import tyro
    except ModuleNotFoundError:
        sys.exit("the experiments need tyro and tqdm: pip install 'jaxbp[experiments]'")
    arguments = split_flags(arguments)
    hints = get_type_hints(config_type)
    for flag, value in itertools.pairwise(arguments):
        hint = hints.get(flag.removeprefix("--").replace("-", "_")) if flag.startswith("--") else None
        if get_origin(hint) is Literal and value not in get_args(hint) and not value.startswith("--"):
            print(
                f"{flag} must be one of {', '.join(nearest_first(value, get_args(hint)))}; got {value!r}",
                file=sys.stderr,
            )
            raise SystemExit(2)
    description = sys.modules["__main__"].__doc__
    return tyro.cli(config_type, args=list(arguments), default=default, description=description)


def split_flags(arguments: Sequence[str]) -> list[str]:
    """Makes two arguments of each --flag=value."""
    parts = (argument.split("=", 1) if argument.startswith("--") else [argument] for argument in arguments)
    return list(itertools.chain.from_iterable(parts))


def run(main: Callable[[Config], None], config: Config) -> None:
    """Runs an experiment; what its user can mend ends it with one line on standard error and status 1."""
    try:
        main(config)
    except (ValueError, TypeError, OSError, OverflowError, MemoryError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


class Progress:
    """A bar on a terminal, plain lines in a pipe, nothing when quiet; to be called with each record of `fit`."""

    def __init__(self, steps: int, *, quiet: bool, num_lines: int = 20) -> None:
        """Starts at step 0 of `steps`; a pipe gets about `num_lines` lines."""
        self._steps, self._quiet, self._every = steps, quiet, max(1, steps // num_lines)
        self._next = 0
        self._bar: Any = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=steps, unit="step", leave=False)

    def __call__(self, record: Any) -> None:
        """Shows a record."""
        losses = f"train {record.loss:.3e}"
        if record.validation_loss == record.validation_loss:
            losses += f"  held-out {record.validation_loss:.3e}"
        if self._bar is not None:
            self._bar.update(record.step - self._bar.n)
            self._bar.set_postfix_str(losses)
        elif not self._quiet and (record.step >= self._next or record.step == self._steps):
            print(f"step {record.step:>6} of {self._steps}  {losses}  {record.seconds:6.1f} s", flush=True)
            self._next = record.step + self._every

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()


def print_table(rows: dict[str, str], title: str) -> None:
    """Prints one quantity a line."""
    width = max(map(len, rows))
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:<{width}}  {value}")


def print_columns(header: Sequence[str], rows: Sequence[Sequence[object]], title: str) -> None:
    """Prints a table with a line for each row, the first column to the left and the others to the right."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    print(f"\n{title}")
    for row in cells:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join([first, *others]).rstrip())
