"""Pictures: what the artists hold, not what the pixels look like."""

import matplotlib
import numpy as np
import pytest

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
