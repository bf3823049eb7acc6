"""Judge the tests: change one expression of `jaxbp/` at a time, run the tests that execute it, list
what lives.

    python .ci/mutation/mutate.py --coverage lines.json --number 60 --only dense network backprop losses
    python .ci/mutation/mutate.py --coverage lines.json --number 60 --only dense network backprop losses
    --these 3a91c0 --slow

First every quick test runs once under `coverage`, which tells the lines of the package that it
executes; jax's caches are cleared between tests, so that each traces what it calls. `--coverage`
keeps what was seen in a file: a later run measures only the test files that were edited meanwhile.
A change is then tested by the tests that execute its line,
quick ones first, up to `--seconds` of them. Where an import executes the line (constants, tables,
defaults), or nothing does (what processes of their own run), the tests that execute anything of
its module are run. `--slow` tries what lives against the long tests too.

A change lives where these tests pass with it: either a test is missing, or it changes nothing that
can be seen. What
was looked at and cannot be seen stands in `equivalent_changes.py` with its reason, and is counted
apart. `viz/` and `_html` are left out: most of their numbers are widths and shades, which are looked
at.

Changes are drawn by a hash of their texts, so that an edit of the package changes the sample where
it changed the text. Some processes share them, a copy of the package each. Every run of tests is
forked from one of them, which has imported jax already, and all share one cache of compiled
programs: only what a change concerns is compiled again.
"""

import argparse
import ast
import hashlib
import importlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from equivalent_changes import reason
from executed_lines import run_tests

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"viz", "_html", "_version", "__init__"}
# Test files about other things than what the package computes, or long ones about whole programs.
APART = {"house", "source_documents", "page", "pages", "experiments", "benchmark", "contest"}
# Test files that start processes of their own, by what runs there.
PROCESSES = {"__main__": "command", "hosts": "hosts", "_interrupts": "checkpoints"}
OUT_OF_TIME, NO_SUCH_TEST, NOTHING_RUN = -1, 4, 5  # the latter two are pytest's
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def changed_programs(tree: ast.Module) -> Iterator[tuple[int, str]]:
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
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node.op = node.op, ast.UAdd()
            yield node.lineno, ast.unparse(tree)
            node.op = sign
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            value = node.value
            node.value = not value if isinstance(value, bool) else value + 1
            yield node.lineno, ast.unparse(tree)
            node.value = value


class Change(NamedTuple):
    """A module and its line that is changed, that line as unparsed before and after, and the whole changed program."""

    module: str
    line: int
    before: str
    after: str
    program: str

    def place(self, seed: int) -> str:
        """Where the change stands among all in the order of a seed; its first digits name it."""
        return hashlib.sha256(
            f"{seed} {self.module} {self.before} {self.after}".encode()
        ).hexdigest()

    def __str__(self) -> str:
        differ = (
            i
            for i, pair in enumerate(zip(self.before, self.after, strict=False))
            if len(set(pair)) > 1
        )
        first = max(0, next(differ, 0) - 80)
        shown = (text[first : first + 200] for text in (self.before, self.after))
        return "\n    ".join([f"{self.module}:{self.line}", *shown])


def sample(number: int, seed: int, only: Sequence[str]) -> dict[str, Change]:
    """Draws changes among those of some rooms or modules, by name; of two that read the same, one."""
    found = {}
    for path in sorted((ROOT / "jaxbp").rglob("*.py")):
        rooms = {path.relative_to(ROOT / "jaxbp").parts[0].removesuffix(".py"), path.stem}
        if not rooms & LEFT_OUT and (not only or rooms & set(only)):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            plain = ast.unparse(tree).splitlines()
            for line, program in changed_programs(tree):
                old, new = next(
                    pair
                    for pair in zip(plain, program.splitlines(), strict=True)
                    if len(set(pair)) > 1
                )
                change = Change(
                    str(path.relative_to(ROOT)), line, old.strip(), new.strip(), program
                )
                found[change.place(seed)] = change
    return {place[:6]: found[place] for place in sorted(found)[:number]}


def fork_tests(
    folder: Path,
    tests: Sequence[str],
    seconds: float,
    marker: str = "not slow",
    seen: Path | None = None,
) -> int:
    """Pytest's status after tests of the copy, or one of its own after some seconds."""
    running = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(folder, tests, marker, seen)
    )
    running.start()
    running.join(seconds)
    if running.exitcode is None:
        running.kill()
        running.join()
        return OUT_OF_TIME
    return running.exitcode


def measure(file: str) -> dict[str, Any]:
    """What the tests of a file execute, before anything is changed."""
    folder = Path(os.environ["MUTATED"])
    seen = folder / "seen.json"
    seen.unlink(missing_ok=True)
    fork_tests(folder, [file], 1800, seen=seen)
    found = {"text": (folder / file).read_text("utf-8"), **json.loads(seen.read_text("utf-8"))}
    if found["failed"] and fork_tests(folder, found["failed"], 600) == 0:
        found[
            "failed"
        ] = []  # what is watched starts with empty caches, which bits and a second tracing can tell
    return found


def tests_of(change: Change, files: dict[str, Any], limit: float) -> tuple[list[str], float]:
    """The tests to run for a change, quick ones first, and how long they take."""
    right = {
        test for file in files.values() for test in file["seconds"] if test not in file["failed"]
    }
    seconds = {test: took for file in files.values() for test, took in file["seconds"].items()}
    modules = [file["lines"].get(change.module, {}) for file in files.values()]
    tests = {test for lines in modules for test in lines.get(change.before, [])}
    if not tests or "" in tests:  # an import executes it: any user of the module may see the change
        touching = [
            file
            for file, lines in zip(files.values(), modules, strict=True)
            if any(map(any, lines.values()))
        ]
        tests |= {test for file in touching for test in file["seconds"]}
    chosen, total = [], 0.0
    for test in sorted(tests & right, key=seconds.__getitem__):
        total += seconds[test]
        if total > limit:
            break
        chosen.append(test)
    own = PROCESSES.get(Path(change.module).stem)
    return chosen + [f"tests/test_{own}.py"] * bool(own), total


def verdict(change: Change, tests: list[str], took: float, slow: bool) -> str:
    """Whether the change lives, and if not what ended it, in this process's copy of the package."""
    folder = Path(os.environ["MUTATED"])
    place = folder / change.module
    before = place.read_text(encoding="utf-8")
    place.write_text(change.program, encoding="utf-8")
    try:
        status = fork_tests(folder, tests, 120 + 4 * took) if tests else 0
        if (
            status == NO_SUCH_TEST
        ):  # a table's rows are parameters of tests, and have other names now
            status = fork_tests(
                folder, list(dict.fromkeys(test.split("[")[0] for test in tests)), 120 + 4 * took
            )
        if status == 0 and slow:
            files = list(dict.fromkeys(test.split("::")[0] for test in tests))
            status = fork_tests(folder, files, 1200, marker="slow")
        return {0: "lives", NOTHING_RUN: "lives", OUT_OF_TIME: "ran out of time"}.get(
            status, "found"
        )
    finally:
        place.write_text(before, encoding="utf-8")
        for compiled in place.parent.glob(
            f"__pycache__/{place.stem}.*"
        ):  # two changes within a second look the same
            compiled.unlink()


def copy_package(folders: Any) -> None:
    """Gives a process a folder of its own, written as a changed file is, so that no other line differs."""
    os.environ["MUTATED"] = folder = folders.get()
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", ".venv*"))
    for path in (Path(folder) / "jaxbp").rglob("*.py"):
        path.write_text(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))), encoding="utf-8")


def main() -> None:
    """Draws, changes, runs, and prints what lives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument(
        "--these", nargs="*", help="of the drawn changes, by the names that an earlier run printed"
    )
    parser.add_argument(
        "--coverage", type=Path, help="a file that keeps which test executes which line"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=200,
        help="of tests for a change, as long as they take unchanged",
    )
    parser.add_argument(
        "--slow", action="store_true", help="try what lives against the long tests too"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    flags = parser.parse_args()
    drawn = sample(flags.number, flags.seed, flags.only)
    known = {
        name: reason(change.module, change.before, change.after) for name, change in drawn.items()
    }
    tried = {name: drawn[name] for name in flags.these or drawn if flags.these or not known[name]}
    files = (
        json.loads(flags.coverage.read_text("utf-8"))
        if flags.coverage and flags.coverage.exists()
        else {}
    )
    paths = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path.stem[5:] not in APART
    ]
    stale = [
        path
        for path in paths
        if files.get(path, {}).get("text") != (ROOT / path).read_text(encoding="utf-8")
    ]
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{temporary}/compiled")
        os.environ |= {
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "OPENBLAS_NUM_THREADS": "1",
        }
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = (
            "3"  # what the cache says of each program is no part of a test's output
        )
        for name in (
            "matplotlib.pyplot",
            "optax",
            "scipy.optimize",
            "tyro",
            "pytest",
        ):  # imported once, for all runs
            importlib.import_module(name)
        fork = multiprocessing.get_context("fork")
        folders = fork.Queue()
        for i in range(flags.processes):
            folders.put(f"{temporary}/{i}")
        with ProcessPoolExecutor(flags.processes, fork, copy_package, (folders,)) as pool:
            measured = {
                pool.submit(measure, path): path
                for path in sorted(stale, key=lambda path: -(ROOT / path).stat().st_size)
            }
            for future in as_completed(measured):
                files[measured[future]] = future.result()
                failed = future.result()["failed"]
                print(
                    f"{measured[future]} measured",
                    *failed and ["without", *failed],
                    file=sys.stderr,
                    flush=True,
                )
                if flags.coverage:
                    flags.coverage.write_text(json.dumps(files), encoding="utf-8")
            files = {path: files[path] for path in paths}
            running = {}
            for name, change in tried.items():
                running[
                    pool.submit(
                        verdict, change, *tests_of(change, files, flags.seconds), flags.slow
                    )
                ] = name
            ends = Counter()
            for future in as_completed(running):
                ends[future.result()] += 1
                if future.result() != "found":
                    print(
                        f"{running[future]} {future.result()}: {tried[running[future]]}",
                        flush=True,
                    )
                print(
                    f"{ends.total()} of {len(tried)}, {ends['lives']} live",
                    end="\r",
                    file=sys.stderr,
                    flush=True,
                )
    kinds = Counter(why.split(":")[0] for why in known.values() if why)
    print(
        f"{len(tried)} of {len(drawn)} changes tried: {dict(ends)}; not to be seen, by their kind: {dict(kinds)}"
    )


if __name__ == "__main__":
    main()
