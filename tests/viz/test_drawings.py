"""Pictures: what the artists hold, not what the pixels look like."""

import dataclasses
import re
import sys
from itertools import pairwise

import jax
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import check_trace
from jaxbp.viz import Grid
from jaxbp.viz.style import WIDTH


@pytest.fixture
def surfaces():
    grid = Grid(np.linspace(0, 1, 21), np.linspace(0, 2, 31))
    x, y = grid.points.T
    true = np.sin(3 * x) * y
    return grid, true, true + 0.01 * np.cos(5 * x)


def settle(drawn):
    """Draws a figure: a warning of the layout or of a missing glyph is an error."""
    drawn.figure.canvas.draw()
    return drawn


def test_true_and_predicted_share_levels_and_one_colour_bar(surfaces):
    _, values, _ = surfaces
    drawn = settle(viz.draw_surface_comparison(*surfaces))
    true, predicted = drawn.artists["true"], drawn.artists["predicted"]["predicted"]
    np.testing.assert_array_equal(true.levels, drawn.numbers["levels"])
    np.testing.assert_array_equal(predicted.levels, drawn.numbers["levels"])
    assert true.cmap.name == predicted.cmap.name == "viridis"
    assert true.levels[0] <= values.min() <= values.max() <= true.levels[-1]
    assert len(drawn.figure.axes) == 3
    assert [len(ax.child_axes) for ax in drawn.figure.axes] == [
        0,
        1,
        1,
    ]  # two bars, each as high as its panel's map
    assert [ax.get_aspect() for ax in drawn.figure.axes] == [1.0] * 3


def test_the_error_is_signed_and_centred_and_its_largest_place_is_named(surfaces):
    grid, true, predicted = surfaces
    predicted = predicted.copy()
    predicted[7] += 1.0
    drawn = viz.draw_surface_comparison(grid, true, predicted)
    error, scale = drawn.artists["error"]["predicted"], drawn.numbers["errors"]["predicted"]
    np.testing.assert_allclose(np.asarray(error.get_array()).ravel(), predicted - true)
    assert error.norm.vmin == -error.norm.vmax == -scale.limit
    assert scale.limit == pytest.approx(
        np.percentile(np.abs(predicted - true), 99)
    )  # the largest is far above
    assert scale == (scale.limit, pytest.approx((predicted - true)[7]), 7, True)
    assert "largest 0.998 at (0.35, 0)" in drawn.figure.axes[2].get_title()
    near = viz.draw_surface_comparison(*surfaces).numbers["errors"]["predicted"]
    assert near.limit == np.abs(surfaces[2] - true).max()
    assert not near.clipped


def test_several_predictions_have_an_error_map_each_and_their_sizes_on_one_axis(surfaces):
    grid, true, good = surfaces
    bad = true + 1.0
    drawn = settle(viz.draw_surface_comparison(grid, true, {"good": good, "bad": bad}))
    assert list(drawn.artists["predicted"]) == list(drawn.artists["error"]) == ["good", "bad"]
    assert drawn.numbers["errors"]["bad"].limit == pytest.approx(1.0)
    sizes = {line.get_label(): line.get_xdata() for line in drawn.artists["sizes"]}
    np.testing.assert_allclose(sizes["good"], np.sort(np.abs(good - true)[good != true]))
    with pytest.raises(ValueError, match="at least one prediction"):
        viz.draw_surface_comparison(grid, true, {})
    with pytest.raises(ValueError, match=r"predicted\['bad'\] must have shape \(651,\)"):
        viz.draw_surface_comparison(grid, true, {"bad": bad[:-1]})


def texts_of(ax):
    return [text.get_text() for text in ax.texts]


def test_gaps_are_hatched_and_counted_and_no_error_is_called_exact(surfaces):
    grid, true, predicted = surfaces
    some, none = np.where(np.arange(len(true)) < 5, np.nan, predicted), np.full_like(true, np.nan)
    drawn = settle(viz.draw_surface_comparison(grid, true, some))
    for ax in drawn.figure.axes[1:]:
        assert "5 of 651 not finite" in texts_of(ax)
        assert ax.patch.get_hatch()
    assert drawn.figure.axes[0].patch.get_hatch() is None
    drawn = settle(viz.draw_surface_comparison(grid, true, none))
    assert "651 of 651 not finite" in texts_of(drawn.figure.axes[1])
    drawn = settle(viz.draw_surface_comparison(grid, true, true))
    assert "exact" in drawn.figure.axes[2].get_title()


@pytest.mark.parametrize("factor", [1e300, 1e-300, 0.0])
def test_sizes_that_are_hard_to_draw(surfaces, factor):
    grid, true, predicted = surfaces
    settle(viz.draw_surface_comparison(grid, factor * true, factor * predicted))
    settle(viz.draw_surface_comparison(grid, true, predicted / 1e-300))
    settle(viz.draw_error_detail(grid, factor * true, factor * predicted))


def test_scattered_points_and_gaps():
    points = np.random.default_rng(0).uniform(size=(50, 2))
    z = points.prod(axis=1)
    z[3] = np.nan
    drawn = settle(viz.draw_surface_comparison(points, z, z + 0.1))
    assert drawn.numbers["errors"]["predicted"].limit == pytest.approx(0.1)
    dots = [found for found in drawn.figure.axes[0].collections if hasattr(found, "get_offsets")]
    assert sorted(len(found.get_offsets()) for found in dots)[-1] == 49  # each finite point
    assert "1 of 50 not finite" in texts_of(drawn.figure.axes[0])


@pytest.mark.parametrize("num_points", [1, 2, 5])
def test_points_that_span_no_area(num_points):
    x = np.arange(float(num_points))
    settle(viz.draw_surface_comparison(np.column_stack([x, 2 * x]), x, x))


@pytest.mark.parametrize("num_inputs", [1, 4, 9])
def test_a_regression_shows_rows_errors_and_cuts(num_inputs):
    generator = np.random.default_rng(0)
    true = generator.standard_normal(300)
    predicted = true + 1e-3 * generator.standard_normal(300)
    predicted[7] = np.nan
    x = np.linspace(0, 1, 5)
    cuts = {f"x{i}": (x, i * x) for i in range(num_inputs)}
    drawn = settle(
        viz.draw_regression(
            true, predicted, cuts=cuts, point=(np.full(num_inputs, 0.5), 0.1), label="z (m)"
        )
    )
    assert drawn.numbers["gaps"] == 1
    assert "1 of 300 rows" in drawn.axes["points"].get_title()
    np.testing.assert_array_equal(
        drawn.artists["points"].get_offsets(), np.delete(np.c_[true, predicted], 7, axis=0)
    )
    assert sum(bar.get_height() for bar in drawn.artists["bars"]) == 299
    for name, line in drawn.artists["cuts"].items():
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack(cuts[name]))
    for same in (true, np.full(300, 2.0)):
        settle(viz.draw_regression(same, same))
    with pytest.raises(ValueError, match=r"one shape \(n,\), got \(300,\) and \(299,\)"):
        viz.draw_regression(true, true[1:])
    with pytest.raises(ValueError, match="got none in 300"):
        viz.draw_regression(true, np.full(300, np.inf))


def test_shapes_are_checked(surfaces):
    grid, true, predicted = surfaces
    with pytest.raises(ValueError, match="predicted must have shape"):
        viz.draw_surface_comparison(grid, true, predicted[:-1])
    with pytest.raises(ValueError, match="true must have shape"):
        viz.draw_surface_comparison(grid, true.reshape(grid.shape), predicted)
    with pytest.raises(ValueError, match="where must be a Grid or points"):
        viz.draw_surface_comparison(np.zeros((3, 3)), true, predicted)
    with pytest.raises(ValueError, match="points must have shape"):
        viz.draw_samples(np.zeros((3, 2)))


def test_curves_show_gaps_and_are_labelled_apart():
    steps = np.arange(5)
    curves = {
        "one": np.array([1, 0.1, np.nan, 1e-3, 1e-3]),
        "two": np.array([1, 0.5, 0, 1e-3, 1.01e-3]),
    }
    drawn = settle(viz.draw_curves(steps, curves, references={"variance": 1.0}))
    lines = drawn.artists["lines"]
    assert np.isnan(lines["one"].get_ydata()[2])
    assert np.isnan(lines["two"].get_ydata()[2])
    assert lines["one"].get_linestyle() != lines["two"].get_linestyle()
    boxes = [text.get_window_extent() for text in drawn.axes["curves"].texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    with pytest.raises(ValueError, match="curve 'one' must have shape"):
        viz.draw_curves(steps, {"one": np.ones(4)})


def test_a_single_record_is_a_point():
    drawn = settle(viz.draw_curves(np.array([0]), {"loss": np.array([2.0])}))
    assert drawn.artists["lines"]["loss"].get_marker() == "o"


def test_a_highlighted_curve_is_thick_and_solid_and_many_curves_differ():
    x = np.arange(1.0, 5)
    drawn = viz.draw_curves(x, {f"{k}": x + k for k in range(9)})
    lines = drawn.artists["lines"]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines.values()}) == 9
    panels = viz.draw_panels(
        {"p": {"a": (x, x), "b": (x, x)}}, xlabel="x", ylabel="y", highlight="b"
    ).artists["lines"]["p"]
    assert panels["b"].get_linewidth() >= 2 * panels["a"].get_linewidth()
    settle(viz.draw_curves(x, {"diverged": 10.0 ** (75 * x)}))


def test_panels_of_one_figure_can_be_drawn_one_by_one(surfaces):
    from matplotlib.figure import Figure

    grid, true, predicted = surfaces
    figure = Figure(figsize=(9, 7))
    (a, b), (c, d) = figure.subplots(2, 2)
    x = np.arange(1.0, 5)
    one = viz.draw_curves(x, {"label that is long": x, "another one": 2 * x}, ax=a)
    viz.draw_samples(np.column_stack([grid.points, true]), ax=b)
    viz.draw_kink_lines(grid, predicted - true, {1: (true - 0.5)[:, None]}, ax=c)
    assert one.figure is figure
    figure.draw_without_rendering()
    assert (
        not a.texts
    )  # without a layout there is no room for labels beside the axes: a legend in them
    assert [text.get_text() for text in a.get_legend().get_texts()] == [
        "label that is long",
        "another one",
    ]
    assert not figure.legends
    assert not d.has_data()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_figures_give_equal_bytes(suffix, surfaces, tmp_path):
    paths = [
        viz.save_figure(viz.draw_surface_comparison(*surfaces).figure, tmp_path / f"{i}{suffix}")
        for i in range(2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths


def test_a_figure_is_written_whole_or_not_at_all(surfaces, tmp_path, monkeypatch):
    figure = viz.draw_surface_comparison(*surfaces).figure
    path = viz.save_figure(figure, tmp_path / "deep" / "name with ü.png")
    before = path.read_bytes()

    def full(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(type(figure), "savefig", full)
    with pytest.raises(OSError, match="No space"):
        viz.save_figure(figure, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_global_settings_stay_as_they_are(surfaces):
    before = dict(matplotlib.rcParams)
    viz.draw_surface_comparison(*surfaces)
    viz.draw_curves(np.arange(2), {"a": np.ones(2)})
    assert dict(matplotlib.rcParams) == before


def test_text_in_every_colour_can_be_read_on_white():
    look = sys.modules["jaxbp.viz.style"]
    for colour in (*look.CYCLE, look.GREY, look.RED):
        channels = np.array(to_rgb(colour))
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) >= 4.5, colour


def test_nothing_is_left_in_pyplot(surfaces):
    from matplotlib._pylab_helpers import Gcf

    viz.draw_surface_comparison(*surfaces)
    assert not Gcf.figs


def test_samples_are_where_they_are():
    points = np.random.default_rng(0).uniform(size=(40, 3))
    drawn = settle(viz.draw_samples(points)).artists["points"]
    np.testing.assert_array_equal(drawn.get_offsets(), points[:, :2])
    np.testing.assert_array_equal(drawn.get_array(), points[:, 2])
    points[:3, 2] = np.nan
    drawn = settle(viz.draw_samples(points))
    np.testing.assert_array_equal(drawn.artists["points"].get_array(), points[3:, 2])
    assert "3 of 40 not finite" in texts_of(drawn.axes["samples"])


def test_panels_give_a_label_one_look():
    x = np.arange(1.0, 5)
    drawn = viz.draw_panels(
        {"one": {"a": (x, x), "b": (x, -x)}, "two": {"b": (x, x**2)}},
        xlabel="x",
        ylabel="y",
    )
    one, two = drawn.artists["lines"]["one"], drawn.artists["lines"]["two"]
    assert one["b"].get_color() == two["b"].get_color()
    assert one["a"].get_color() != one["b"].get_color()
    assert np.isnan(one["b"].get_ydata()).all()  # what a logarithmic axis cannot show is a gap
    np.testing.assert_array_equal(two["b"].get_ydata(), x**2)
    assert [texts_of(ax) for ax in drawn.axes.values()] == [
        ["b: nothing to show", "a"],
        ["b"],
    ]  # where the lines end
    three = viz.draw_panels({k: {"a": (x, x), "b": (x, x)} for k in "pqr"}, xlabel="x", ylabel="y")
    assert [text.get_text() for text in three.artists["legend"].get_texts()] == ["a", "b"]
    assert drawn.axes["one"].get_ylim() == drawn.axes["two"].get_ylim()
    settle(drawn)
    with pytest.raises(ValueError, match="at least one panel"):
        viz.draw_panels({}, xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="curve 'a' must have as many x as y"):
        viz.draw_panels({"one": {"a": (x, x[1:])}}, xlabel="x", ylabel="y")


def test_the_walk_shows_the_traces_numbers(x64):
    trace = walk_trace((3, 4, 2))
    report = check_trace(trace)
    drawn = settle(viz.draw_walk(trace, report=report))
    forward, backward = drawn.artists["nodes"]["forward"], drawn.artists["nodes"]["backward"]
    for layer in (1, 2):
        for unit in range(trace.mlp.sizes[layer]):
            z, a, e, d = (
                float(np.asarray(values[layer - 1])[0, unit])
                for values in (
                    trace.preactivations,
                    trace.activations,
                    trace.activation_errors,
                    trace.node_errors,
                )
            )
            bias, bias_bar = (
                float(trace.params[layer - 1].bias[unit]),
                float(trace.gradient[layer - 1].bias[unit]),
            )
            assert numbers_in(forward[layer, unit]) == pytest.approx([z, bias, a], rel=1e-3)
            assert numbers_in(backward[layer, unit]) == pytest.approx([e, d, bias_bar], rel=1e-3)
    for unit in range(3):
        assert numbers_in(forward[0, unit]) == pytest.approx(
            [float(trace.inputs[0, unit])], rel=1e-3
        )
    edges = drawn.artists["edges"]
    for name, layers in (("forward", trace.params), ("backward", trace.gradient)):
        for (layer, i, j), text in edges[name].items():
            assert numbers_in(text) == pytest.approx(
                [float(layers[layer - 1].weight[i, j])], rel=1e-3
            )
        assert len(edges[name]) == 20
        targets = [text for text in drawn.axes[name].texts if text.get_text().startswith("y ")]
        assert [numbers_in(text) for text in targets] == [
            pytest.approx([float(t)], rel=1e-3) for t in trace.targets[0]
        ]
    assert "hand-written = jax.grad" in drawn.artists["badge"].get_text()
    assert viz.draw_walk(trace).artists["badge"] is None


def test_the_badge_turns_red_and_names_the_first_wrong_number(x64):
    trace = walk_trace((2, 3, 1))
    wrong = dataclasses.replace(
        trace, node_errors=(trace.node_errors[0] * (1 + 1e-9), trace.node_errors[1])
    )
    right, bad = (
        viz.draw_walk(one, report=check_trace(one)).artists["badge"] for one in (trace, wrong)
    )
    assert right.get_bbox_patch().get_facecolor() != bad.get_bbox_patch().get_facecolor()
    assert "DIFFERS" in bad.get_text()
    assert "node_errors[0]" in bad.get_text()


def test_wrong_numbers_of_a_walk_are_white_on_red(x64):
    trace = walk_trace((2, 3, 1), 4)
    layer, errors = trace.gradient[0], np.array(trace.node_errors[0])
    weight = np.array(layer.weight)
    weight[1, 2] *= 1.1
    errors[2, 1] *= -1
    wrong = dataclasses.replace(
        trace,
        gradient=(layer._replace(weight=weight), *trace.gradient[1:]),
        node_errors=(errors, *trace.node_errors[1:]),
    )
    for sample, expected in ((2, {(1, 1, 2), (1, 1)}), (0, {(1, 1, 2)})):
        drawn = viz.draw_walk(wrong, report=check_trace(wrong), sample=sample).artists
        texts = {**drawn["nodes"]["backward"], **drawn["edges"]["backward"]}
        assert {place for place, text in texts.items() if text.get_color() == "white"} == expected


def overlapping(texts):
    boxes = [text.get_window_extent() for text in texts if text.get_text().strip()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


@pytest.mark.parametrize(
    "sizes", [(3, 4, 2), (1, 1, 1), (2, 64, 8, 1), (1000, 3, 1), (2, *[3] * 8, 1), (7, 7, 7, 7)]
)
def test_no_text_of_a_walk_covers_another_and_what_is_not_shown_is_counted(x64, sizes):
    drawn = settle(viz.draw_walk(walk_trace(sizes)))
    assert drawn.figure.get_figwidth() == WIDTH  # what is wider is shown smaller
    for name, ax in drawn.axes.items():
        assert not overlapping(ax.texts)
        hidden = [size - 6 if size > 7 else 0 for size in sizes]
        assert [text for text in texts_of(ax) if "more" in text] == [
            f"⋮ {n} more" for n in hidden if n
        ]
        assert drawn.numbers["elided"] == tuple(hidden)
        shown = [min(size, 7) if size <= 7 else 6 for size in sizes]
        num_edges = sum(a * b for a, b in pairwise(shown))
        assert len(drawn.artists["edges"][name]) + drawn.numbers["unwritten"][name] == num_edges


def test_a_walk_of_a_batch_says_which_sample_it_shows_and_what_the_numbers_include(x64):
    trace = walk_trace((2, 3, 1), 8)
    drawn = viz.draw_walk(trace, sample=2)
    assert numbers_in(drawn.artists["nodes"]["forward"][0, 1]) == pytest.approx(
        [float(trace.inputs[2, 1])], rel=1e-3
    )
    text = " ".join(text.get_text() for text in drawn.figure.texts)
    assert "sample 3 of 8" in text
    assert "1/8" in text
    with pytest.raises(ValueError, match="sample must be from 0 to 7, got 8"):
        viz.draw_walk(trace, sample=8)


def walk_trace(sizes, num_samples=1):
    generator = np.random.default_rng(0)
    mlp = jaxbp.Mlp(sizes, hidden="sigmoid")
    params = jaxbp.init(mlp, jax.random.key(0))
    inputs, targets = (generator.standard_normal((num_samples, n)) for n in (sizes[0], sizes[-1]))
    return jaxbp.backprop(mlp, params, inputs, targets, "half_squared_error")


PLAIN = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")


def numbers_in(text):
    plain = text.get_text().replace("×10", "e").translate(PLAIN)
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", plain)]


def test_a_graphs_four_forms_have_the_same_nodes_and_edges(x64):
    graph = jaxbp.trace_graph(lambda price, count, tax: price * count * tax + price, 3.0, 4.0, 1.5)
    drawn = settle(viz.draw_graph(graph))
    edges = sorted((parent, node.index) for node in graph.nodes for parent in node.parents)
    assert sorted(drawn.artists["edges"]) == edges
    dot, mermaid, text = viz.graph_dot(graph), viz.graph_mermaid(graph), str(graph)
    assert sorted((int(a), int(b)) for a, b in re.findall(r"n(\d+) -> n(\d+)", dot)) == edges
    assert sorted((int(a), int(b)) for a, b in re.findall(r"n(\d+) --> n(\d+)", mermaid)) == edges
    assert (
        len(re.findall(r"n\d+ \[", dot)) == len(re.findall(r"n\d+\[", mermaid)) == len(graph.nodes)
    )
    assert len(text.splitlines()) == len(graph.nodes)
    for node in graph.nodes:
        assert numbers_in(drawn.artists["values"][node.index]) == pytest.approx([float(node.value)])
        assert numbers_in(drawn.artists["derivatives"][node.index]) == pytest.approx(
            [float(node.derivative)]
        )
    many = jaxbp.trace_graph(lambda x: sum(jax.numpy.sin(x * k) for k in range(40)), 1.0)
    with pytest.raises(ValueError, match="at most 60 nodes to be drawn"):
        viz.draw_graph(many)


def chain(x):
    for k in range(28):
        x = jax.numpy.sin(x) * 1.01 if k % 2 else jax.numpy.tanh(x)
    return x


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x + x,
        chain,
        lambda x: sum(jax.numpy.sin(x * k) for k in range(14)),
        lambda x: x,
    ],
    ids=["parallel edges", "a chain", "a wide one", "nothing but the input"],
)
def test_no_box_of_a_graph_covers_another_and_no_edge_is_hidden(x64, function):
    graph = jaxbp.trace_graph(function, 1.0)
    drawn = settle(viz.draw_graph(graph))
    (ax,) = drawn.axes.values()
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    boxes = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert len(boxes) == len(graph.nodes)
    assert len(arrows) == len(drawn.artists["edges"])
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    for box, label in zip(boxes, drawn.artists["labels"].values(), strict=True):
        inside = label.get_window_extent()
        assert box.x0 <= inside.x0
        assert inside.x1 <= box.x1
    paths = [arrow.get_path().vertices for arrow in arrows]
    assert not any(
        a.shape == b.shape and np.allclose(a, b) for i, a in enumerate(paths) for b in paths[:i]
    )
    width, height = drawn.figure.get_size_inches()
    assert (width, height < 40) == (pytest.approx(8.6), True)


def test_a_units_line_is_where_its_preactivation_is_zero():
    grid = Grid(np.linspace(-1, 1, 11), np.linspace(-1, 1, 11))
    lines = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -1.0], [0.0, 0.0, 1.0]])
    outputs = 1 / (1 + np.exp(-grid.points.sum(axis=1)))
    points, targets = np.array([[0.0, 0.5], [0.5, 0.5]]), np.array([0.0, 1.0])
    options = {"points": points, "targets": targets, "lines": lines}
    drawn = settle(viz.draw_decision_map(grid, outputs, **options))
    assert len(drawn.artists["lines"]) == 2  # a unit without weights has no line
    for line, (w_x, w_y, b) in zip(drawn.artists["lines"], lines, strict=False):
        for point in (line.get_xy1(), line.get_xy2()):
            assert w_x * point[0] + w_y * point[1] + b == pytest.approx(0, abs=1e-12)
    assert drawn.artists["boundaries"]["inputs"] is not None
    assert viz.draw_decision_map(grid, np.full(121, 0.2)).artists["boundaries"]["inputs"] is None
    both = settle(
        viz.draw_decision_map(grid, outputs, **options, hidden=(grid, outputs, points[::-1]))
    )
    for name, places in (("inputs", points), ("hidden", points[::-1])):
        for target in (0, 1):
            offsets = both.artists["points"][name][target].get_offsets()
            np.testing.assert_array_equal(offsets, places[targets == target])
    with pytest.raises(ValueError, match="outputs must have shape"):
        viz.draw_decision_map(grid, outputs[1:])
    with pytest.raises(ValueError, match="targets must be 2 like the points"):
        viz.draw_decision_map(grid, outputs, points=points)


def test_dots_show_every_number_and_zeros_open():
    drawn = viz.draw_dots({"a": {"s": 1e-3, "t": 0.0}, "b": {"s": 10.0}}, xlabel="x")
    dots = settle(drawn).artists["dots"]
    np.testing.assert_allclose(dots["s"][0].get_offsets()[:, 0], [1e-3, 10])
    assert dots["t"][0].get_facecolor()[0].tolist() == [1, 1, 1, 1]
    with pytest.raises(
        ValueError, match="rows must hold numbers of at least 0, got -1 for 's' of 'a'"
    ):
        viz.draw_dots({"a": {"s": -1, "t": 1.0}}, xlabel="x")
    drawn = viz.draw_dots({"a": {"s": np.nan, "t": 1.0}, "b": {"s": np.inf}}, xlabel="x")
    assert list(drawn.artists["dots"]) == ["t"]
    with pytest.raises(ValueError, match="at least one positive number"):
        viz.draw_dots({"a": {"s": 0.0}}, xlabel="x")
    settle(viz.draw_dots({"a": {"s": 1e300, "t": 1e-300}}, xlabel="x"))


def test_dots_of_several_quantities_have_an_axis_each():
    rows = {"a": {"s": 30.0}, "b": {"s": 0.5}, "c": {"s": 0.1}}
    drawn = settle(viz.draw_dots(rows, xlabel={"a": "degrees", "b": "share", "c": "share"}))
    assert list(drawn.axes) == ["degrees", "share"]
    assert [ax.get_xlabel() for ax in drawn.axes.values()] == ["degrees", "share"]
    assert [found.get_offsets()[:, 0].tolist() for found in drawn.artists["dots"]["s"]] == [
        [30.0],
        [0.5, 0.1],
    ]
    with pytest.raises(ValueError, match="quantity of every row, got none for 'c'"):
        viz.draw_dots(rows, xlabel={"a": "degrees", "b": "share"})


def test_maps_paths_and_images_hold_what_they_were_given():
    values = np.array([1.0, 2.0, np.inf, 3.0, np.nan, 5.0])
    grid = Grid(np.array([0.1, 1, 10]), np.array([0, 1]))
    drawn = settle(viz.draw_heatmap(grid, values, labels=("x", "y", "z")))
    np.testing.assert_array_equal(
        drawn.artists["mesh"].get_array().mask.ravel(), ~np.isfinite(values)
    )
    assert "2 of 6 hatched" in drawn.axes["map"].get_title()
    path = np.array([[0.0, 1], [1, 1], [2, 0]])
    plane = Grid(np.linspace(0, 2, 5), np.linspace(0, 2, 5))
    heights = plane.points.sum(axis=1)
    drawn = settle(viz.draw_paths(plane, heights, {"a": path, "b": path + 1}))
    np.testing.assert_array_equal(np.stack(drawn.artists["paths"]["a"].get_data(), axis=1), path)
    assert drawn.axes["b"].get_title() == "b (1 outside)"
    gallery = settle(
        viz.draw_images(np.zeros((20, 3, 3)), [str(i) for i in range(20)], title="images")
    )
    assert (len(gallery.artists["images"]), gallery.numbers["left_out"]) == (16, 4)
    assert not viz.draw_images(np.zeros((0, 3, 3)), []).artists["images"]
    for call, message in (
        (lambda: viz.draw_heatmap(plane, values, labels=("x", "y", "z")), "values must have shape"),
        (lambda: viz.draw_paths(plane, heights[1:], {"a": path}), "heights must have shape"),
        (lambda: viz.draw_paths(plane, heights, {}), "at least one path"),
        (lambda: viz.draw_images(np.zeros((2, 3, 3)), []), "captions must be 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def plane_trace(mlp, grid):
    """Both passes for each point of a grid by itself, under vmap; and the parameters."""
    params = jaxbp.init(mlp, jax.random.key(3), "normal", scale=1.0)
    points = grid.points[:, np.newaxis]
    targets = np.sin(points[..., :1])
    trace = jax.vmap(lambda p, t: jaxbp.backprop(mlp, params, p, t))(points, targets)
    return params, points, targets, trace


@pytest.mark.slow
def test_maps_of_units_equal_backprop_at_probe_points(x64):
    mlp, grid = jaxbp.Mlp((2, 5, 20, 1)), Grid(np.linspace(-1, 1, 9), np.linspace(-2, 2, 7))
    params, points, targets, trace = plane_trace(mlp, grid)
    activations, errors = (np.asarray(a[1])[:, 0] for a in (trace.activations, trace.node_errors))
    outgoing = np.asarray(params[-1].weight)
    drawn = settle(viz.draw_unit_maps(grid, activations, errors, outgoing=outgoing))
    units = drawn.numbers["units"]
    assert len(units) == 16
    assert drawn.numbers["left_out"] == 4
    effect = np.abs(outgoing[:, 0]) * activations.std(axis=0)
    assert min(effect[list(units)]) >= max(np.delete(effect, units))
    maps = drawn.artists
    for unit in units[:5]:
        for point in (0, 31, 62, 25, 46):
            one = jaxbp.backprop(mlp, params, points[point], targets[point])
            shown = np.asarray(maps["activations"][unit].get_array()).ravel()[point]
            assert shown == pytest.approx(float(one.activations[1][0, unit]), rel=1e-12)
            shown = np.asarray(maps["node_errors"][unit].get_array()).ravel()[point]
            assert shown == pytest.approx(float(one.node_errors[1][0, unit]), rel=1e-10, abs=1e-15)
    scales = {(found.norm.vmin, found.norm.vmax) for found in maps["node_errors"].values()}
    largest = np.abs(errors[:, list(units)]).max()
    assert scales == {(-largest, largest)}
    with pytest.raises(ValueError, match="node_errors must have shape"):
        viz.draw_unit_maps(grid, activations, errors[:, :3])
    with pytest.raises(ValueError, match=r"outgoing must have shape \(20, outputs\)"):
        viz.draw_unit_maps(grid, activations, errors, outgoing=outgoing[:3])
    with pytest.raises(ValueError, match=r"activations must have shape \(63, units\)"):
        viz.draw_unit_maps(grid, activations[:3], errors)


def test_a_unit_that_is_not_finite_leaves_the_others_their_scale():
    grid = Grid(
        np.linspace(0, 10, 8), np.linspace(0, 1, 6)
    )  # a plane of 10:1 is not drawn as slivers
    values = grid.points @ np.array([[1.0, -2.0, 0.5], [1.0, 1.0, 1.0]])
    values[:, 1] = np.nan
    drawn = settle(viz.draw_unit_maps(grid, values, values))
    assert drawn.numbers["units"][-1] == 1
    finite = values[:, [0, 2]]
    assert drawn.artists["activations"][0].norm.vmax == finite.max()
    assert drawn.artists["node_errors"][0].norm.vmax == np.abs(finite).max()
    assert drawn.figure.axes[0].get_aspect() == "auto"
    one = settle(viz.draw_unit_maps(grid, values[:, :1], values[:, :1]))
    maps = [ax for ax in one.figure.axes if ax.collections and ax.get_xlabel() == "x"]
    assert len(maps) == 2  # no empty places for units that there are not


def crossing_units(z):
    return [unit for unit in range(z.shape[1]) if z[:, unit].min() < 0 < z[:, unit].max()]


@pytest.mark.slow
def test_kink_lines_are_where_preactivations_vanish(x64):
    mlp, grid = (
        jaxbp.Mlp((2, 6, 4, 1), hidden="relu"),
        Grid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)),
    )
    params, _, _, trace = plane_trace(mlp, grid)
    z = {layer: np.asarray(trace.preactivations[layer - 1])[:, 0] for layer in (1, 2)}
    lines = settle(viz.draw_kink_lines(grid, np.ones(41 * 41), z)).artists["lines"]
    weight, _ = map(np.asarray, params[0])
    for layer in (1, 2):
        assert len(lines[layer]) == len(crossing_units(z[layer])) > 0
    # The first layer: straight lines w.x + b = 0, which linear interpolation between grid points
    # finds exactly.
    for unit, contour in zip(crossing_units(z[1]), lines[1], strict=True):
        vertices = np.concatenate([path.vertices for path in contour.get_paths()])
        values = vertices @ weight[:, unit] + float(params[0].bias[unit])
        np.testing.assert_allclose(values, 0, atol=1e-12 * np.abs(weight).max() * 10)
    # Later layers: each vertex lies on a grid edge whose ends have different signs.
    for unit, contour in zip(crossing_units(z[2]), lines[2], strict=True):
        table = z[2][:, unit].reshape(grid.shape)
        for px, py in np.concatenate([path.vertices for path in contour.get_paths()])[::7]:
            column, row = (px + 1) / 0.05, (py + 1) / 0.05
            near = table[
                int(np.floor(row + 1e-9)) : int(np.ceil(row - 1e-9)) + 1,
                int(np.floor(column + 1e-9)) : int(np.ceil(column - 1e-9)) + 1,
            ]
            assert near.min() <= 1e-12
            assert near.max() >= -1e-12
    with pytest.raises(ValueError, match="error must have shape"):
        viz.draw_kink_lines(grid, np.ones(4), z)
    with pytest.raises(ValueError, match=r"kink_values\[1\] must have shape \(1681, units\)"):
        viz.draw_kink_lines(grid, np.ones(1681), {1: np.ones(1681)})


def test_the_error_in_detail_is_the_error_along_its_cuts(surfaces):
    grid, true, predicted = surfaces
    predicted = predicted.copy()
    predicted[5 * 21 + 4] -= 1.0
    drawn = settle(viz.draw_error_detail(grid, true, predicted, {1: (true - 0.5)[:, np.newaxis]}))
    error = (predicted - true).reshape(grid.shape)
    assert drawn.numbers["error"].place == 5 * 21 + 4
    np.testing.assert_allclose(drawn.artists["cuts"]["along x"].get_data(), [grid.x, error[5]])
    np.testing.assert_allclose(drawn.artists["cuts"]["along y"].get_data(), [grid.y, error[:, 4]])
    assert sum(bar.get_height() for bar in drawn.artists["histogram"]) == error.size
    assert len(drawn.artists["lines"][1]) == 1
    settle(viz.draw_error_detail(grid, true, true))
    settle(viz.draw_error_detail(grid, true, np.full_like(true, np.nan)))


def test_weights_have_one_symmetric_scale_in_each_column():
    generator = np.random.default_rng(0)
    shapes = [(2, 64), (64, 64), (64, 1)]
    weights, gradients, updates = (
        [generator.standard_normal(shape) for shape in shapes] for _ in range(3)
    )
    gradients[1][:, 5] = 0  # a unit that nothing reaches
    drawn = viz.draw_weights(weights, gradients, updates)
    for name, matrices in (("W", weights), ("∂L/∂W", gradients), ("ΔW", updates)):
        for image, matrix in zip(drawn.artists["images"][name], matrices, strict=True):
            np.testing.assert_array_equal(image.get_array(), matrix)
            assert (
                image.norm.vmax == -image.norm.vmin == max(np.abs(some).max() for some in matrices)
            )
    settle(drawn)
    widths = [
        image.axes.transData.transform([(-0.5, 0), (n - 0.5, 0)])[:, 0]
        for image, (_, n) in zip(drawn.artists["images"]["W"], shapes, strict=True)
    ]
    one, _, last = (right - left for left, right in widths)
    assert last < 0.1 * one  # a layer of one unit looks narrow
    with pytest.raises(ValueError, match="ΔW must have the shapes"):
        viz.draw_weights(weights, gradients, updates[:2])


@pytest.mark.slow
def test_gradient_flow_shows_the_recorders_numbers(x64):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((30, 2))
    mlp = jaxbp.Mlp((2, 6, 5, 1), hidden="relu")
    params = jaxbp.init(mlp, jax.random.key(0), "he")
    data = (inputs, inputs[:, :1])
    layers = jaxbp.fit(
        mlp, params, data, steps=20, record_every=5, callbacks=(jaxbp.RecordLayers(),)
    ).layers
    drawn = viz.draw_gradient_flow(layers)
    for layer in range(3):
        lines = {name: found[layer].get_ydata() for name, found in drawn.artists["lines"].items()}
        np.testing.assert_array_equal(lines["gradient ‖∂L/∂W‖"], layers.gradient[:, layer])
        if layers.dead.any():
            np.testing.assert_array_equal(lines["dead units (share)"], layers.dead[:, layer])
        ratio = lines["update ‖ΔW‖ / ‖W‖"]
        np.testing.assert_allclose(ratio[1:], layers.update[1:, layer] / layers.weight[1:, layer])
        assert np.isnan(ratio[0])
    settle(drawn)
    for share, num_panels in (
        (0.0, 2),
        (0.25, 3),
    ):  # a panel of dead units only where there are any
        assert (
            len(viz.draw_gradient_flow(layers._replace(dead=share + 0 * layers.dead)).axes)
            == num_panels
        )
    with pytest.raises(ValueError, match=r"RecordLayers\(\), got None"):
        viz.draw_gradient_flow(None)


@pytest.mark.slow
def test_a_film_shows_each_frames_step_and_error(tmp_path, monkeypatch):
    grid = Grid(np.linspace(0, 1, 6), np.linspace(0, 1, 6))
    true = grid.points.prod(axis=1)
    frames = [true + 0.1, true + 0.01, true]
    film = viz.animate_training(grid, frames, [0, 3, 9], true)
    axes = film.figure.axes
    for number, title in enumerate(("step 0, RMSE 0.1", "step 3, RMSE 0.01", "step 9, RMSE 0")):
        film.show(number)
        film.figure.canvas.draw()
        assert title in [ax.get_title() for ax in axes]
        (mesh,) = (
            found for ax in axes for found in ax.collections if type(found).__name__ == "QuadMesh"
        )
        size = np.abs(frames[number] - true)
        np.testing.assert_allclose(
            mesh.get_array().ravel(), np.where(size == 0, mesh.norm.vmin, size)
        )
    pages = [viz.save_film(film, tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert (
        pages[0]
        .replace(b"<title>a<", b"<title>b<")
        .replace(b"<h1>a<", b"<h1>b<")
        .replace(b'alt="a,', b'alt="b,')
        == pages[1]
    )
    assert b"http://" not in pages[0]
    assert b"https://" not in pages[0]
    assert len(set(re.findall(rb"data:image/webp;base64,[^\"]*", pages[0]))) == 3
    films = [viz.save_film(film, tmp_path / name).read_bytes() for name in ("a.gif", "b.gif")]
    assert films[0] == films[1]
    from PIL import Image

    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 3
        durations = []
        for number in range(3):
            gif.seek(number)
            durations.append(gif.info["duration"])
            assert gif.convert("RGB").getpixel((0, 0)) == (255, 255, 255)  # the paper stays white
    assert durations[2] >= 2000 > durations[0] == durations[1]  # the end stays to be looked at
    with pytest.raises(ValueError, match=r"path must end in .gif or .html, got film.mp4"):
        viz.save_film(film, tmp_path / "film.mp4")
    monkeypatch.setattr(sys.modules["jaxbp.viz.films"], "EMBED_LIMIT", 0.001)
    with pytest.raises(ValueError, match=r"film must fit into 0.001 MB as a page, got .* MB"):
        viz.save_film(film, tmp_path / "large.html")
    assert not (tmp_path / "large.html").exists()
    with pytest.raises(ValueError, match="equally many, at least one; got 0 and 0"):
        viz.animate_training(grid, [], [], true)
    with pytest.raises(ValueError, match=r"frames\[0\] must have shape"):
        viz.animate_training(grid, [true[1:]], [0], true)


def test_the_walks_film_shows_one_term_more_in_each_frame(x64):
    trace = walk_trace((3, 4, 2))
    film = viz.animate_walk(trace, report=check_trace(trace))
    assert film.num_frames == 7
    figure = film.figure
    counts = []
    for number in range(film.num_frames):
        film.show(number)
        counts.append(sum(text.get_visible() for ax in figure.axes for text in ax.texts))
    # Inputs; 4 nodes and 12 edges; 2 and 8; then 2 and 4 node errors; then 8 and 12 gradients.
    assert np.diff(counts).tolist() == [16, 10, 2, 4, 8, 12]
    figure.canvas.draw()
    (badge,) = (text for text in figure.texts if "jax.grad" in text.get_text())
    assert badge.get_visible()
    covered = badge.get_bbox_patch().get_window_extent()
    assert not any(
        covered.overlaps(text.get_window_extent()) for ax in figure.axes for text in ax.texts
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, 0.0])
def test_one_odd_value_spoils_no_picture(value):
    grid = Grid.over(((1, 2), (0, 1)), 9)
    good = np.sin(7 * grid.points[:, 0]) * grid.points[:, 1]
    odd = np.where(np.arange(81) == 5, value, good)
    unit, matrix, steps = odd[:, np.newaxis], odd.reshape(9, 9), np.arange(81)
    settle(viz.draw_error_detail(grid, good, odd, {1: unit, 3: np.hstack([unit, -unit])}))
    settle(viz.draw_unit_maps(grid, unit, unit))
    settle(viz.draw_decision_map(grid, odd))
    settle(viz.draw_heatmap(grid, odd, labels=("x", "y", "z")))
    settle(viz.draw_weights([matrix], [good.reshape(9, 9)], [np.zeros((9, 9))]))
    settle(
        viz.draw_panels(
            {"p": {"a": (steps, odd)}, "q": {"a": (steps, good)}},
            xlabel="x",
            ylabel="y",
            xscale="log",
        )
    )
    for frames, true in (([odd, good], good), ([good, good], odd)):
        film = viz.animate_training(grid, frames, [0, 1], true)
        film.show(1)
        settle(film)


@pytest.mark.parametrize(
    "grid", [Grid(np.array([1.0]), np.array([2.0])), Grid(np.linspace(1, 2, 5), np.array([2.0]))]
)
def test_a_grid_of_one_point_or_one_row(grid):
    values = np.arange(1.0, 1 + len(grid.points))
    settle(viz.draw_surface_comparison(grid, values, values + 1))
    settle(viz.draw_error_detail(grid, values, values + 1, {1: values[:, np.newaxis] - 2}))
    settle(viz.draw_unit_maps(grid, values[:, np.newaxis], values[:, np.newaxis]))
    settle(viz.draw_heatmap(grid, values, labels=("x", "y", "z")))


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.8), (0.31, 0.33), (2e-5, 9e-4), (1e-9, 1e3)])
def test_the_numbers_of_a_logarithmic_axis_stand_apart(low, high):
    x = np.geomspace(low, high, 5)
    drawn = viz.draw_panels(
        {f"{k}": {"curve": (x, x)} for k in range(3)}, xlabel="x", ylabel="y", xscale="log"
    )
    drawn.figure.draw_without_rendering()
    for axis in (drawn.axes["0"].xaxis, drawn.axes["0"].yaxis):
        texts = [
            text
            for text in (*axis.get_ticklabels(), *axis.get_ticklabels(minor=True))
            if text.get_text()
        ]
        inside = [
            text for text in texts if low <= text.get_position()[axis.axis_name == "y"] <= high
        ]
        boxes = [text.get_window_extent() for text in inside]
        assert len(boxes) >= 2
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_contour_lines_are_numbered_inside_the_panel():
    grid = Grid(np.linspace(-10, 10, 60), np.linspace(-10, 10, 60))
    x, y = grid.points.T
    true = np.sin(x) + x * np.cos(y) + y + 3 ** (x / 3)
    drawn = viz.draw_surface_comparison(grid, true, true + 1e-3)
    drawn.figure.draw_without_rendering()
    for name in ("true", "predicted"):
        panel = drawn.axes[name].get_window_extent()
        texts = [
            text for text in drawn.axes[name].texts if re.fullmatch(r"[−\-\d.]+", text.get_text())
        ]
        assert len(texts) >= 3
        for text in texts:
            box = text.get_window_extent()
            assert panel.x0 <= box.x0, text
            assert box.x1 <= panel.x1, text


def test_a_logarithmic_map_has_positive_columns():
    grid = Grid(np.arange(3.0), np.arange(2.0))
    with pytest.raises(ValueError, match=r"grid.x must be positive, .*, got 0\.0"):
        viz.draw_heatmap(grid, np.ones(6), labels=("x", "y", "z"))


@pytest.mark.parametrize("decades", [11, 16, 19, 21, 27, 40, 90, 300])
@pytest.mark.parametrize("largest", [1.0, 3e1, 7e-5])
def test_an_axis_of_many_decades_has_at_least_two_numbers(decades, largest):
    drawn = viz.draw_curves(np.arange(2.0), {"a": np.array([largest * 10.0**-decades, largest])})
    axis = drawn.axes["curves"].yaxis
    low, high = axis.get_view_interval()
    inside = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
    assert 2 <= len(inside) <= 12
