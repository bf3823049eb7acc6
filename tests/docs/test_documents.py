"""Every code block of README and documentation runs, and prints what stands below it."""

import contextlib
import io
import re
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
# tests/test_interchange.py runs the page on other libraries, as far as they are installed.
PAGES = [
    path
    for path in sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").rglob("*.md")])
    if path.name != "interchange.md"
]
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def blocks(path):
    """Language and text of each code block, in order."""
    return [(language, text) for _, language, text in BLOCK.findall(path.read_text("utf-8"))]


def assert_printed(shown, printed):
    """The words agree, and each number does to the last digit that is shown."""
    assert NUMBER.sub(" # ", shown).split() == NUMBER.sub(" # ", printed).split()
    for one, other in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        mantissa = one.split("e")[0]
        exponent = int(one.split("e")[1]) if "e" in one else 0
        digits = len(mantissa.partition(".")[2])
        assert np.isclose(float(one), float(other), rtol=0, atol=1.01 * 10.0 ** (exponent - digits))


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if any(language == "python" for language, _ in blocks(path))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_code_runs_and_prints_what_is_shown(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, printed = {"__name__": "__main__"}, ""
    x64 = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        for language, text in blocks(path):
            if language == "python":
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    exec(compile(text, str(path), "exec"), names)
                printed = output.getvalue()
            elif language == "text":
                assert_printed(text, printed)
    finally:
        jax.config.update("jax_enable_x64", x64)
