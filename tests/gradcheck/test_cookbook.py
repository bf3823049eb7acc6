"""The rules of the cookbook pass, and each of their two best-known mistakes is found."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxbp

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "en" / "rules"))

from cookbook import RECIPES

pytestmark = pytest.mark.usefixtures("compiled_quickly")
QUICK = ("layer norm", "embedding", "stable norm")


def report_of(name, mistake, dtype, with_reference=True):
    recipe = RECIPES[name]
    with jax.enable_x64(dtype is np.float64):
        arguments = [
            jnp.asarray(leaf, dtype if leaf.dtype.kind == "f" else None)
            for leaf in recipe.draw(np.random.default_rng(0))
        ]
        reference = (recipe.reference or recipe.function) if with_reference else None
        return jaxbp.check_rule(recipe.rule(mistake), reference, *arguments, rtol=recipe.rtol)


def cases(names, mistaken):
    return [
        pytest.param(name, mistake, id=f"{name}: {mistake or 'right'}")
        for name in names
        for mistake in (RECIPES[name].mistakes if mistaken else [None])
    ]


@pytest.mark.parametrize(("name", "mistake"), cases(QUICK, mistaken=False))
def test_a_right_rule_passes(name, mistake):
    report = report_of(name, mistake, np.float32)
    assert report, report


@pytest.mark.parametrize(("name", "mistake"), cases(QUICK, mistaken=True))
def test_a_mistake_is_found(name, mistake):
    assert not report_of(name, mistake, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("with_reference", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "mistake"), cases(RECIPES, mistaken=False))
def test_every_right_rule_passes(name, mistake, dtype, with_reference):
    report = report_of(name, mistake, dtype, with_reference)
    assert report, report


@pytest.mark.slow
@pytest.mark.parametrize("with_reference", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "mistake"), cases(RECIPES, mistaken=True))
def test_every_mistake_is_found(name, mistake, dtype, with_reference):
    assert not report_of(name, mistake, dtype, with_reference)


@pytest.mark.parametrize("name", ["layer norm", "fixed point"])
def test_the_graph_of_a_recipe_holds_its_rule_as_one_node(name):
    recipe = RECIPES[name]
    arguments = [jnp.asarray(leaf, jnp.float32) for leaf in recipe.draw(np.random.default_rng(0))]
    graph = jaxbp.trace_graph(lambda *some: recipe.rule()(*some).sum(), *arguments)
    assert len(graph.nodes) < 12
