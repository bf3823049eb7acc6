"""Tables of results in a notebook, and the notebook of the documentation."""

import ast
import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxbp
from jaxbp import _html, viz
from jaxbp.fitting import standardizer
from jaxbp.fitting.model import Candidate, Term
from jaxbp.gradcheck import Report
from jaxbp.gradcheck.report import Row
from jaxbp.graph import Graph, Node
from jaxbp.losses import as_loss
from jaxbp.training import FitResult, History, Outcome
from jaxbp.viz import Grid

EVIL = '<script>alert("x")</script>&'
NOTEBOOK = Path(__file__).parent.parent / "docs" / "tour.ipynb"


def layers(*sizes):
    generator = np.random.default_rng(0)
    return tuple(
        jaxbp.Layer(generator.standard_normal(pair), generator.standard_normal(pair[1]))
        for pair in pairwise(sizes)
    )


def trace_of(*sizes, samples):
    """A trace with made-up numbers: only what is shown of it is under test."""
    mlp, params = jaxbp.Mlp(sizes, "tanh"), layers(*sizes)
    rows = tuple(np.full((samples, size), 0.5) for size in sizes[1:])
    inputs, targets = np.full((samples, sizes[0]), 0.25), np.zeros((samples, sizes[-1]))
    return jaxbp.Trace(
        mlp,
        as_loss("mean_squared_error"),
        params,
        inputs,
        targets,
        rows,
        rows,
        rows,
        rows,
        inputs,
        params,
        np.ones(()),
    )


def fit_result(losses):
    steps = np.arange(len(losses))
    history = History(steps, np.array(losses), np.full(len(losses), np.nan), steps / 10)
    return FitResult(layers(2, 1), None, history, Outcome("finished", len(losses)), 0.5, 0.25)


def model():
    scalers = [standardizer(np.array([[1.0] * k, [5.0] * k])) for k in (2, 1)]
    tried = (Candidate(EVIL, 0.25, 1.5), Candidate("tanh 2-1", 0.125, 2.5, chosen=True))
    return jaxbp.Model(
        (Term(jaxbp.Mlp((2, 1)), layers(2, 1), np.ones(1)),),
        *scalers,
        True,
        history=tried,
        names=("east", EVIL, "height"),
    )


def graph():
    value = np.array([1.5, 2.0])
    nodes = (
        Node(0, "input", EVIL, (), value, value),
        Node(1, "sum", "", (0,), np.array(3.5), np.array(1.0)),
    )
    return Graph(nodes, 1)


RIGHT = Row("params[0].weight", "autodiff", 1e-17, 1e-15, (0, 1), 0.5, 0.5)
WRONG = RIGHT._replace(path=EVIL, error=0.3, hand=0.4)
RESULTS = {
    "trace": (lambda: trace_of(3, 4, 2, samples=1), ["3-4-2", "layer 2, unit 2", "0.25"]),
    "large trace": (
        lambda: trace_of(3, 40, 40, 2, samples=7),
        ["mean over 7 samples", "[7, 40], norm"],
    ),
    "report": (
        lambda: Report((RIGHT, WRONG), notes=(EVIL,)),
        ["✗ WRONG", "✓ ok", "params[0].weight[0, 1]"],
    ),
    "graph": (graph, ["2 nodes", "%0", "1.5, 2"]),
    "fit": (
        lambda: fit_result([4.0, np.nan, np.inf, 0.25]),
        ["finished", "0.25"],
    ),
    "diverged fit": (lambda: fit_result([np.nan, np.nan]), ["nan"]),
    "model": (model, ["east", "height", "2-1 linear, 3 parameters", "chosen", "0.125"]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_shows_itself_without_script_and_with_its_names_escaped(name):
    make, texts = RESULTS[name]
    shown = make()._repr_html_()
    for text in texts:
        assert text in shown
    assert "<script" not in shown
    ElementTree.fromstring(
        shown
    )  # well-formed, so that nothing of it leaks into the rest of the notebook
    assert EVIL in "".join(ElementTree.fromstring(shown).itertext()) or name not in (
        "report",
        "graph",
        "model",
    )


def test_a_mean_is_told_where_there_is_one_and_a_run_from_its_first_loss_to_its_last():
    assert "mean over" not in trace_of(3, 4, 2, samples=1)._repr_html_()
    rows = re.findall(r"<tr>.*?</tr>", fit_result([4.0, 1.0, 0.5])._repr_html_())
    texts = ["".join(ElementTree.fromstring(row).itertext()) for row in rows]
    assert {"steps2", "loss, first4", "loss, last0.5"} <= set(texts)


def test_wrong_rows_come_first():
    shown = Report((RIGHT, WRONG))._repr_html_()
    assert shown.index("✗ WRONG</td>") < shown.index("✓ ok")


def test_long_tables_are_cut_and_the_rest_is_counted():
    shown = _html.table(("row",), [(k,) for k in range(100)])
    assert shown.count("<tr>") == 1 + _html.MAX_ROWS
    assert "and 40 more" in shown


def test_a_film_shows_itself_as_a_gif():
    grid = Grid(np.linspace(0, 1, 4), np.linspace(0, 1, 4))
    true = grid.points.prod(axis=1)
    shown = viz.animate_training(grid, [true + 1, true + 0.1], [0, 1], true)._repr_html_()
    assert re.match(
        r'<img src="data:image/gif;base64,R0lGOD[\w+/=]+" alt="film of 2 frames">$', shown
    )


def words_of(shown):
    """The words shown; numbers differ between machines in the last digits."""
    return re.findall(r"[^\W\d_]{2,}", re.sub(r'\S*\d\S*|"[^"]*"', " ", shown))


@pytest.mark.slow
def test_the_notebook_runs_and_each_cell_shows_what_is_committed():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names, shown = {}, 0
    with jax.enable_x64(False):
        for cell in (cell for cell in cells if cell["cell_type"] == "code"):
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, NOTEBOOK.name, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)
                html = value._repr_html_() if hasattr(value, "_repr_html_") else ""
                assert "<script" not in html
                if html and not html.startswith("<iframe"):  # a page is large
                    (output,) = cell["outputs"]
                    assert words_of(html) == words_of("".join(output["data"]["text/html"]))
                shown += 1
    assert shown >= 5
