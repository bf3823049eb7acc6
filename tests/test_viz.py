"""Pictures: what the artists hold, not what the pixels look like."""

import dataclasses
import re
import sys

import jax
import matplotlib
import numpy as np
import pytest

import jaxbp
from jaxbp import viz


@pytest.fixture
def surfaces():
    x, y = np.linspace(0, 1, 21), np.linspace(0, 2, 31)
    true = np.sin(3 * x)[None, :] * y[:, None]
    return x, y, true, true + 0.01 * np.cos(5 * x)[None, :]


def test_true_and_predicted_share_levels_and_one_colour_bar(surfaces):
    drawn = viz.draw_surface_comparison(*surfaces)
    np.testing.assert_array_equal(drawn.true.levels, drawn.levels)
    np.testing.assert_array_equal(drawn.predicted.levels, drawn.levels)
    assert drawn.true.cmap.name == drawn.predicted.cmap.name == "viridis"
    assert drawn.levels[0] <= surfaces[2].min() <= surfaces[2].max() <= drawn.levels[-1]
    assert len(drawn.figure.axes) == 5  # three panels and two bars


def test_the_error_is_signed_and_centred(surfaces):
    x, y, true, predicted = surfaces
    drawn = viz.draw_surface_comparison(x, y, true, predicted)
    np.testing.assert_allclose(np.asarray(drawn.error.get_array()).ravel(), (predicted - true).ravel())
    assert drawn.error.norm.vmin == -drawn.error.norm.vmax == -drawn.error_limit
    assert drawn.error_limit == pytest.approx(np.percentile(np.abs(predicted - true), 99))


def test_scattered_points_and_gaps():
    generator = np.random.default_rng(0)
    x, y = generator.uniform(size=(2, 50))
    z = x * y
    z[3] = np.nan
    drawn = viz.draw_surface_comparison(x, y, z, z + 0.1)
    drawn.figure.canvas.draw()
    assert drawn.error_limit == pytest.approx(0.1)


@pytest.mark.parametrize("num_points", [1, 2, 5])
def test_points_that_span_no_area(num_points):
    x = np.arange(float(num_points))
    drawn = viz.draw_surface_comparison(x, 2 * x, x, x)
    drawn.figure.canvas.draw()


def test_shapes_are_checked(surfaces):
    x, y, true, predicted = surfaces
    with pytest.raises(ValueError, match="predicted must have shape"):
        viz.draw_surface_comparison(x, y, true, predicted[:-1])
    with pytest.raises(ValueError, match="true must have shape"):
        viz.draw_surface_comparison(y, x, true, predicted)


def test_curves_show_gaps_and_are_labelled_apart():
    steps = np.arange(5)
    curves = {"one": np.array([1, 0.1, np.nan, 1e-3, 1e-3]), "two": np.array([1, 0.5, 0, 1e-3, 1.01e-3])}
    drawn = viz.draw_curves(steps, curves, references={"variance": 1.0})
    drawn.ax.figure.canvas.draw()
    assert np.isnan(drawn.lines["one"].get_ydata()[2])
    assert np.isnan(drawn.lines["two"].get_ydata()[2])
    assert drawn.lines["one"].get_linestyle() != drawn.lines["two"].get_linestyle()
    boxes = [text.get_window_extent() for text in drawn.ax.texts]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    with pytest.raises(ValueError, match="curve 'one' must have shape"):
        viz.draw_curves(steps, {"one": np.ones(4)})


def test_a_single_record_is_a_point():
    drawn = viz.draw_curves(np.array([0]), {"loss": np.array([2.0])})
    assert drawn.lines["loss"].get_marker() == "o"


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_figures_give_equal_bytes(suffix, surfaces, tmp_path):
    paths = [
        viz.save_figure(viz.draw_surface_comparison(*surfaces).figure, tmp_path / f"{i}{suffix}") for i in range(2)
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


def test_samples_are_where_they_are():
    points = np.random.default_rng(0).uniform(size=(40, 3))
    drawn = viz.draw_samples(points)
    np.testing.assert_array_equal(drawn.points.get_offsets(), points[:, :2])
    np.testing.assert_array_equal(drawn.points.get_array(), points[:, 2])


def test_panels_give_a_label_one_look():
    x = np.arange(1.0, 5)
    drawn = viz.draw_panels(
        {"one": {"a": (x, x), "b": (x, -x)}, "two": {"b": (x, x**2)}}, xlabel="x", ylabel="y", markers=True
    )
    assert drawn.lines["one"]["b"].get_color() == drawn.lines["two"]["b"].get_color()
    assert drawn.lines["one"]["a"].get_color() != drawn.lines["one"]["b"].get_color()
    assert np.isnan(drawn.lines["one"]["b"].get_ydata()).all()  # what a logarithmic axis cannot show is a gap
    np.testing.assert_array_equal(drawn.lines["two"]["b"].get_ydata(), x**2)
    assert [text.get_text() for text in drawn.legend.get_texts()] == ["a", "b"]
    assert drawn.axes["one"].get_ylim() == drawn.axes["two"].get_ylim()
    drawn.figure.canvas.draw()
    with pytest.raises(ValueError, match="at least one panel"):
        viz.draw_panels({}, xlabel="x", ylabel="y")
    with pytest.raises(ValueError, match="curve 'a' must have as many x as y"):
        viz.draw_panels({"one": {"a": (x, x[1:])}}, xlabel="x", ylabel="y")


def test_the_walk_shows_the_traces_numbers(x64):
    trace = walk_trace((3, 4, 2))
    drawn = viz.draw_walk(trace)
    forward, backward = drawn.nodes
    for layer in (1, 2):
        for unit in range(trace.mlp.sizes[layer]):
            z, a, e, d = (
                float(np.asarray(values[layer - 1])[0, unit])
                for values in (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
            )
            assert numbers_in(forward[layer, unit]) == pytest.approx([z, a], rel=1e-3)
            assert numbers_in(backward[layer, unit]) == pytest.approx([e, d], rel=1e-3)
    for (layer, i, j), text in drawn.edges[0].items():
        assert numbers_in(text) == pytest.approx([float(trace.params[layer - 1].weight[i, j])], rel=1e-3)
    for (layer, i, j), text in drawn.edges[1].items():
        assert numbers_in(text) == pytest.approx([float(trace.gradient[layer - 1].weight[i, j])], rel=1e-3)
    assert len(drawn.edges[0]) == len(drawn.edges[1]) == 20
    assert drawn.ok
    assert f"{trace.largest_difference():.1e}" in drawn.badge.get_text()


def test_the_badge_turns_red_when_a_number_is_wrong(x64):
    trace = walk_trace((2, 3, 1))
    wrong = dataclasses.replace(trace, node_errors=(trace.node_errors[0] * (1 + 1e-9), trace.node_errors[1]))
    right, bad = viz.draw_walk(trace), viz.draw_walk(wrong)
    assert (right.ok, bad.ok) == (True, False)
    assert right.badge.get_bbox_patch().get_facecolor() != bad.badge.get_bbox_patch().get_facecolor()
    assert "DIFFERS" in bad.badge.get_text()


def test_units_that_are_not_shown_are_counted(x64):
    drawn = viz.draw_walk(walk_trace((2, 64, 8, 1)))
    assert drawn.elided == (0, 57, 1, 0)
    texts = [text.get_text() for ax in drawn.axes for text in ax.texts]
    assert texts.count("⋮ 57 more") == 2
    assert texts.count("⋮ 1 more") == 2
    with pytest.raises(ValueError, match="sample must be from 0 to 0, got 1"):
        viz.draw_walk(walk_trace((2, 3, 1)), sample=1)


def walk_trace(sizes):
    generator = np.random.default_rng(0)
    mlp = jaxbp.Mlp(sizes, hidden="sigmoid")
    params = jaxbp.init(mlp, jax.random.key(0))
    inputs, targets = generator.standard_normal((1, sizes[0])), generator.standard_normal((1, sizes[-1]))
    return jaxbp.backprop(mlp, params, inputs, targets, "half_squared_error")


def numbers_in(text):
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", text.get_text().replace("−", "-"))]


def test_a_graphs_four_forms_have_the_same_nodes_and_edges(x64):
    graph = jaxbp.trace_graph(lambda price, count, tax: price * count * tax + price, 3.0, 4.0, 1.5)
    drawn = viz.draw_graph(graph)
    edges = sorted((parent, node.index) for node in graph.nodes for parent in node.parents)
    assert sorted(drawn.edges) == edges
    dot, mermaid, text = viz.graph_dot(graph), viz.graph_mermaid(graph), str(graph)
    assert sorted((int(a), int(b)) for a, b in re.findall(r"n(\d+) -> n(\d+)", dot)) == edges
    assert sorted((int(a), int(b)) for a, b in re.findall(r"n(\d+) --> n(\d+)", mermaid)) == edges
    assert len(re.findall(r"n\d+ \[", dot)) == len(re.findall(r"n\d+\[", mermaid)) == len(graph.nodes)
    assert len(text.splitlines()) == len(graph.nodes)
    for node in graph.nodes:
        assert numbers_in(drawn.values[node.index]) == pytest.approx([float(node.value)])
        assert numbers_in(drawn.derivatives[node.index]) == pytest.approx([float(node.derivative)])
    many = jaxbp.trace_graph(lambda x: sum(jax.numpy.sin(x * k) for k in range(40)), 1.0)
    with pytest.raises(ValueError, match="at most 60 nodes to be drawn"):
        viz.draw_graph(many)


def test_a_units_line_is_where_its_preactivation_is_zero():
    x = np.linspace(-1, 1, 11)
    lines = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -1.0], [0.0, 0.0, 1.0]])
    outputs = 1 / (1 + np.exp(-(x[None, :] + x[:, None])))
    drawn = viz.draw_decision_map(x, x, outputs, points=np.zeros((2, 2)), labels=np.array([0.0, 1.0]), lines=lines)
    assert len(drawn.lines) == 2  # a unit without weights has no line
    for line, (w_x, w_y, b) in zip(drawn.lines, lines, strict=False):
        for point in (line.get_xy1(), line.get_xy2()):
            assert w_x * point[0] + w_y * point[1] + b == pytest.approx(0, abs=1e-12)
    assert drawn.boundary is not None
    assert viz.draw_decision_map(x, x, np.full((11, 11), 0.2)).boundary is None
    with pytest.raises(ValueError, match="outputs must have shape"):
        viz.draw_decision_map(x, x[1:], outputs)
    with pytest.raises(ValueError, match="labels must be 2 like the points"):
        viz.draw_decision_map(x, x, outputs, points=np.zeros((2, 2)))


def test_dots_show_every_number_and_zeros_open():
    drawn = viz.draw_dots({"a": {"s": 1e-3, "t": 0.0}, "b": {"s": 10.0}}, xlabel="x", references={"limit": 1.0})
    np.testing.assert_allclose(drawn.dots["s"].get_offsets()[:, 0], [1e-3, 10])
    assert drawn.dots["t"].get_facecolor()[0].tolist() == [1, 1, 1, 1]
    drawn.ax.figure.canvas.draw()
    with pytest.raises(ValueError, match="rows must hold numbers of at least 0, got -1 for 's' of 'a'"):
        viz.draw_dots({"a": {"s": -1, "t": 1.0}}, xlabel="x")
    drawn = viz.draw_dots({"a": {"s": np.nan, "t": 1.0}, "b": {"s": np.inf}}, xlabel="x")
    assert list(drawn.dots) == ["t"]
    with pytest.raises(ValueError, match="at least one positive number"):
        viz.draw_dots({"a": {"s": 0.0}}, xlabel="x")


def test_maps_paths_and_images_hold_what_they_were_given():
    values = np.array([[1.0, 2.0, np.inf], [3.0, np.nan, 5.0]])
    mesh = viz.draw_heatmap(values, np.array([0.1, 1, 10]), np.array([0, 1]), labels=("x", "y", "z")).mesh
    shown = mesh.get_array().reshape(2, 3)
    np.testing.assert_array_equal(shown.mask, ~np.isfinite(values))
    path = np.array([[0.0, 1], [1, 1], [2, 0]])
    x = np.linspace(0, 2, 5)
    drawn = viz.draw_paths(x, x, x[None] + x[:, None], {"a": path})
    np.testing.assert_array_equal(np.stack(drawn.lines["a"].get_data(), axis=1), path)
    gallery = viz.draw_images(np.zeros((20, 3, 3)), [str(i) for i in range(20)], title="images")
    assert (len(gallery.images), gallery.left_out) == (16, 4)
    assert len(viz.draw_images(np.zeros((0, 3, 3)), []).images) == 0
    for call, message in (
        (lambda: viz.draw_heatmap(values, x, x, labels=("x", "y", "z")), "values must have shape"),
        (lambda: viz.draw_paths(x, x[1:], x[None] + x[:, None], {"a": path}), "heights must have shape"),
        (lambda: viz.draw_paths(x, x, x[None] + x[:, None], {}), "at least one path"),
        (lambda: viz.draw_images(np.zeros((2, 3, 3)), []), "captions must be 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def plane_trace(x64_mlp, x, y):
    """Both passes for each point of a grid by itself, as one call under vmap; and the parameters."""
    params = jaxbp.init(x64_mlp, jax.random.key(3), "normal", scale=1.0)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 1, 2)
    targets = np.sin(points[..., :1])
    trace = jax.vmap(lambda p, t: jaxbp.backprop(x64_mlp, params, p, t))(points, targets)
    return params, points, targets, trace


def test_maps_of_units_equal_backprop_at_probe_points(x64):
    mlp, x, y = jaxbp.Mlp((2, 5, 20, 1)), np.linspace(-1, 1, 9), np.linspace(-2, 2, 7)
    params, points, targets, trace = plane_trace(mlp, x, y)
    activations, errors = (np.asarray(a[1]).reshape(7, 9, 20) for a in (trace.activations, trace.node_errors))
    importance = np.abs(np.asarray(params[-1].weight)[:, 0])
    drawn = viz.draw_unit_maps(x, y, activations, errors, importance=importance)
    assert len(drawn.units) == 16
    assert drawn.left_out == 4
    assert min(importance[list(drawn.units)]) >= max(np.delete(importance, drawn.units))
    for unit in drawn.units[:5]:
        for row, column in ((0, 0), (3, 4), (6, 8), (2, 7), (5, 1)):
            one = jaxbp.backprop(mlp, params, points[row * 9 + column], targets[row * 9 + column])
            shown = np.asarray(drawn.answers[unit].get_array()).reshape(7, 9)[row, column]
            assert shown == pytest.approx(float(one.activations[1][0, unit]), rel=1e-12)
            shown = np.asarray(drawn.errors[unit].get_array()).reshape(7, 9)[row, column]
            assert shown == pytest.approx(float(one.node_errors[1][0, unit]), rel=1e-10, abs=1e-15)
    assert len({(m.norm.vmin, m.norm.vmax) for m in drawn.errors.values()}) == 1
    assert drawn.errors[drawn.units[0]].norm.vmin == -drawn.limit
    with pytest.raises(ValueError, match="node_errors must have shape"):
        viz.draw_unit_maps(x, y, activations, errors[..., :3])
    with pytest.raises(ValueError, match=r"importance must have shape \(20,\)"):
        viz.draw_unit_maps(x, y, activations, errors, importance=importance[:3])
    with pytest.raises(ValueError, match=r"activations must have shape \(7, 9, units\)"):
        viz.draw_unit_maps(x, y, activations[:3], errors)


def switching_units(z):
    return [unit for unit in range(z.shape[2]) if z[..., unit].min() < 0 < z[..., unit].max()]


def test_folds_are_where_preactivations_vanish(x64):
    mlp, x, y = jaxbp.Mlp((2, 6, 4, 1), hidden="relu"), np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)
    params, _, _, trace = plane_trace(mlp, x, y)
    z = [np.asarray(some).reshape(41, 41, -1) for some in trace.preactivations[:2]]
    drawn = viz.draw_folds(x, y, np.ones((41, 41)), z)
    weight, _ = map(np.asarray, params[0])
    for layer in (1, 2):
        switching = switching_units(z[layer - 1])
        assert len(drawn.lines[layer]) == len(switching) > 0
    # The first layer: straight lines w.x + b = 0, which linear interpolation between grid points finds exactly.
    straight = switching_units(z[0])
    for unit, contour in zip(straight, drawn.lines[1], strict=True):
        vertices = np.concatenate([path.vertices for path in contour.get_paths()])
        values = vertices @ weight[:, unit] + float(params[0].bias[unit])
        np.testing.assert_allclose(values, 0, atol=1e-12 * np.abs(weight).max() * 10)
    # Later layers: each vertex lies on a grid edge whose ends have different signs.
    bent = switching_units(z[1])
    for unit, contour in zip(bent, drawn.lines[2], strict=True):
        for px, py in np.concatenate([path.vertices for path in contour.get_paths()])[::7]:
            column, row = (px + 1) / 0.05, (py + 1) / 0.05
            near = z[1][..., unit][
                int(np.floor(row + 1e-9)) : int(np.ceil(row - 1e-9)) + 1,
                int(np.floor(column + 1e-9)) : int(np.ceil(column - 1e-9)) + 1,
            ]
            assert near.min() <= 1e-12
            assert near.max() >= -1e-12
    with pytest.raises(ValueError, match="error must have shape"):
        viz.draw_folds(x, y, np.ones((4, 41)), z)
    with pytest.raises(ValueError, match=r"preactivations\[0\] must have shape"):
        viz.draw_folds(x, y, np.ones((41, 41)), [np.ones((41, 41))])


def test_weights_have_one_symmetric_scale_in_each_column():
    generator = np.random.default_rng(0)
    shapes = [(2, 64), (64, 64), (64, 1)]
    weights, gradients, updates = ([generator.standard_normal(shape) for shape in shapes] for _ in range(3))
    gradients[1][:, 5] = 0  # a unit that nothing reaches
    drawn = viz.draw_weights(weights, gradients, updates)
    for name, matrices in (("W", weights), ("∂L/∂W", gradients), ("ΔW", updates)):
        for image, matrix in zip(drawn.images[name], matrices, strict=True):
            np.testing.assert_array_equal(image.get_array(), matrix)
            assert image.norm.vmax == -image.norm.vmin == drawn.limits[name]
    drawn.figure.canvas.draw()
    with pytest.raises(ValueError, match="ΔW must have the shapes"):
        viz.draw_weights(weights, gradients, updates[:2])


def test_gradient_flow_shows_the_recorders_numbers(x64):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((30, 2))
    mlp = jaxbp.Mlp((2, 6, 5, 1), hidden="relu")
    params = jaxbp.init(mlp, jax.random.key(0), "he")
    data = (inputs, inputs[:, :1])
    layers = jaxbp.fit(mlp, params, data, steps=20, record_every=5, record_layers=True).layers
    drawn = viz.draw_gradient_flow(layers)
    for layer in range(3):
        np.testing.assert_array_equal(drawn.lines["gradient ‖∂L/∂W‖"][layer].get_ydata(), layers.gradient[:, layer])
        np.testing.assert_array_equal(drawn.lines["dead units (share)"][layer].get_ydata(), layers.dead[:, layer])
        ratio = drawn.lines["update ‖ΔW‖ / ‖W‖"][layer].get_ydata()
        np.testing.assert_allclose(ratio[1:], layers.update[1:, layer] / layers.weight[1:, layer])
        assert np.isnan(ratio[0])
    drawn.figure.canvas.draw()
    with pytest.raises(ValueError, match="record_layers=True, got None"):
        viz.draw_gradient_flow(None)


def test_a_film_shows_each_frames_step_and_error(tmp_path, monkeypatch):
    x = np.linspace(0, 1, 6)
    true = x[None] * x[:, None]
    film = viz.animate_training(x, x, [true + 0.1, true + 0.01, true], [0, 3, 9], true)
    axes = film.figure.axes
    for number, title in enumerate(("step 0, RMSE 1.00e-01", "step 3, RMSE 1.00e-02", "step 9, RMSE 0.00e+00")):
        film.show(number)
        assert axes[1].get_title() == title
    pages = [viz.save_film(film, tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0].replace(b"<title>a<", b"<title>b<") == pages[1]
    assert b"http://" not in pages[0]
    assert b"https://" not in pages[0]
    assert pages[0].count(b"data:image/png;base64") == 3
    viz.save_film(film, tmp_path / "film.gif")
    from PIL import Image

    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames == 3
    with pytest.raises(ValueError, match=r"path must end in .gif or .html, got film.mp4"):
        viz.save_film(film, tmp_path / "film.mp4")
    with pytest.raises(ValueError, match="fps must be positive, got 0"):
        viz.animate_training(x, x, [true], [0], true, fps=0)
    monkeypatch.setattr(sys.modules["jaxbp.viz.pages"], "EMBED_LIMIT", 0.001)
    with pytest.raises(ValueError, match=r"film must fit into 0.001 MB as a page, \d of 3 frames do"):
        viz.save_film(film, tmp_path / "large.html")
    assert not (tmp_path / "large.html").exists()
    with pytest.raises(ValueError, match="equally many, at least one; got 0 and 0"):
        viz.animate_training(x, x, [], [], true)
    with pytest.raises(ValueError, match=r"frames\[0\] must have shape"):
        viz.animate_training(x, x, [true[1:]], [0], true)


def test_the_walks_film_shows_one_term_more_in_each_frame(x64):
    film = viz.animate_walk(walk_trace((3, 4, 2)))
    assert film.num_frames == 7
    figure = film.figure
    counts = []
    for number in range(film.num_frames):
        film.show(number)
        counts.append(sum(text.get_visible() for ax in figure.axes for text in ax.texts))
    # Inputs; 4 nodes and 12 edges; 2 and 8; then 2 and 4 node errors; then 8 and 12 gradients.
    assert np.diff(counts).tolist() == [16, 10, 2, 4, 8, 12]


def test_chinese_labels_or_english_with_one_warning(x64, monkeypatch):
    from jaxbp.viz import language

    trace = walk_trace((2, 3, 1))
    family = language.chinese_family()
    monkeypatch.setattr(language, "_warned", set())
    if family is None:
        with pytest.warns(UserWarning, match="English labels are used"):
            drawn = viz.draw_walk(trace, lang="zh")
        assert "forward" in drawn.axes[0].get_title()
    else:
        drawn = viz.draw_walk(trace, lang="zh")
        assert "前向传播" in drawn.axes[0].get_title()
    drawn.figure.canvas.draw()  # a missing glyph would be a warning, and so an error
    monkeypatch.setattr(language, "chinese_family", lambda: None)
    monkeypatch.setattr(language, "_warned", {"zh"})
    assert "forward" in viz.draw_walk(trace, lang="zh").axes[0].get_title()  # warned before: silent now
    with pytest.raises(ValueError, match="lang must be one of"):
        viz.draw_walk(trace, lang="fr")
