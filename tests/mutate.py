"""Judge the tests: change one line of `jaxbp/` at a time, run the module's own tests, and list the changes that live.

    python tests/mutate.py --number 60 --only dense network backprop losses

A change lives where the quick tests of its module pass with it: either a test is missing, or it changes nothing that
can be seen. The package is copied to a temporary folder and changed there; the working tree is left as it is. `viz/`
is left out: most of its numbers are widths and shades, which the eye judges.

Some processes share the changes, a copy of the package each. Every run of tests is forked from one of them, which has
imported jax already, and all share one cache of compiled programs: a changed program has another key in it, so that
only what changed is compiled again.
"""

import argparse
import ast
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
# The test files that are about a module or a room, quick ones first; a file of the module's own name comes before them.
TESTS = {
    "activations": "promises gradient transformations",
    "losses": "promises bad_input gauss_newton gradient",
    "params": "bad_input transformations model",
    "_samples": "bad_input promises",
    "_checks": "bad_input",
    "_sharding": "transformations",
    "dense": "promises gradient transformations",
    "network": "promises gradient transformations",
    "backprop": "promises gradient transformations",
    "jacobian": "gauss_newton gradient",
    "gradcheck": "promises numerical gradcheck judges",
    "interchange": "interchange",
    "ledger": "ledger",
    "graph": "graph",
    "training": "promises training checkpoints recorder stages gauss_newton many devices bad_input",
    "fitting": "fitting",
    "data": "data functions images bad_input",
    "_archive": "model_files checkpoints",
    "_files": "checkpoints model_files faults",
    "_interrupts": "checkpoints",
    "model_file": "model_files",
    "model": "model model_files",
    "score": "model",
    "sklearn": "sklearn",
    "__main__": "command",
}
OWN = {
    "checkpoint_file": "checkpoints", "progress": "checkpoints", "least_squares": "fitting", "rows": "fitting",
    "side_by_side": "many", "shards": "devices", "shared_gram": "devices", "output_layer": "gauss_newton",
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def changes(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Makes each change in turn in the tree, and takes it back; gives its line and the whole changed program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OPERATORS:
            before, node.op = node.op, OPERATORS[type(node.op)]()
            yield node.lineno, ast.unparse(tree)
            node.op = before
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
            first = node.ops[0]
            node.ops[0] = OPERATORS[type(first)]()
            yield node.lineno, ast.unparse(tree)
            node.ops[0] = first
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            sign, node.op = node.op, ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
            if isinstance(node.op, ast.UAdd):
                yield node.lineno, ast.unparse(tree)
            node.op = sign
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            value = node.value
            node.value = not value if isinstance(value, bool) else value + 1
            yield node.lineno, ast.unparse(tree)
            node.value = value


class Change(NamedTuple):
    """A module, the line in it that is changed, and the whole changed program."""

    path: Path
    line: int
    text: str


def sample(number: int, seed: int, only: list[str]) -> list[Change]:
    """Draws changes, as many from each module as it has room for, in proportion to its length."""
    found = []
    for path in sorted((ROOT / "jaxbp").rglob("*.py")):
        room = path.relative_to(ROOT / "jaxbp").parts[0].removesuffix(".py")
        if room in TESTS and (not only or room in only or path.stem in only):
            found += [Change(path, *change) for change in changes(ast.parse(path.read_text(encoding="utf-8")))]
    return random.Random(seed).sample(found, min(number, len(found)))


def test_files(path: Path) -> list[str]:
    """The files to run for a module, that of its own name first."""
    room = path.relative_to(ROOT / "jaxbp").parts[0].removesuffix(".py")
    names = [OWN.get(path.stem, path.stem), *TESTS.get(room, "").split()]
    return [f"tests/test_{name}.py" for name in dict.fromkeys(names) if (ROOT / f"tests/test_{name}.py").exists()]


def run_tests(folder: Path, files: Sequence[str]) -> None:
    """Runs files of the copy in this process, silently, and exits with pytest's status."""
    import pytest

    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os._exit(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *files]))


def passes(folder: Path, files: Sequence[str], seconds: float | None = None) -> bool:
    """Whether the tests of the copy pass, within a time."""
    running = multiprocessing.get_context("fork").Process(target=run_tests, args=(folder, files))
    running.start()
    running.join(seconds)
    if running.exitcode is None:
        running.kill()
        running.join()
    return running.exitcode == 0


def lives(change: Change) -> bool:
    """Whether the module's tests pass with this change, in this process's copy of the package."""
    folder = Path(os.environ["MUTATED"])
    place = folder / change.path.relative_to(ROOT)
    before = place.read_text(encoding="utf-8")
    place.write_text(change.text, encoding="utf-8")
    try:
        return passes(folder, test_files(change.path), seconds=600)
    finally:
        place.write_text(before, encoding="utf-8")
        for compiled in place.parent.glob(f"__pycache__/{place.stem}.*"):  # two changes within a second look the same
            compiled.unlink()


def sound(file: str) -> bool:
    """Whether the tests of a file pass before anything is changed."""
    return passes(Path(os.environ["MUTATED"]), [file])


def copy_package(folders: Any) -> None:
    """Gives a process a folder of its own, written as a changed file is, so that no other line differs."""
    os.environ["MUTATED"] = folder = folders.get()
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", ".venv*"))
    for path in (Path(folder) / "jaxbp").rglob("*.py"):
        path.write_text(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))), encoding="utf-8")


def shown(change: Change) -> str:
    """The line before and after."""
    text = change.path.read_text(encoding="utf-8")
    before, old = text.splitlines()[change.line - 1].strip(), set(ast.unparse(ast.parse(text)).splitlines())
    after = next((new.strip() for new in change.text.splitlines() if new not in old), "")
    return f"{change.path.relative_to(ROOT)}:{change.line}\n    {before}\n    {after}"


def main() -> None:
    """Draws, changes, runs, and prints what lives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--these", type=int, nargs="*", help="of the drawn changes, as an earlier run numbered them")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    flags = parser.parse_args()
    drawn = dict(enumerate(sample(flags.number, flags.seed, flags.only), start=1))
    drawn = {number: change for number, change in drawn.items() if not flags.these or number in flags.these}
    files = sorted({name for change in drawn.values() for name in test_files(change.path)})
    alive = 0
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{temporary}/compiled")
        os.environ |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "OPENBLAS_NUM_THREADS": "1"}
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # what the cache says of each program is no part of a test's output
        for name in ("matplotlib.pyplot", "optax", "scipy.optimize", "tyro", "pytest"):  # imported once, for all runs
            importlib.import_module(name)
        fork = multiprocessing.get_context("fork")
        folders = fork.Queue()
        for i in range(flags.processes):
            folders.put(f"{temporary}/{i}")
        with ProcessPoolExecutor(flags.processes, fork, copy_package, (folders,)) as pool:
            for file, right in zip(files, pool.map(sound, files), strict=True):
                if not right:
                    raise SystemExit(f"the tests must pass before anything is changed, those of {file} do not")
            running = {pool.submit(lives, change): number for number, change in drawn.items()}
            for ended, future in enumerate(as_completed(running), start=1):
                if future.result():
                    alive += 1
                    print(f"{running[future]} lives: {shown(drawn[running[future]])}", flush=True)
                print(f"{ended} of {len(drawn)}, {alive} live", end="\r", file=sys.stderr, flush=True)
    print(f"{len(drawn) - alive} of {len(drawn)} changes were found by the tests")


if __name__ == "__main__":
    main()
