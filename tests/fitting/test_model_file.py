"""Saved models: the same numbers come back, and a file that is damaged or made to harm is refused in one line."""

import dataclasses
import json
import pickle
import re
import struct
import zipfile
from dataclasses import replace

import jax
import numpy as np
import pytest

import jaxbp
from jaxbp import _archive
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
        assert archive["0_0_weight"].shape == (2, 5)
    assert description["schema"] == 1
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


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "none.npz", "no such file")
    refused(tmp_path, "directory")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "empty")
    (tmp_path / "text").write_text("x,y\n1,2\n")
    refused(tmp_path / "text", "no npz archive")
    (tmp_path / "pickle").write_bytes(pickle.dumps(make_model()))
    refused(tmp_path / "pickle", "no npz archive")


def test_cut_short_anywhere(saved):
    content = saved.read_bytes()
    for size in np.unique(GENERATOR.integers(1, len(content), 300)):
        saved.write_bytes(content[:size])
        refused(saved)


def test_a_bit_flipped_anywhere_is_refused_or_changes_nothing(saved):
    model, content = jaxbp.load(saved), saved.read_bytes()
    num_refused = 0
    for place in GENERATOR.integers(0, 8 * len(content), 1000):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        saved.write_bytes(flipped)
        try:
            assert same(model, jaxbp.load(saved)), place
        except ValueError:
            refused(saved)
            num_refused += 1
    assert num_refused > 800


@pytest.mark.parametrize("tail", [b"\0", b"PK\5\6", b"x" * 100_000])
def test_bytes_after_the_end(saved, tail):
    saved.write_bytes(saved.read_bytes() + tail)
    refused(saved, "other bytes follow its end")


def test_bytes_before_the_start(saved):
    saved.write_bytes(b"#!/bin/sh\n" + saved.read_bytes())
    refused(saved, "no npz archive")


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_members(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)


def npy(array, **header):
    text = repr(
        {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    ).replace("}", ", }")
    text = (text + " " * (-(len(text) + 11) % 64) + "\n").encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + array.tobytes()


def described(path, **changes):
    """Writes the file anew with another description."""
    members = members_of(path)
    text = members["description.npy"]
    description = json.loads(text[text.index(b"\n") + 1 :]) | changes
    members["description.npy"] = npy(np.frombuffer(json.dumps(description).encode(), np.uint8))
    write_members(path, members.items())


def test_the_files_made_here_are_right_but_for_what_is_wrong(saved):
    model = jaxbp.load(saved)
    described(saved)
    assert same(model, jaxbp.load(saved))


def test_members_that_should_not_be_there(saved):
    members = list(members_of(saved).items())
    for wrong, pattern in (
        ([*members, ("extra.npy", b"1")], "its member 21 of 20 must be none, it is 'extra.npy'"),
        ([*members, ("../../outside.npy", b"1")], "outside"),
        ([*members[:-1], ("/etc/passwd", b"1")], "must be 2_0_bias.npy, it is '/etc/passwd'"),
        (members[:-1], "must be 2_0_bias.npy, it is missing"),
        ([members[0], *reversed(members[1:])], "its member 2 of 20 must be input_mean.npy"),
        (members[1:], "should be uint8"),
        ([], "no npz archive"),
    ):
        write_members(saved, wrong)
        refused(saved, pattern)
    with pytest.warns(UserWarning, match="Duplicate"):
        write_members(saved, [*members, members[-1]])
    refused(saved, "its member 21 of 20")


def test_as_many_members_are_read_as_are_written_and_no_more(tmp_path, monkeypatch):
    def layout(description):
        return {name: _archive.Slot((2,), "int32") for name in description["names"]}

    def write(names):
        arrays = {name: np.arange(2, dtype=np.int32) for name in names}
        _archive.write_archive(
            tmp_path / "some.npz", "a file", {"names": list(names)}, arrays, layout
        )

    monkeypatch.setattr(_archive, "MAX_MEMBERS", 3)
    write("ab")
    np.testing.assert_array_equal(
        _archive.read_archive(tmp_path / "some.npz", "a file", layout)[1]["b"], [0, 1]
    )
    with pytest.raises(ValueError, match="less than 3 arrays"):
        write("abc")
    monkeypatch.setattr(_archive, "MAX_BYTES", 2 * _archive.MAX_HEADER * 3 + 40)
    write("ab")
    assert _archive.read_archive(tmp_path / "some.npz", "a file", layout)[0] == {
        "names": ["a", "b"]
    }
    with pytest.raises(ValueError, match="40 bytes in all"):
        write(["a", "a long name"])
    monkeypatch.undo()
    write("abc")
    monkeypatch.setattr(_archive, "MAX_MEMBERS", 3)
    with pytest.raises(ValueError, match="it has 4 members"):
        _archive.read_archive(tmp_path / "some.npz", "a file", layout)


def test_compressed_and_encrypted_members(saved):
    members = members_of(saved)
    write_members(saved, members.items(), zipfile.ZIP_DEFLATED)
    refused(saved, "not stored as jaxbp stores it")
    write_members(saved, members.items())
    right = saved.read_bytes()
    # In the directory: a flag of encryption, another method for bytes of the same number, another
    # number of them.
    for place, value in ((8, 1), (10, zipfile.ZIP_DEFLATED), (20, 1)):
        content = bytearray(right)
        content[content.index(b"PK\1\2") + place] ^= value
        saved.write_bytes(content)
        refused(saved, "not stored as jaxbp stores it")


def test_headers_that_ask_for_more_than_there_is(saved, monkeypatch):
    members = members_of(saved)
    array = np.zeros((2, 5))
    wrong = {
        "(100000, 100000)": npy(array, shape=(100_000, 100_000)),
        "float32": npy(array.astype(np.float32)),
        "should have 80 bytes": npy(array) + b"12345678",
        "but .*fortran": npy(array, fortran_order=True),
        "but .*'>f8'": npy(array.astype(">f8")),
        "but .*O": npy(array, descr="|O"),
        "but .*V8": npy(array, descr="|V8"),
        "not an array": b"\x80\x05K\x01.",
    }
    monkeypatch.setattr(
        _archive, "_numbers", only_the_description := OnlyTheDescription(_archive._numbers)
    )
    for pattern, content in wrong.items():
        write_members(saved, (members | {"0_0_weight.npy": content}).items())
        refused(saved, "0_0_weight", pattern)
    assert only_the_description.calls == len(wrong)


class OnlyTheDescription:
    """Lets no other member be read."""

    def __init__(self, read):
        self.read, self.calls = read, 0

    def __call__(self, archive, member):
        assert member.info.filename == "description.npy"
        self.calls += 1
        return self.read(archive, member)


def test_nothing_pickled_is_run(saved, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    members = members_of(saved)
    content = npy(np.zeros((2, 5)), descr="|O") + pickle.dumps(Harm())
    write_members(saved, (members | {"0_0_weight.npy": content}).items())
    refused(saved, "0_0_weight")
    np.savez(saved, description=np.array([Harm()], object))
    refused(saved)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        (
            {"schema": 2, "jaxbp": "9.0"},
            "schema 2, written by jaxbp 9.0: this version reads schema 1",
        ),
        ({"schema": "1"}, "schema must be a int, got '1'"),
        ({"networks": []}, "same inputs and outputs"),
        ({"networks": [{"sizes": [2, 3]}]}, "dtype must be a str, got None"),
        ({"networks": {}}, "networks must be a list"),
        ({"networks": [3]}, "sizes must be a list, got 3"),
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
        ({"sizes": [2, 10**12, 4, 3]}, r"0_0_weight.npy should be float64 \(2, 1000000000000\)"),
        ({"sizes": [2, -5, 4, 3]}, r"sizes\[1\] must be a whole number of at least 1, got -5"),
        ({"sizes": [4]}, "at least an input and an output size"),
        ({"hidden": "tnah"}, "hidden must be one of tanh, .*; got 'tnah'"),
        ({"hidden": {"a": 1}}, "hidden must be an activation"),
        ({"dtype": "object"}, "dtype must be float32 or float64, got object"),
        ({"dtype": "float32"}, "should be float32"),
    ],
)
def test_networks_that_are_wrong(saved, network, pattern):
    make_model().save(saved)
    first = {"sizes": [2, 5, 4, 3], "hidden": ["sine", "tanh"], "output": "identity"}
    first |= {"dtype": "float64", "scale_dtype": "float64"} | network
    described(saved, networks=[first])
    refused(saved, pattern)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"nothing", b"\xff", b"[1]", b"1" * 5000, b" " * (2**20 + 1)]
)
def test_descriptions_that_are_none(saved, text):
    write_members(
        saved, (members_of(saved) | {"description.npy": npy(np.frombuffer(text, np.uint8))}).items()
    )
    refused(saved)


def test_too_large_a_file_is_not_read(saved, monkeypatch):
    monkeypatch.setattr(_archive, "MAX_BYTES", 4000)
    refused(saved, "more than 4000")
    with monkeypatch.context() as patched:
        patched.setattr(_archive, "MAX_BYTES", saved.stat().st_size)
        assert same(make_model("average"), jaxbp.load(saved))
    with pytest.raises(ValueError, match="must hold less than"):
        make_model().save(saved.with_name("other"))
    assert not saved.with_name("other").exists()


def test_more_than_an_archive_holds_is_not_written(saved, monkeypatch):
    model, other = make_model("average"), saved.with_name("other")
    with np.load(saved) as archive:
        text = archive["description"].nbytes
    with pytest.raises(
        ValueError, match="must hold less than 10000 arrays, 1048576 bytes of description"
    ):
        dataclasses.replace(model, names=("x" * 2**20, *model.names[1:])).save(other)
    monkeypatch.setattr(
        _archive, "MAX_BYTES", 2 * _archive.MAX_HEADER * _archive.MAX_MEMBERS + text + 1
    )
    with pytest.raises(ValueError, match=rf"and {text + 1} bytes in all; got "):
        model.save(other)
    assert not other.exists()


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
        (replace(model, input_scaler=Standardizer(np.zeros(3), np.ones(2))), "input_mean"),
        (model.with_params(model.params[:2]), "0_2_weight"),
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
