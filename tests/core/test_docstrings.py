"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import jaxbp

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


def test_every_function_of_the_package_has_an_example():
    """All but `export_program`, which needs an extra and has its example in the documentation."""
    functions = {
        name: some
        for name in dir(jaxbp)
        if not name.startswith("_")
        and name != "export_program"
        and inspect.isroutine(some := getattr(jaxbp, name))
    }
    assert [name for name, some in functions.items() if ">>>" not in inspect.getdoc(some)] == []
