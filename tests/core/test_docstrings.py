"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import jaxbp
from jaxbp import viz

MODULES = [
    module.name
    for module in pkgutil.walk_packages(jaxbp.__path__, "jaxbp.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert not doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed


@pytest.mark.parametrize("package", [jaxbp, viz])
def test_every_function_has_an_example(package):
    """All but the exports, which need extras and have their examples in the documentation."""
    functions = {
        name: some
        for name in dir(package)
        if not name.startswith(("_", "export_"))
        and inspect.isroutine(some := getattr(package, name))
    }
    assert [name for name, some in functions.items() if ">>>" not in inspect.getdoc(some)] == []
