"""Command line: fit a table, predict, describe a model, write its page or an ONNX file."""

import argparse
import csv
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TextIO

import numpy as np

from jaxbp._checks import nearest_first
from jaxbp._files import as_path, atomic_write, check_output
from jaxbp._text import clean, csv_cell
from jaxbp.export import export_onnx
from jaxbp.fitting import fit_model
from jaxbp.fitting.model import Candidate, Model, load
from jaxbp.fitting.model_file import read_description
from jaxbp.fitting.tables import read_table
from jaxbp.training import use_platform

FILES = {
    "table": "CSV or other text with a line of names, xlsx, or npz",
    "model": "file that fit wrote",
}
HEADER = "validation error over the standard deviation, seconds, candidate"
PAGE_SAMPLES = 512


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status, 0, or 1 after one line on standard error.

    Args:
        arguments: of the command line, those of this process unless given.

    Raises:
        SystemExit: the flags are wrong (status 2), or help was asked for.
    """
    flags = _parser().parse_args(arguments)
    if sys.stdout is None:
        print("error: standard output must be open, it is closed", file=sys.stderr)
        return 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a stream of another kind
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _note
            flags.run(flags)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushed again at exit
        return 141
    except KeyboardInterrupt:
        return 130
    except (ValueError, TypeError, OSError, ImportError, OverflowError, MemoryError) as error:
        text = clean(" ".join(str(error).split()))[:1000] or type(error).__name__
        print(f"error: {text}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # a full disk; it would fail at exit again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _note(message: Any, *where: Any, **more: Any) -> None:
    print(f"note: {clean(message)}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m jaxbp", description="Fit smooth functions to tables of numbers."
    )
    commands = parser.add_subparsers(required=True, metavar="fit | predict | info | page | export")

    def command(run: Any, text: str, *files: str) -> argparse.ArgumentParser:
        made = commands.add_parser(run.__name__.strip("_"), help=text, description=text)
        for name in files:
            made.add_argument(name, metavar=name.upper(), help=FILES[name])
        made.set_defaults(run=run)
        if run not in (_info, _export):
            add = made.add_argument
            text = "lines of the table before its line of names (default: %(default)s)"
            add("--skip-rows", type=int, default=0, metavar="N", help=text)
            add("--drop-missing", action="store_true", help="leave rows out that lack a value")
            text = "decimal sign of the table, where its numbers do not tell"
            add("--decimal", choices=(".", ","), help=text)
        return made

    add = command(_fit, "fit a model to the rows of a table and save it", "table").add_argument
    several: Any = {"nargs": "+", "metavar": "NAME"}
    text = "columns to predict (default: the last one)"
    add("--target", "--targets", action="extend", help=text, **several)
    add("--inputs", help="columns to predict from (default: all others)", **several)
    add("--out", default="model.npz", help="file of the model (default: %(default)s)")
    add("--seconds", type=float, default=10.0, help="time for the fit (default: %(default)g)")
    add("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    text = "most hidden units: a small network in place of the most accurate model"
    add("--max-units", type=int, metavar="N", help=text)
    text = "one-hot for columns of 0 and 1 for the texts of a column (default: refuse)"
    add("--categories", choices=("refuse", "one-hot"), default="refuse", help=text)
    add = command(_predict, "predict with a saved model", "model", "table").add_argument
    add("--out", help="CSV of points and predictions (default: standard output)")
    command(_info, "describe a saved model and how it was chosen", "model")
    text = "write the live page of a saved model of one network, of sizes, or the playground"
    add = command(_page, text).add_argument
    for name in ("model", "table"):
        add(name, metavar=name.upper(), help=FILES[name], nargs="?")
    add("--sizes", type=int, nargs="+", metavar="N", help="units of each layer of a network")
    text = "its parameters: JSON of [weight, bias] pairs, or an .npz of them in this order"
    add("--weights", metavar="FILE", help=text)
    add("--out", default="page.html", help="file (default: %(default)s)")
    add("--lang", default="en", help="en or zh (default: %(default)s)")
    add = command(_export, "write a saved model as an ONNX file", "model").add_argument
    add("--out", default="model.onnx", help="file (default: %(default)s)")
    return parser


def _fit(flags: argparse.Namespace) -> None:
    out = check_output(flags.out, flags.table)
    points, outputs, inputs, targets = _samples(flags)
    names = (*inputs, *targets)
    print(f"{_function(inputs, targets)}: {len(points)} rows of {clean(flags.table)}")
    print(HEADER, flush=True)
    use_platform()
    model = fit_model(
        points,
        outputs[:, 0] if len(targets) == 1 else outputs,
        seconds=flags.seconds,
        seed=flags.seed,
        names=names,
        max_units=flags.max_units,
        on_candidate=lambda candidate: print(_line(candidate), flush=True),
    )
    model.save(out)
    print(_described(model))
    print(f"wrote {clean(out)}")


def _samples(
    flags: argparse.Namespace,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Read what the flags of `fit` ask for: points, outputs and the names of their columns."""
    if flags.inputs and not flags.target:
        flags.target = _read(flags, "all")[1][-1:]
    wanted = (*(flags.inputs or ()), *(flags.target or ()))
    twice = [name for name in wanted if wanted.count(name) > 1]
    table, names = _read(flags, wanted if flags.inputs and not twice else "all")
    targets = tuple(flags.target or names[-1:])
    unknown = [name for name in targets if name not in names]
    if unknown:
        known = ", ".join(nearest_first(unknown[0], names))
        raise ValueError(f"{flags.table} has no column {unknown[0]!r} of numbers; it has {known}")
    inputs = tuple(name for name in names if name not in targets)
    if twice or not inputs:
        given = f"{twice[0]!r} twice" if twice else "no input"
        raise ValueError(
            f"inputs and targets must be different columns, at least one of each; got {given}"
        )
    points, outputs = (table[:, [names.index(name) for name in some]] for some in (inputs, targets))
    return points, outputs, inputs, targets


def _read(flags: argparse.Namespace, columns: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the table as the flags say."""
    return read_table(
        flags.table,
        columns,
        skip_rows=flags.skip_rows,
        drop_missing=flags.drop_missing,
        categories=getattr(flags, "categories", "refuse"),
        decimal=flags.decimal,
    )


def _predict(flags: argparse.Namespace) -> None:
    out = flags.out and check_output(flags.out, flags.model, flags.table)
    model = load(flags.model)
    inputs, outputs = _names(model)
    points, columns = _read_for(model, flags, inputs)
    told = f"{_function(columns, outputs)}: {len(points)} points of {clean(flags.table)}"
    print(told, file=sys.stdout if out else sys.stderr, flush=True)
    use_platform()
    outside = model.outside(points).any(axis=1).sum()
    if outside:
        _note(f"{outside} of {len(points)} points lie outside the ranges of the fitted rows")
    header = (*columns, *outputs)
    if model.bars is None:
        with warnings.catch_warnings(action="ignore"):  # they are counted already
            rows = np.column_stack([points, model(points)]).tolist()
    else:
        header = (*header, *(f"std {name}" for name in outputs))
        rows = np.column_stack([points, *model.with_std(points)]).tolist()
    if not out:
        _write_csv(sys.stdout, header, rows)
        return
    with (
        atomic_write(out) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        _write_csv(file, header, rows)
    print(f"wrote {len(rows)} predictions to {clean(out)}")


def _info(flags: argparse.Namespace) -> None:
    path = as_path(flags.model)
    description, model = read_description(path), load(path)
    print(f"{_function(*_names(model))}: {clean(path)}, {path.stat().st_size} bytes")
    print(_described(model))
    print(f"saved by jaxbp {clean(description['jaxbp'])} with jax {clean(description['jax'])}")
    if model.history:
        print("\n".join([HEADER, *map(_line, model.history)]))


def _page(flags: argparse.Namespace) -> None:
    from jaxbp.viz import save_page
    from jaxbp.viz.page import example_of

    if bool(flags.model) + bool(flags.sizes) > 1 or (flags.weights and not flags.sizes):
        raise ValueError("page must be given a model with its table, or sizes with their weights")
    if flags.sizes:
        out = check_output(flags.out, *filter(None, [flags.weights]))
        example = example_of(flags.sizes, flags.weights)
        print(f"wrote {clean(save_page(*example, out, lang=flags.lang))}")
        return
    if not flags.model:
        print(f"wrote {clean(save_page(path=flags.out, lang=flags.lang))}")
        return
    if not flags.table:
        raise ValueError("page must be given the table of the model")
    out = check_output(flags.out, flags.model, flags.table)
    model = load(flags.model)
    inputs, outputs = _names(model)
    table, _ = _read_for(model, flags, (*inputs, *outputs))
    rows = np.unique(np.linspace(0, len(table) - 1, PAGE_SAMPLES).round().astype(int))
    print(f"{_function(inputs, outputs)}: {len(rows)} of {len(table)} rows of {clean(flags.table)}")
    points, values = table[rows, : len(inputs)], table[rows, len(inputs) :]
    save_page(model, points, values[:, 0] if model.flat else values, out, lang=flags.lang)
    print(f"wrote {clean(out)}")


def _export(flags: argparse.Namespace) -> None:
    out = check_output(flags.out, flags.model)
    model = load(flags.model)
    print(f"{_function(*_names(model))}: {clean(flags.model)}")
    export_onnx(model, model.num_inputs, out)
    print(f"wrote {clean(out)}")


def _function(inputs: Iterable[str], outputs: Iterable[str]) -> str:
    return f"{', '.join(map(clean, outputs))} predicted from {', '.join(map(clean, inputs))}"


def _names(model: Model) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of inputs and of outputs."""
    inputs = model.names[: model.num_inputs] or tuple(f"input_{i}" for i in range(model.num_inputs))
    outputs = tuple(f"output_{i}" for i in range(model.num_outputs))
    return inputs, model.names[model.num_inputs :] or outputs


def _read_for(
    model: Model, flags: argparse.Namespace, names: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the columns of these names; all of them for a model without names."""
    table, columns = _read(flags, names if model.names else "all")
    if len(columns) != len(names):
        raise ValueError(
            f"{flags.table} must have {len(names)} columns for {flags.model}, "
            f"whose columns have no names; got {', '.join(columns)}"
        )
    return table, columns


def _described(model: Model) -> str:
    return "\n".join(map(clean, repr(model).splitlines()))


def _line(candidate: Candidate) -> str:
    chosen = "  chosen" if candidate.chosen else ""
    name = clean(candidate.name)
    return f"  {candidate.held_out:9.3g}  {candidate.seconds:6.1f} s  {name}{chosen}"


def _write_csv(file: TextIO, header: Iterable[str], rows: Iterable[Iterable[float]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(csv_cell, header))
    writer.writerows(rows)  # the shortest digits that give the same number


if __name__ == "__main__":
    # Outside of writes Ctrl-C ends the program at once; JAX's callbacks would lose an exception.
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
