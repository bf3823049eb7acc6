"""Judge the tests: change one line of `jaxbp/` at a time, run the module's own tests, and list the changes that live.

    python tests/mutate.py --number 60 --only dense network backprop losses

A change lives where the tests of its module pass with it: either a test is missing, or it changes nothing that can be
seen. The package is copied to a temporary folder and changed there; the working tree is left as it is.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The test files that are about a module or a room, quick ones first.
TESTS = {
    "activations": "promises gradient transformations",
    "losses": "promises bad_input gauss_newton gradient",
    "params": "bad_input transformations model",
    "_samples": "bad_input promises",
    "_checks": "bad_input house",
    "dense": "promises gradient",
    "network": "promises gradient transformations",
    "backprop": "promises gradient",
    "jacobian": "gauss_newton",
    "gradcheck": "promises numerical gradcheck judges",
    "interchange": "interchange",
    "ledger": "ledger",
    "graph": "graph",
    "training": "promises training checkpoints recorder stages gauss_newton",
    "data": "data images",
    "_archive": "model_files checkpoints",
    "_files": "checkpoints model_files",
    "_interrupts": "checkpoints",
    "model_file": "model_files",
    "model": "model",
    "score": "model",
}
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


def sample(number: int, seed: int, only: list[str]) -> list[tuple[Path, int, str]]:
    """Draws changes, as many from each module as it has room for, in proportion to its length."""
    found = []
    for path in sorted((ROOT / "jaxbp").rglob("*.py")):
        room = path.relative_to(ROOT / "jaxbp").parts[0].removesuffix(".py")
        if room in TESTS and (not only or room in only or path.stem in only):
            found += [(path, line, text) for line, text in changes(ast.parse(path.read_text(encoding="utf-8")))]
    return random.Random(seed).sample(found, min(number, len(found)))


def lives(path: Path, text: str, folder: Path) -> bool:
    """Whether the module's tests pass with this text in its place."""
    room = path.relative_to(ROOT / "jaxbp").parts[0].removesuffix(".py")
    place = folder / path.relative_to(ROOT)
    before = place.read_text(encoding="utf-8")
    place.write_text(text, encoding="utf-8")
    try:
        for name in TESTS[room].split():
            command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
            ended = subprocess.run(
                [*command, f"tests/test_{name}.py"],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(folder)},
                capture_output=True,
                timeout=900,
                check=False,
            )
            if ended.returncode:
                return False
    except subprocess.TimeoutExpired:
        return False
    finally:
        place.write_text(before, encoding="utf-8")
    return True


def main() -> None:
    """Draws, changes, runs, and prints what lives."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    flags = parser.parse_args()
    alive = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "copy"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", "__pycache__", ".venv*"))
        drawn = sample(flags.number, flags.seed, flags.only)
        for number, (path, line, text) in enumerate(drawn, start=1):
            if lives(path, text, folder):
                alive += 1
                before = path.read_text(encoding="utf-8").splitlines()[line - 1].strip()
                old = set(ast.unparse(ast.parse(path.read_text(encoding="utf-8"))).splitlines())
                after = next((new.strip() for new in text.splitlines() if new not in old), "")
                print(f"lives: {path.relative_to(ROOT)}:{line}\n    {before}\n    {after}", flush=True)
            print(f"{number} of {len(drawn)}, {alive} live", end="\r", file=sys.stderr)
    print(f"{len(drawn) - alive} of {len(drawn)} changes were found by the tests")


if __name__ == "__main__":
    main()
