"""Fit a table, predict with a saved model, or say what a file holds: `python -m jaxbp fit | predict | info`."""

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from jaxbp._files import atomic_write
from jaxbp.fitting import fit_model
from jaxbp.fitting.model import Candidate, Model, load
from jaxbp.fitting.model_file import read_description
from jaxbp.fitting.tables import read_table
from jaxbp.training import use_platform

HEADER = "error on held-out rows, over their standard deviation; time; what was tried"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status, 0, or 1 after one line on standard error.

    Args:
        arguments: of the command line, those of this process unless given.

    Raises:
        SystemExit: the flags are wrong (status 2), or help was asked for.
    """
    flags = _parser().parse_args(arguments)
    if sys.stdout is None:
        print("error: standard output must be open, it is closed", file=sys.stderr)
        return 1
    try:
        flags.run(flags)
        sys.stdout.flush()
    except (
        BrokenPipeError
    ):  # whoever read the output has left; nothing more is to be written, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (ValueError, TypeError, OSError, OverflowError, MemoryError) as error:
        print(f"error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # what a full disk does not take would fail at exit once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m jaxbp", description="Fits smooth functions to tables of numbers."
    )
    commands = parser.add_subparsers(required=True, metavar="fit | predict | info")
    fit = commands.add_parser("fit", help="fit a model to the rows of a table and save it")
    fit.add_argument(
        "table",
        metavar="TABLE.csv",
        help="numbers under a line of names (also .npz, an array a name)",
    )
    fit.add_argument(
        "--target", action="append", required=True, help="column to predict; repeat it for several"
    )
    fit.add_argument(
        "--inputs", nargs="+", metavar="NAME", help="columns to predict from (default: all others)"
    )
    fit.add_argument("--out", default="model.npz", help="file of the model (default: %(default)s)")
    fit.add_argument(
        "--seconds", type=float, default=10.0, help="time for the fit (default: %(default)g)"
    )
    fit.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    fit.set_defaults(run=_fit)
    predict = commands.add_parser("predict", help="predict with a saved model")
    predict.add_argument("model", metavar="MODEL", help="what fit wrote")
    predict.add_argument(
        "points", metavar="POINTS.csv", help="a table that has the model's input columns"
    )
    predict.add_argument(
        "--out", help="file of the points and their predictions (default: standard output)"
    )
    predict.set_defaults(run=_predict)
    info = commands.add_parser("info", help="say what a saved model is and how it was chosen")
    info.add_argument("model", metavar="MODEL", help="what fit wrote")
    info.set_defaults(run=_info)
    return parser


def _fit(flags: argparse.Namespace) -> None:
    out = Path(flags.out).expanduser()
    _check_writable(out)
    targets = tuple(flags.target)
    inputs = flags.inputs or [
        name for name in read_table(flags.table, "all")[1] if name not in targets
    ]
    names = (*inputs, *targets)
    twice = [name for name in names if names.count(name) > 1]
    if twice or not inputs:
        came = f"{twice[0]!r} twice" if twice else "no input"
        raise ValueError(
            f"inputs and targets must be different columns, at least one of each; got {came}"
        )
    table, _ = read_table(flags.table, names)
    points, outputs = table[:, : len(inputs)], table[:, len(inputs) :]
    print(
        f"{len(table)} rows of {flags.table}: {', '.join(targets)} as a function of {', '.join(inputs)}\n{HEADER}",
        flush=True,
    )
    use_platform()
    model = fit_model(
        points,
        outputs[:, 0] if len(targets) == 1 else outputs,
        seconds=flags.seconds,
        seed=flags.seed,
        names=names,
        on_candidate=lambda candidate: print(_line(candidate), flush=True),
    )
    model.save(out)
    print("\n".join([*_lines(model), f"wrote {out}"]))


def _predict(flags: argparse.Namespace) -> None:
    out = flags.out and Path(flags.out).expanduser()
    if out:
        _check_writable(out)
    model = load(flags.model)
    num_inputs, num_outputs = model.num_inputs, model.num_outputs
    points, columns = read_table(flags.points, model.names[:num_inputs] or "all")
    if len(columns) != num_inputs:
        raise ValueError(
            f"{flags.points} must have {num_inputs} columns for {flags.model}, whose columns have no names; "
            f"got {', '.join(columns)}"
        )
    use_platform()
    header = (*columns, *(model.names[num_inputs:] or (f"output_{i}" for i in range(num_outputs))))
    rows = np.column_stack([points, model(points)]).tolist()
    if out:
        with atomic_write(out) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            _write_csv(file, header, rows)
        print(f"wrote {len(rows)} predictions to {out}")
    else:
        _write_csv(sys.stdout, header, rows)


def _info(flags: argparse.Namespace) -> None:
    path = Path(flags.model).expanduser()
    description, model = read_description(path), load(path)
    print("\n".join([f"{path}: {path.stat().st_size} bytes", *_lines(model)]))
    print(f"saved by jaxbp {description['jaxbp']} with jax {description['jax']}")
    if model.history:
        print("\n".join([HEADER, *map(_line, model.history)]))


def _lines(model: Model) -> list[str]:
    """What a model is, a quantity a line."""
    return [*str(model).splitlines(), f"numbers in {model.terms[0].dtype}"]


def _line(candidate: Candidate) -> str:
    chosen = "  chosen" if candidate.chosen else ""
    return f"  {candidate.held_out:9.3g}  {candidate.seconds:6.1f} s  {candidate.name}{chosen}"


def _write_csv(file: TextIO, header: Iterable[str], rows: Iterable[Iterable[float]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)  # the shortest digits that give the same number


def _check_writable(path: Path) -> None:
    """Refuses a file that cannot be written, before the work is done."""
    folder = next(some for some in path.absolute().parents if some.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ValueError(f"out must be a file that can be written, got {path}")


if __name__ == "__main__":
    sys.exit(main())
