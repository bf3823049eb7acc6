"""An ONNX file predicts in onnxruntime what the model predicts."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from architectures import draw_params

import jaxbp
from jaxbp.__main__ import main
from jaxbp.activations import ACTIVATIONS
from jaxbp.fitting.boxes import SINE, Boxes
from jaxbp.fitting.distance import KERNELS, PRODUCT, Distance
from jaxbp.fitting.model import Model
from jaxbp.fitting.standardizing import standardizer
from jaxbp.fitting.term import Term

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("x64")
GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.uniform(0.5, 2, (400, 2))
OUTPUTS = np.column_stack([np.exp(4 * POINTS[:, 0]), np.sin(3 * POINTS[:, 1])])


def run(path, points):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["outputs"], {"points": points})[0]


def assert_same(function, path, dtype=np.float64, rtol=1e-9):
    points = POINTS.astype(dtype)
    jaxbp.export_onnx(function, 2, path, dtype)
    with jax.enable_x64(dtype == np.float64):
        wanted = np.asarray(jax.jit(lambda x: function(x))(points))
    assert run(path, points).dtype == wanted.dtype
    scale = np.abs(wanted).max(axis=0)
    np.testing.assert_array_less(np.abs(run(path, points) - wanted) / scale, rtol)
    np.testing.assert_array_less(np.abs(run(path, points[:1]) - wanted[:1]) / scale, rtol)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(2, 5, 4, 3), (2, 40, 1)])
def test_networks(name, sizes, tmp_path):
    mlp = jaxbp.Mlp(sizes, hidden=name)
    for dtype in (np.float32, np.float64):
        # onnxruntime has erf in float32 alone.
        rtol = 1e-9 if dtype == np.float64 and name != "gelu" else 1e-5
        function = partial(jaxbp.predict, mlp, draw_params(mlp, dtype=dtype))
        assert_same(function, tmp_path / "network.onnx", dtype, rtol)


def drawn(layer):
    """Positive parameters of distance units or boxes."""
    return jax.tree.map(
        lambda shape: np.abs(GENERATOR.normal(size=shape)) + 0.5,
        layer.shapes(),
        is_leaf=lambda one: isinstance(one[0], int),
    )


@pytest.mark.parametrize("kernel", [*KERNELS, PRODUCT])
def test_distance_units_of_every_kernel_between_scalers_with_logarithms(kernel, tmp_path):
    layer = Distance(kernel, (2, 20, 2), degree=2)
    scalers = standardizer(POINTS, logs=[True, False]), standardizer(OUTPUTS, logs=[True, False])
    mlp = jaxbp.Mlp((2, 3, 2))
    terms = Term(layer, drawn(layer), np.full(2, 0.01)), Term(mlp, draw_params(mlp), np.ones(2))
    assert_same(Model(terms, *scalers, False), tmp_path / "model.onnx")


@pytest.mark.parametrize("kernel", [SINE, "Matern 3/2"])
def test_boxes(kernel, tmp_path):
    layer = Boxes(kernel, (2, 6, 2), (3, 2))
    params = drawn(layer)._replace(low=np.array([0.6, 0.5]), step=np.array([0.4, 0.7]))
    assert_same(Term(layer, params, np.array([1.0, 2.0])), tmp_path / "boxes.onnx")


def test_a_fitted_model_and_its_columns_from_the_command_line(tmp_path, capsys):
    names = ["u", "v", "w"]
    rows = POINTS[:60], OUTPUTS[:60, 1]
    model = jaxbp.fit_model(*rows, names=names, seconds=0, effort="low")
    model.save(tmp_path / "model.npz")
    path = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "model.npz"), "--out", str(path)]) == 0
    assert capsys.readouterr().out.startswith("w predicted from u, v: ")
    np.testing.assert_allclose(run(path, POINTS), model(POINTS), rtol=1e-6)
    (columns,) = onnx.load(path).metadata_props
    assert (columns.key, columns.value) == ("columns", "u, v, w")


def test_functions_of_a_network(tmp_path):
    mlp = jaxbp.Mlp((2, 8, 3), hidden="silu")
    params = draw_params(mlp)
    assert_same(lambda p: jax.nn.softmax(jaxbp.predict(mlp, params, p)), tmp_path / "a.onnx")
    assert_same(lambda p: jnp.expm1(p[:, 1]) ** 3 - jnp.clip(p[:, 0], 1, 1.5), tmp_path / "b.onnx")


def test_what_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="operations known to export_onnx, got while"):
        jaxbp.export_onnx(
            lambda points: jax.lax.while_loop(lambda x: x.sum() < 9, jnp.exp, points), 2, "x.onnx"
        )
    for function, what in (
        (lambda points: points[1:], "a slice of the points"),
        (lambda points: jnp.sort(points), "sort"),
        (lambda points: (points @ points.T)[:, :, None], "an array of shape"),
        (lambda points: jnp.ones((2 * points.shape[0], 1)), "an array of shape"),
    ):
        with pytest.raises(ValueError, match=f"operations known to export_onnx, got {what}"):
            jaxbp.export_onnx(function, 2, tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="num_inputs must be a whole number"):
        jaxbp.export_onnx(jnp.sin, 0, tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"needs onnx: pip install 'jaxbp\[onnx\]'"):
        jaxbp.export_onnx(jnp.sin, 2, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
