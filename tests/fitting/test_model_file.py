"""Saved models: the same numbers come back, and a wrong description is refused in one line."""

import json
import re
import zipfile
from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxbp
from jaxbp._archive import Slot, write_archive
from jaxbp.fitting.model import Candidate, Model, Term
from jaxbp.fitting.standardizing import Standardizer

GENERATOR = np.random.default_rng(0)
POINTS, OUTPUTS = GENERATOR.normal(5, 3, (40, 2)), GENERATOR.normal(-1, 9, (40, 3))
NAMES = ("x", "y", "größe", "b", "c")


def make_term(mlp, seed, dtype, scale_dtype=None):
    generator = np.random.default_rng(seed)
    layers = zip(mlp.sizes[:-1], mlp.sizes[1:], strict=True)
    params = tuple(
        jaxbp.Layer(
            generator.normal(size=(a, b)).astype(dtype), generator.normal(size=b).astype(dtype)
        )
        for a, b in layers
    )
    return Term(mlp, params, generator.uniform(1e-3, 1, mlp.sizes[-1]).astype(scale_dtype or dtype))


def make_model(kind="network", dtype="float64"):
    mlps = (
        jaxbp.Mlp((2, 5, 4, 3), ("sine", "tanh")),
        jaxbp.Mlp((2, 7, 3), "silu"),
        jaxbp.Mlp((2, 3)),
    )
    first = make_term(mlps[0], 0, dtype)
    model = Model.for_data(mlps[0], first.params, POINTS, OUTPUTS, NAMES)
    model = replace(
        model, history=(Candidate("tanh 5, 4", 0.25, 1.5), Candidate("sine 7", np.nan, 2.5, True))
    )
    if kind == "flat":
        mlp = jaxbp.Mlp((2, 6, 1))
        return Model.for_data(mlp, make_term(mlp, 1, dtype).params, POINTS, OUTPUTS[:, 0])
    if kind != "network":
        terms = [make_term(mlp, seed, dtype, "float64") for seed, mlp in enumerate(mlps)]
        model = model.with_terms(terms)
    return model


def same(model, other):
    leaves, others = jax.tree.leaves(model), jax.tree.leaves(other)
    words = [
        repr((some.flat, some.history, some.names, [term.network for term in some.terms]))
        for some in (model, other)
    ]
    return words[0] == words[1] and all(
        isinstance(b, np.ndarray)
        and np.asarray(a).dtype == b.dtype
        and np.asarray(a).tobytes() == b.tobytes()
        for a, b in zip(leaves, others, strict=True)
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.npz"
    make_model("average").save(path)
    return path


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["network", "flat", "average"])
def test_the_same_numbers_come_back(tmp_path, kind, dtype, x64):
    with jax.enable_x64(x64):
        model = make_model(kind, dtype)
        model.save(tmp_path / "model.npz")
        loaded = jaxbp.load(tmp_path / "model.npz")
        assert same(model, loaded)
        np.testing.assert_array_equal(model(POINTS), loaded(POINTS))
        if kind == "average":
            assert loaded.names == NAMES
            assert loaded.history[1].chosen
        again = tmp_path / "again.npz"
        loaded.save(again)
        assert again.read_bytes() == (tmp_path / "model.npz").read_bytes()
        gradient = jax.jit(jax.grad(lambda point: loaded(point[None]).sum()))(
            jax.numpy.asarray(POINTS[0])
        )
        assert np.isfinite(np.asarray(gradient)).all()


def test_a_network_without_biases_comes_back(tmp_path):
    mlp = jaxbp.Mlp((2, 5, 1), "tanh", bias=False)
    model = Model.for_data(mlp, jaxbp.init(mlp, jax.random.key(0)), POINTS, OUTPUTS[:, 0])
    model.save(tmp_path / "model.npz")
    loaded = jaxbp.load(tmp_path / "model.npz")
    assert loaded.mlp == mlp
    np.testing.assert_array_equal(model(POINTS), loaded(POINTS))


def test_leaves_of_jax_are_saved_too(tmp_path):
    model = jax.tree.map(jax.numpy.asarray, make_model("network", "float32"))
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(
        jaxbp.load(tmp_path / "model.npz").params[0].weight, model.params[0].weight
    )


@pytest.mark.parametrize("name", ["my model.npz", "größe", "no.suffix.at.all"])
def test_the_name_given_is_the_name_written(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_model().save(f"~/models/{name}")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [name]
    assert same(make_model(), jaxbp.load(f"~/models/{name}"))


def test_any_reader_of_npz_can_read_it(saved):
    with np.load(saved, allow_pickle=False) as archive:
        description = json.loads(archive["description"].tobytes())
        assert archive["terms_0_params_0_weight"].shape == (2, 5)
    assert description["schema"] == 2
    assert description["jaxbp"] == jaxbp.__version__
    assert description["networks"][0]["sizes"] == [2, 5, 4, 3]


def refused(path, *patterns):
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        jaxbp.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path} must be a model that jaxbp saved, but ")
    assert "\n" not in message
    assert len(message) < 700
    for pattern in patterns:
        assert re.search(pattern, message), message
    return message


def described(path, **changes):
    """Writes the file anew with another description."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    description = json.loads(arrays.pop("description").tobytes()) | changes
    slots = {name: Slot(array.shape, array.dtype.name) for name, array in arrays.items()}
    write_archive(path, "a model", description, arrays, lambda description: slots)


def test_the_files_made_here_are_right_but_for_what_is_wrong(saved):
    model = jaxbp.load(saved)
    described(saved)
    assert same(model, jaxbp.load(saved))


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        (
            {"schema": 3, "jaxbp": "9.0"},
            "schema 3, written by jaxbp 9.0: this version reads schema 2",
        ),
        ({"schema": "1"}, "schema must be a int, got '1'"),
        ({"networks": []}, "same inputs and outputs"),
        ({"networks": [{"sizes": [2, 3]}]}, "dtype must be a str, got None"),
        ({"networks": {}}, "networks must be a list"),
        ({"networks": [3]}, "dtype must be a str, got 3"),
        ({"flat": 1}, "flat must be a bool"),
        ({"flat": True}, "one output to be flat, got 3"),
        ({"names": ["a"]}, "2 inputs and 3 outputs"),
        ({"names": [1, 2, 3, 4, 5]}, "2 inputs and 3 outputs"),
        ({"history": [["a", 1, 2.0, True]]}, "history must list"),
        ({"history": [3]}, ""),
    ],
)
def test_descriptions_that_are_wrong(saved, changes, pattern):
    described(saved, **changes)
    refused(saved, pattern)


@pytest.mark.parametrize(
    ("network", "pattern"),
    [
        ({"sizes": [2, 10**12, 4, 3]}, r"params_0_weight should be float64 \(2, 1000000000000\)"),
        ({"sizes": [2, -5, 4, 3]}, r"sizes\[1\] must be a whole number of at least 1, got -5"),
        ({"sizes": [4]}, "at least an input and an output size"),
        ({"hidden": "tnah"}, "hidden must be one of tanh, .*; got 'tnah'"),
        ({"hidden": {"a": 1}}, "hidden must be a str, got"),
        ({"dtype": "object"}, "dtype must be float32 or float64, got object"),
        ({"dtype": "float32"}, "should be float32"),
    ],
)
def test_networks_that_are_wrong(saved, network, pattern):
    make_model().save(saved)
    first = {"sizes": [2, 5, 4, 3], "hidden": ["sine", "tanh"], "output": "identity", "bias": True}
    first |= {"dtype": "float64", "scale_dtype": "float64"} | network
    described(saved, networks=[first])
    refused(saved, pattern)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match=r"path must be a file to write, .* is a directory"):
        make_model().save(tmp_path)
    model = make_model()
    for wrong, pattern in (
        (
            jax.tree.map(lambda leaf: leaf.astype(np.float16), model),
            "dtype must be float32 or float64, got float16",
        ),
        (replace(model, names=("x",)), "2 inputs and 3 outputs"),
        (
            replace(model, input_scaler=Standardizer(np.zeros(3), np.ones(2), np.zeros(2))),
            "input_scaler_mean",
        ),
        (model.with_params(model.params[:2]), "terms_0_params_2_weight"),
    ):
        with pytest.raises(ValueError, match=pattern):
            wrong.save(tmp_path / "model.npz")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        model.save(tmp_path / "file" / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_save_leaves_the_last_file(saved, monkeypatch):
    before = saved.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        make_model().save(saved)
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1
