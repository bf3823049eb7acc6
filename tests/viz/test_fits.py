"""Fitted models with their data: what is drawn is what the model says."""

import dataclasses

import numpy as np
import pytest

import jaxbp
from jaxbp import viz


def fitted(num_inputs, num_rows=40, flat=True):
    rng = np.random.default_rng(num_inputs)
    points = rng.uniform(-1, 1, (num_rows, num_inputs))
    values = np.sin(2 * points.sum(axis=1)) + 0.1 * rng.standard_normal(num_rows)
    outputs = values if flat else np.column_stack([points[:, 0], values])
    return jaxbp.fit_model(points, outputs), points, outputs


def test_a_curve_lies_in_its_band_and_over_its_data():
    model, points, values = fitted(1)
    drawn = viz.draw_fit(model, points, values, held_out=[0, 5], coverage=0.5)
    x, y = drawn.artists["curve"].get_data()
    np.testing.assert_array_equal(y, model(x[:, None]))
    assert (x.min(), x.max()) == (points.min(), points.max())
    band = drawn.artists["band"].get_paths()[0].vertices
    lower, upper = model.interval(x[:, None], 0.5)
    np.testing.assert_allclose(np.sort(band[:, 1])[[0, -1]], [lower.min(), upper.max()])
    labels = [text.get_text() for text in drawn.axes["curve"].get_legend().get_texts()]
    assert labels == ["50 % of new observations", "fit", "fitted rows", "test rows"]
    shown = {line.get_label(): line.get_xydata() for line in drawn.axes["curve"].get_lines()}
    np.testing.assert_array_equal(shown["test rows"], np.c_[points, values][[0, 5]])
    drawn.figure.canvas.draw()


def test_a_surface_has_its_error_at_the_rows_that_were_held_out():
    model, points, outputs = fitted(2, flat=False)
    held_out = np.arange(40) < 12
    drawn = viz.draw_fit(model, points, outputs, held_out=held_out, output=1)
    assert list(drawn.axes) == ["surface", "width", "error"]
    error = drawn.artists["error"]
    np.testing.assert_array_equal(error.get_offsets(), points[held_out])
    expected = np.asarray(model(points[held_out]))[:, 1] - outputs[held_out, 1]
    np.testing.assert_allclose(error.get_array(), expected, rtol=1e-10, atol=1e-13)
    drawn.figure.canvas.draw()


def test_more_inputs_are_cut_through_a_row():
    model, points, values = fitted(3)
    drawn = viz.draw_fit(model, points, values)
    assert len(drawn.artists["points"].get_offsets()) == 40
    lines = drawn.artists["cuts"]
    assert list(lines) == ["x0", "x1", "x2"]
    row = np.array([drawn.axes[name].lines[1].get_xdata()[0] for name in lines])
    assert (points == row).all(axis=1).sum() == 1
    for i, line in enumerate(lines.values()):
        x, y = line.get_data()
        along = np.tile(row, (len(x), 1))
        along[:, i] = x
        np.testing.assert_array_equal(y, model(along))
    drawn.figure.canvas.draw()


def test_a_model_without_error_bars_has_no_band():
    model, points, values = fitted(2)
    bare = dataclasses.replace(model, bars=None)
    assert list(viz.draw_fit(bare, points, values).axes) == ["surface", "error"]


def test_a_constant_input_leaves_no_surface_to_draw():
    model, points, values = fitted(2)
    points[:, 1] = 0.5
    assert "errors" in viz.draw_fit(model, points, values).axes


def test_shapes_are_compared_with_the_model():
    model, points, values = fitted(2)
    with pytest.raises(ValueError, match=r"2 and 1 columns like the model .* got shapes \(40, 1\)"):
        viz.draw_fit(model, points[:, :1], values)
    with pytest.raises(ValueError, match="output must be below 1, got 1"):
        viz.draw_fit(model, points, values, output=1)
