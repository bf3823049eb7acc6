"""The page of functions names every public function, and no other."""

import importlib
import re
import types
from pathlib import Path

import pytest

import jaxbp

PAGE = (Path(__file__).parents[1] / "docs" / "en" / "reference" / "functions.md").read_text("utf-8")
NAMED = set(re.findall(r"`([A-Za-z_.]+)(?:\(\))?`", PAGE))


def public(module):
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    } - {"Any", "TYPE_CHECKING"}


def test_every_public_name_has_a_line():
    assert not public(jaxbp) - NAMED
    assert not {f"viz.{name}" for name in public(jaxbp.viz)} - NAMED


@pytest.mark.parametrize("name", sorted(NAMED - {"info", "page", "jax.export"}))
def test_every_name_of_the_page_exists(name):
    if name.startswith("sklearn"):
        pytest.importorskip("sklearn")
        importlib.import_module("jaxbp.sklearn")
    found = jaxbp
    for part in name.split("."):
        if not hasattr(found, part) and isinstance(found, types.ModuleType):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)
