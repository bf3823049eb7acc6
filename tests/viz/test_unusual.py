"""Pictures of unusual inputs: what looked wrong once."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection

import jaxbp
from jaxbp import viz
from jaxbp.training import LayerHistory
from jaxbp.viz import Grid
from jaxbp.viz.scales import contour_levels

GRID = Grid(np.linspace(0, 1, 5), np.linspace(0, 1, 4))
X, Y = GRID.points.T
STEPS = np.arange(5)


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("value", [3.0, 0.0, -1e6, 1e-9])
def test_a_constant_lies_amid_a_band_and_not_on_the_border_of_two(value):
    levels = contour_levels(np.full(9, value))
    assert np.abs(levels - value).min() > 0.4 * (levels[1] - levels[0])


def test_a_bar_tells_its_ends_apart():
    drawn = viz.draw_surface_comparison(GRID, 1e6 + 1e-3 * X, 1e6 + 1e-3 * Y)
    (bar,) = drawn.figure.axes[1].child_axes
    drawn.figure.draw_without_rendering()
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert len(set(labels)) == len(labels) > 3


def test_powers_of_ten_are_set_as_mathematics():
    drawn = viz.draw_panels(
        {"a": {"b": (1e9 * STEPS, 1e-7 * STEPS)}}, xlabel="x", ylabel="y", yscale="linear"
    )
    drawn.figure.draw_without_rendering()
    ax = drawn.axes["a"]
    texts = [axis.get_offset_text().get_text() for axis in (ax.xaxis, ax.yaxis)]
    assert ["10^{9}" in texts[0], "10^{−7}" in texts[1]] == [True, True]


def test_a_narrow_map_counts_its_gaps_within_itself():
    gaps = np.where(np.arange(20)[:, None] < 12, np.nan, np.ones((20, 16)))
    drawn = viz.draw_unit_maps(GRID, gaps, gaps)
    drawn.figure.draw_without_rendering()
    counts = [text for ax in drawn.figure.axes for text in ax.texts if "finite" in text.get_text()]
    assert len(counts) == 32
    for text in counts:
        panel, box = text.axes.get_window_extent(), text.get_bbox_patch().get_window_extent()
        assert panel.x0 <= box.x0 < box.x1 <= panel.x1


def test_the_verdicts_of_narrow_panels_do_not_run_into_each_other():
    drawn = viz.draw_surface_comparison(
        GRID, X, {"exact": X, "near": X + 1e-9 * Y, "far": X + 2 * Y}
    )
    drawn.figure.draw_without_rendering()
    titles = [
        ax.title.get_window_extent() for ax in drawn.figure.axes if "predicted" in ax.get_title()
    ]
    assert len(titles) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


def test_the_numbers_of_a_nearly_level_curve_differ():
    drawn = viz.draw_curves(STEPS, {"a": 1 + 1e-9 * STEPS})
    drawn.figure.draw_without_rendering()
    labels = [label.get_text() for label in drawn.axes["curves"].get_yticklabels()]
    assert len(set(labels)) == len(labels) > 1


def test_labels_at_the_ends_of_curves_move_only_where_they_must():
    drawn = viz.draw_curves(STEPS, {"a": 2.0 + 0 * STEPS, "b": 2.0 + 0 * STEPS, "c": 1e-3**STEPS})
    places = {text.get_text(): text.get_position()[1] for text in drawn.axes["curves"].texts}
    ax = drawn.axes["curves"]
    ends = {
        name: ax.transAxes.inverted().transform(ax.transData.transform((0, y)))[1]
        for name, y in (("a", 2.0), ("c", 1e-12))
    }
    assert places["c"] == pytest.approx(ends["c"])
    assert (places["a"] + places["b"]) / 2 <= ends["a"] + 1e-9
    assert abs(places["a"] - places["b"]) > 0.02


def test_long_texts_are_wrapped_and_mathematics_is_not():
    drawn = viz.draw_surface_comparison(
        GRID, X, {"a" * 9 + " " + "b" * 20: Y}, title="word " * 50, footer="word " * 90
    )
    assert drawn.figure.get_suptitle().count("\n") == 2
    assert drawn.figure.get_supxlabel().count("\n") == 3
    assert drawn.axes["a" * 9 + " " + "b" * 20].get_title().count("\n") == 0
    formula = "$" + "x + " * 40 + "y$"
    assert viz.draw_surface_comparison(GRID, X, Y, title=formula).figure.get_suptitle() == formula


def test_dots_of_a_perfect_fit_are_seen_on_white_paper_and_whole_at_the_border():
    line = np.column_stack([STEPS, STEPS]).astype(float)
    drawn = viz.draw_surface_comparison(line, STEPS, STEPS).artists["error"]["predicted"]
    assert drawn.get_linewidth()[0] > 0
    assert not drawn.get_clip_on()
    assert not viz.draw_samples(np.column_stack([line, STEPS])).artists["points"].get_clip_on()


def test_a_point_alone_has_one_tick():
    ax = viz.draw_samples(np.array([[1.0, 2.0, 3.0]])).axes["samples"]
    assert (ax.get_xticks().tolist(), ax.get_yticks().tolist()) == ([1.0], [2.0])


def test_high_maps_stay_on_the_page():
    tall = Grid(np.linspace(0, 1, 4), np.linspace(0, 2.9, 4))
    values = tall.points[:, 0]
    for drawn in (
        viz.draw_kink_lines(tall, values, {}),
        viz.draw_samples(np.column_stack([tall.points, values])),
        viz.draw_decision_map(tall, values),
        viz.draw_paths(tall, values, {"a": np.zeros((1, 2))}),
        viz.draw_weights(*[[np.ones((8, 8))] * 20] * 3),
    ):
        assert drawn.figure.get_figheight() < 14
    wide = Grid(np.linspace(0, 10, 4), np.linspace(0, 1, 4))
    assert viz.draw_decision_map(wide, wide.points[:, 1]).axes["inputs"].get_aspect() == "auto"


def test_gaps_of_every_map_are_hatched():
    broken = np.where(np.arange(20) < 3, np.nan, X)
    for ax in (
        viz.draw_decision_map(GRID, broken).axes["inputs"],
        viz.draw_paths(GRID, broken, {"a": np.zeros((1, 2))}).axes["a"],
    ):
        assert ax.patch.get_hatch()
        assert "3 of 20 not finite" in texts_of(ax)
    film = viz.animate_training(GRID, [broken, X], [0, 1], X)
    film.show(0)
    (mesh,) = (
        found
        for ax in film.figure.axes
        for found in ax.collections
        if type(found).__name__ == "QuadMesh"
    )
    assert mesh.get_array().mask.sum() == 3
    assert mesh.axes.patch.get_hatch()
    weights = [np.full((2, 3), np.nan)]
    drawn = viz.draw_weights([np.ones((2, 3))], weights, [np.zeros((2, 3))])
    hatched = [
        ax
        for ax in drawn.figure.axes
        if any(isinstance(c, FillBetweenPolyCollection) for c in ax.collections)
    ]
    assert len(hatched) == 1
    assert "6 not finite" in "".join(texts_of(drawn.figure))
    assert "0 everywhere" in texts_of(drawn.figure)


def test_the_error_of_a_film_may_be_beyond_the_floats_when_squared():
    film = viz.animate_training(GRID, [2e300 * X, 1e300 * X], [0, 1], 0 * X)
    assert any("10³⁰⁰" in text for text in texts_of(film.figure) if "RMSE" in text)


def test_a_curve_without_a_number_is_named():
    drawn = viz.draw_curves(STEPS, {"lost": np.zeros(5), "kept": STEPS + 1.0})
    assert {"lost: nothing to show", "kept"} <= set(texts_of(drawn.figure))


def test_layers_that_lost_their_numbers_or_have_none():
    norms = np.where(STEPS[:, None] > 2, np.nan, np.ones((5, 2)))
    drawn = viz.draw_gradient_flow(LayerHistory(STEPS, norms, norms, norms, 0 * norms))
    assert texts_of(drawn.figure).count("not finite") == 2
    zero = np.zeros((5, 2))
    drawn = viz.draw_gradient_flow(LayerHistory(STEPS, zero, zero, zero + 1, zero + 1))
    assert texts_of(drawn.figure).count("0 everywhere") == 2


@pytest.mark.parametrize(
    "row", [{"a": 1e300, "b": 2e300}, {"a": 1e300, "b": 1.0}, {"a": 1e-300, "b": np.nan}]
)
def test_dots_reach_as_far_as_the_floats(row):
    drawn = viz.draw_dots({"row": row}, xlabel="x")
    drawn.figure.canvas.draw()
    low, high = (
        drawn.axes["x"].get_xlim()
        if "x" in drawn.axes
        else next(iter(drawn.axes.values())).get_xlim()
    )
    assert low <= min(v for v in row.values() if np.isfinite(v)) <= high


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_without_a_value_are_counted_and_without_a_place_refused(value):
    points = np.random.default_rng(0).random((10, 3))
    points[2, 2] = value
    assert "1 of 10 not finite" in texts_of(viz.draw_samples(points).figure)
    points[3, 1] = value
    with pytest.raises(
        ValueError, match=rf"points must be finite, got points\[3, 1\] = {value} \(1 such in all\)"
    ):
        viz.draw_samples(points)


def test_seven_series_of_dots_differ():
    rows = {"a": {f"{k}": 10.0**k for k in range(7)}}
    drawn = viz.draw_dots(rows, xlabel="x")
    looks = {
        (tuple(dots[0].get_edgecolor()[0]), len(dots[0].get_paths()[0].vertices))
        for dots in drawn.artists["dots"].values()
    }
    assert len(looks) == 7


def test_ticks_over_hundreds_of_decades_are_round():
    drawn = viz.draw_curves(np.arange(1, 201), {"a": 10.0 ** -np.arange(1.0, 201)})
    ticks = np.log10(drawn.axes["curves"].get_yticks())
    np.testing.assert_allclose(np.diff(ticks), 50)


def test_a_bar_of_one_number_names_it_once():
    drawn = viz.draw_heatmap(Grid(np.ones(1), np.ones(1)), np.array([2.0]), labels=("x", "y", "z"))
    assert [text.get_text() for text in drawn.artists["bar"].ax.get_yticklabels()] == ["2"]


def test_the_rules_below_a_graph_stay_in_the_picture():
    graph = jaxbp.trace_graph(lambda x: (jnp.exp(x) * x - x / 3 + x) / x, 2.0)
    (ax,) = viz.draw_graph(graph).axes.values()
    assert max(len(text.get_text()) for text in ax.texts) <= 120
