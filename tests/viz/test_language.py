"""Figures in Chinese: no English label stays, whichever function draws it."""

import ast
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.training import LayerHistory
from jaxbp.viz import Grid

ROOT = Path(__file__).parents[2]
LANGUAGE = sys.modules["jaxbp.viz.language"]
GRID = Grid(np.linspace(0, 1, 7), np.linspace(0, 1, 6))
X, Y = GRID.points.T
GAPS = np.where(X < 0.1, np.nan, X)
STEPS = np.arange(5)
# Names that are the same in both languages.
NAMES = {
    *("RMSE", "NRMSE", "sigmoid", "tanh", "relu", "ReLU", "softmax", "jax", "grad", "exp", "sin"),
    *("norm", "nan", "div", "mul", "sum", "float", "fit_model", "model"),
}


@pytest.fixture
def chinese(monkeypatch):
    """Translates whether or not this machine has a Chinese font."""
    monkeypatch.setattr(LANGUAGE, "chinese_family", lambda: "some font")


def english_in(text):
    words = re.findall(r"[A-Za-z]{3,}", re.sub(r"\$.*?\$", "", text))
    return [word for word in words if word not in NAMES]


def english_of(figure):
    with matplotlib.rc_context({"font.family": ["DejaVu Sans"]}):
        figure.draw_without_rendering()
    texts = {text.get_text() for text in figure.findobj(Text) if text.get_visible()}
    return {text for text in texts if english_in(text)}


def trace_of(loss, samples=1, sizes=(2, 9, 2), **options):
    mlp = jaxbp.Mlp(sizes, hidden="sigmoid")
    inputs = np.linspace(0, 1, 2 * samples, dtype=np.float32).reshape(samples, 2)
    targets = np.full((samples, 2), 0.5, np.float32)
    return jaxbp.backprop(mlp, jaxbp.init(mlp, jax.random.key(0)), inputs, targets, loss)


def draw_wrong_walk():
    trace = trace_of("half_squared_error")
    report = check_trace(trace)
    row = report.rows[0]._replace(error=1.0, path="w")
    return viz.draw_walk(trace, report=replace(report, rows=(row, *report.rows[1:])))


def draw_fit(num_inputs):
    points = np.random.default_rng(0).uniform(size=(30, num_inputs))
    model = jaxbp.fit_model(points, points[:, 0] ** 2)
    return viz.draw_fit(model, points, points[:, 0] ** 2, held_out=range(10))


def flow(norms, dead):
    return viz.draw_gradient_flow(LayerHistory(STEPS, norms, norms, norms, dead))


NORMS = np.ones((5, 2))
MISSING = np.where(STEPS[:, None] > 2, np.nan, NORMS)
EVERY_RULE = lambda x: (jax.numpy.exp(x) * jax.numpy.sin(x) - jax.numpy.tanh(x) / x) + x  # noqa: E731
DRAWINGS = {
    "surfaces": lambda: viz.draw_surface_comparison(GRID, X, Y),
    "gaps": lambda: viz.draw_surface_comparison(GRID, X, GAPS),
    "exact": lambda: viz.draw_surface_comparison(GRID, X, X),
    "nothing": lambda: viz.draw_surface_comparison(GRID, X, np.nan * X),
    "several": lambda: viz.draw_surface_comparison(GRID, X, {"a": GAPS, "b": X, "c": Y, "d": X}),
    "clipped": lambda: viz.draw_surface_comparison(GRID, X, X + 1e-3 * Y + (STEPS.size == X * 0)),
    "regression": lambda: viz.draw_regression(GAPS, Y, cuts={"u": (X, Y)}, point=([0.5], 0.1)),
    "curve of a fit": lambda: draw_fit(1),
    "surface of a fit": lambda: draw_fit(2),
    "cuts of a fit": lambda: draw_fit(3),
    "samples": lambda: viz.draw_samples(np.column_stack([X, Y, GAPS])),
    "error": lambda: viz.draw_error_detail(
        GRID, X, Y, {k: np.column_stack([X - 0.5, Y]) for k in (1, 2, 3)}
    ),
    "curves": lambda: viz.draw_curves(STEPS, {"a": STEPS + 1.0, "b": 0.0 * STEPS}),
    "dots": lambda: viz.draw_dots({"a": {"s": 1.0, "t": 2.0}}, xlabel="x"),
    "units": lambda: viz.draw_unit_maps(GRID, *[np.outer(GAPS, np.ones(20))] * 2, title="α"),
    "decision": lambda: viz.draw_decision_map(
        GRID,
        X,
        points=np.ones((1, 2)),
        targets=np.ones(1),
        lines=[(1.0, 1.0, 0.5)],
        hidden=(GRID, X, np.ones((1, 2))),
    ),
    "heatmap": lambda: viz.draw_heatmap(
        Grid(np.geomspace(1, 9, 7), np.arange(6.0)), GAPS, labels=("x", "y", "z")
    ),
    "paths": lambda: viz.draw_paths(GRID, GAPS, {"a": np.full((2, 2), 3.0)}),
    "images": lambda: viz.draw_images(np.zeros((20, 3, 3)), ["0"] * 20, title="α"),
    "weights": lambda: viz.draw_weights(
        [np.ones((2, 3))], [MISSING[:2, :0].sum() * np.ones((2, 3))], [np.full((2, 3), np.nan)]
    ),
    "layers": lambda: flow(MISSING, 0 * NORMS),
    "dead layers": lambda: flow(0 * NORMS, NORMS),
    "graph": lambda: viz.draw_graph(jaxbp.trace_graph(EVERY_RULE, 2.0)),
    "walk": lambda: viz.draw_walk(trace_of("mean_squared_error", 3, (2, 30, 30, 2))),
    "checked walk": lambda: viz.draw_walk(
        t := trace_of("half_squared_error"), report=check_trace(t)
    ),
    "softmax": lambda: viz.draw_walk(trace_of("softmax_cross_entropy")),
    "binary": lambda: viz.draw_walk(trace_of("binary_cross_entropy")),
    "wrong walk": draw_wrong_walk,
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_english_label_stays(name, chinese, monkeypatch):
    monkeypatch.setattr(Text, "draw", lambda *_: None)
    drawing = viz.translate(DRAWINGS[name](), "zh")
    assert not english_of(drawing.figure)


def test_no_english_label_stays_in_films(chinese):
    training = viz.animate_training(GRID, [GAPS, X], [0, 9], X)
    walk = viz.animate_walk(trace_of("half_squared_error", sizes=(2, 3, 2)))
    for film in (training, walk):
        translated = viz.translate(film, "zh")
        for frame in range(film.num_frames):
            translated.show(frame)
            assert not english_of(film.figure)


def labels_of(path):
    """The texts that a script passes to a figure, with a number in the place of each value."""
    keywords = {"title", "xlabel", "ylabel", "label", "labels", "footer"}
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = getattr(getattr(call, "func", None), "attr", "")
        if name.startswith("draw_"):
            for keyword in (some for some in call.keywords if some.arg in keywords):
                yield from strings_in(keyword.value)


def strings_in(node):
    if isinstance(node, ast.JoinedStr):
        parts = (getattr(part, "value", None) for part in node.values)
        yield "".join(part if isinstance(part, str) else "7" for part in parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from strings_in(child)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("**/*.py")), ids=lambda path: path.stem
)
def test_no_label_of_the_experiments_is_missing_in_the_catalogue(path):
    missing = {text for text in labels_of(path) if english_in(viz.translate(text, "zh"))}
    assert not missing


@pytest.mark.parametrize("name", ["compare_checkers", "error_law"])
def test_no_row_of_these_figures_is_missing_in_the_catalogue(name):
    result = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))["result"]
    tables = [result[key] for key in ("missed", "by depth", "by width") if key in result]
    texts = {text for table in tables for row, series in table.items() for text in (row, *series)}
    functions = {"check_gradients", "check_rule", "jax.test_util.check_grads"}  # names stay
    assert not {text for text in texts - functions if english_in(viz.translate(text, "zh"))}


def test_texts_are_translated_part_by_part():
    for english, chinese in {
        "true": "真实值",
        "layer 3": "第 3 层",
        "f: loss\nepoch   largest 0.5 at (1, 2)": "f:损失\n轮   最大 0.5,位于 (1, 2)",
        "error: predicted − true\nlargest −3 at (0, 1)": "误差:预测值 − 真实值\n最大 −3,位于 (0, 1)",  # noqa: E501
        "hidden nodes: nothing to show": "隐藏结点:没有可画的值",
        "5 of 9\nnot finite": "9 个中有 5 个\n不是有限数",
        "a name": "a name",
    }.items():
        assert viz.translate(english, "zh") == chinese
        assert viz.translate(english, "en") == english


def test_mathematics_is_written_out_and_english_figures_stay(chinese):
    drawing = viz.draw_surface_comparison(GRID, X, Y, title=r"$\sin x + 3^{x/3}$: loss")
    assert viz.translate(drawing, "en").figure.get_suptitle() == r"$\sin x + 3^{x/3}$: loss"
    assert viz.translate(drawing.figure, "zh") is drawing.figure
    assert drawing.figure.get_suptitle() == "sin x + 3^(x/3):损失"  # no Chinese in mathtext's fonts


def test_every_entry_can_be_written(chinese):
    words = json.loads((ROOT / "jaxbp" / "viz" / "words.json").read_text(encoding="utf-8"))
    for english, translated in words.items():
        values = re.sub(r"\{\*?\d\}", "7", english)
        expected = re.sub(r"\{\d\}", "7", translated)
        assert viz.translate(values, "zh") == expected, english


def test_without_a_chinese_font_one_warning_says_so(monkeypatch):
    monkeypatch.setattr(LANGUAGE, "chinese_family", lambda: None)
    LANGUAGE._warn_once.cache_clear()
    drawing = viz.draw_surface_comparison(GRID, X, Y)
    with pytest.warns(UserWarning, match="English labels are used"):
        viz.translate(drawing, "zh")
    viz.translate(drawing, "zh")
    assert drawing.axes["true"].get_title() == "true"
    with pytest.raises(ValueError, match="lang must be one of"):
        viz.translate(drawing, "fr")
