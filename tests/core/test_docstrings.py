"""The examples in the docstrings of the modules that make up both passes."""

import doctest
import importlib

import pytest

MODULES = ("activations", "losses", "params", "network", "backprop", "jacobian", "least_squares")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(f"jaxbp.{name}")
    assert not doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed
