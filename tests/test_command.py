"""`python -m jaxbp`: fit a table, predict, tell; errors in one line."""

import base64
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jaxbp
from jaxbp import __main__ as command
from jaxbp.fitting.model import Candidate, Model

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.uniform(-1, 1, (40, 2))
FIRST = Candidate("ridge", 0.5, 0.1)
BEST = Candidate("tanh 6", 0.25, 1.5, True)


def write_csv(path, names, rows):
    lines = [",".join(names), *(",".join(map(repr, row)) for row in np.asarray(rows).tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def read_csv(text):
    lines = text.splitlines()
    return lines[0].split(","), np.array(
        [[float(field) for field in line.split(",")] for line in lines[1:]]
    )


@pytest.fixture
def table(tmp_path):
    values = POINTS[:, 0] + 2 * POINTS[:, 1]
    return write_csv(
        tmp_path / "table.csv",
        ("y", "z", "größe x"),
        np.column_stack([POINTS[:, 0], values, POINTS[:, 1]]),
    )


def stand_in(points, outputs, *, seconds, seed, names, max_units, on_candidate):
    """Takes the least-squares plane as a network of one layer, so that the command is tested and
    not the fit."""
    assert (seconds, seed) == (2.0, 3)
    columns = np.column_stack([points, np.ones(len(points))])
    plane = np.linalg.lstsq(columns, outputs.reshape(len(outputs), -1), rcond=None)[0]
    mlp = jaxbp.Mlp((points.shape[1], plane.shape[1]))
    model = Model.for_data(mlp, (jaxbp.Layer(plane[:-1], plane[-1]),), points, outputs, names)
    weight = plane[:-1] * model.input_scaler.scale[:, None] / model.output_scaler.scale
    on_candidate(FIRST)
    on_candidate(BEST)
    return Model(
        model.terms,
        model.input_scaler,
        model.output_scaler,
        model.flat,
        ranges=model.ranges,
        history=(FIRST, BEST),
        names=names,
    ).with_params((jaxbp.Layer(weight, np.zeros(len(weight.T))),))


@pytest.fixture
def fitted(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "fit_model", stand_in)
    path = str(tmp_path / "my model")
    assert (
        command.main(
            ["fit", table, "--target", "z", "--seconds", "2", "--seed", "3", "--out", path]
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"z predicted from y, größe x: 40 rows of {table}"
    assert lines[1] == command.HEADER
    assert lines[2].split() == ["0.5", "0.1", "s", "ridge"]
    assert lines[-1] == f"wrote {path}"
    return path


def fails(capsys, arguments, *parts):
    """Asserts status 1 and one line on standard error that holds these parts."""
    assert command.main(list(map(str, arguments))) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    for part in parts:
        assert part in error


def test_fit_then_predict_on_standard_output(fitted, tmp_path, capsys):
    assert jaxbp.load(fitted).names == ("y", "größe x", "z")
    points = write_csv(
        tmp_path / "points.csv", ("größe x", "other", "y"), [[1.5, 9.0, 1.0], [0.1, 9.0, -1.0]]
    )
    assert command.main(["predict", fitted, points]) == 0
    told = capsys.readouterr()
    names, rows = read_csv(told.out)
    assert names == ["y", "größe x", "z"]
    assert told.err == (
        f"z predicted from y, größe x: 2 points of {points}\n"
        "note: 2 of 2 points lie outside the ranges of the fitted rows\n"
    )
    np.testing.assert_allclose(rows, [[1, 1.5, 4], [-1, 0.1, -0.8]], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        rows[:, 2], jaxbp.load(fitted)(rows[:, :2])
    )  # every digit is printed


def test_predict_to_a_file(fitted, table, tmp_path, capsys):
    out = tmp_path / "new folder" / "predictions.csv"
    assert command.main(["predict", fitted, table, "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"z predicted from y, größe x: 40 points of {table}",
        f"wrote 40 predictions to {out}",
    ]
    _, rows = read_csv(out.read_text(encoding="utf-8"))
    np.testing.assert_allclose(rows[:, 2], POINTS @ [1, 2], rtol=0, atol=1e-12)


def test_several_targets_and_chosen_inputs(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "fit_model", stand_in)
    out = tmp_path / "two.npz"
    flags = [
        "--inputs",
        "größe x",
        "--target",
        "z",
        "--target",
        "y",
        "--seconds",
        "2",
        "--seed",
        "3",
        "--out",
        out,
    ]
    assert command.main(["fit", table, *map(str, flags)]) == 0
    capsys.readouterr()
    assert command.main(["predict", str(out), table]) == 0
    assert read_csv(capsys.readouterr().out)[0] == ["größe x", "z", "y"]


def test_the_seed_is_fit_model_s_unless_given(table, tmp_path, monkeypatch):
    seen = []

    def keep(points, outputs, *, seconds, seed, on_candidate, **more):
        seen.append(seed)
        return stand_in(points, outputs, seconds=2.0, seed=3, on_candidate=on_candidate, **more)

    monkeypatch.setattr(command, "fit_model", keep)
    for flags in ([], ["--seed", "7"]):
        assert (
            command.main(["fit", table, "--target", "z", "--out", str(tmp_path / "model"), *flags])
            == 0
        )
    assert seen == [inspect.signature(jaxbp.fit_model).parameters["seed"].default, 7]


def test_info(fitted, tmp_path, capsys):
    assert command.main(["info", fitted]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"z predicted from y, größe x: {fitted}, ")
    for part in ("2-1 linear, 3 parameters", "ridge", "tanh 6  chosen", jaxbp.__version__):
        assert part in text
    plain = Model.for_data(jaxbp.Mlp((2, 1)), jaxbp.load(fitted).params, POINTS, POINTS[:, 0])
    plain.save(tmp_path / "plain.npz")
    assert command.main(["info", str(tmp_path / "plain.npz")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("output_0 predicted from input_0, input_1: ")
    assert command.HEADER not in text


def test_without_a_target_the_last_column_is_predicted_and_several_need_one_flag(
    table, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(command, "fit_model", stand_in)
    flags = ["--seconds", "2", "--seed", "3", "--out", str(tmp_path / "model")]
    assert command.main(["fit", table, *flags]) == 0
    assert capsys.readouterr().out.startswith("größe x predicted from y, z: ")
    assert command.main(["fit", table, "--target", "z", "y", *flags]) == 0
    assert capsys.readouterr().out.startswith("z, y predicted from größe x: ")


def test_the_page_of_weights(tmp_path, capsys):
    pairs = [[[[1.5, -2], [0, 3]], [0.5, 0]], [[[1], [2]], [[-1]]]]
    arrays = [np.asarray(array, float) for pair in pairs for array in pair]
    out = tmp_path / "page.html"

    def packed(name, content=None, **named):
        path = tmp_path / name
        if path.suffix == ".npz" and content is None:
            np.savez(path, **named)
        else:
            path.write_text(content, encoding="utf-8")
        return ["page", "--sizes", "2", "2", "1", "--out", str(out), "--weights", str(path)]

    def params():
        data = re.search(r'id="data">(.*)</script>', out.read_text(encoding="utf-8"))[1]
        return np.frombuffer(base64.b64decode(json.loads(data)["params"])).tolist()

    flat = np.concatenate([array.ravel() for array in arrays]).tolist()
    named = dict(zip("abcd", arrays, strict=True))
    for flags in (packed("w.json", json.dumps(pairs)), packed("w.npz", **named)):
        assert command.main(flags) == 0
        assert params() == flat
    unbiased = json.dumps([[weight, None] for weight, _ in pairs])
    weights = {"a": arrays[0], "c": arrays[2]}
    for flags in (packed("u.json", unbiased), packed("u.npz", **weights)):
        assert command.main(flags) == 0
        assert params() == [1.5, -2, 0, 3, 1, 2]
    for name, content, match in (
        ("bad.json", "{", "bad.json must be JSON"),
        ("dict.json", "{}", "dict.json: params must be a tuple of 2 Layers, got dict"),
        ("one.json", json.dumps(pairs[:1]), "must have 2 layers"),
        ("text.json", '[["x", 1], [2, 3]]', "params[0].weight must be an array of real numbers"),
        ("nan.json", json.dumps(pairs).replace("1.5", "NaN"), "must be finite"),
        ("turned.json", json.dumps([[[[1]], [1]], pairs[1]]), "params[0].weight must have shape"),
        ("text.npz", "text", "must be an .npz file of numbers"),
    ):
        fails(capsys, packed(name, content), match)
    fails(capsys, packed("three.npz", **weights, e=arrays[1]), "got the arrays a, c, e")
    fails(capsys, ["page", "--weights", str(out)], "sizes with their weights")


def test_the_page_of_a_model(fitted, table, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert command.main(["page", fitted, table, "--out", str(out), "--lang", "zh"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"z predicted from y, größe x: 40 of 40 rows of {table}",
        f"wrote {out}",
    ]
    assert "<html" in out.read_text(encoding="utf-8")
    fails(capsys, ["page", fitted, table, "--out", tmp_path / "x.html", "--lang", "fr"], "lang")


def test_no_output_is_an_input(fitted, table, tmp_path, capsys):
    (tmp_path / "link.csv").symlink_to(table)
    before = Path(table).read_bytes()
    fails(capsys, ["fit", table, "--out", table], "another file than the input")
    fails(capsys, ["predict", fitted, table, "--out", tmp_path / "link.csv"], "than the input")
    fails(capsys, ["predict", fitted, table, "--out", fitted], "another file than the input")
    fails(capsys, ["page", fitted, table, "--out", table], "another file than the input")
    assert Path(table).read_bytes() == before
    for out in ("/", "~nosuchuser/model.npz", tmp_path):
        fails(capsys, ["fit", table, "--out", out], "must be")
    fails(capsys, ["info", "~nosuchuser/model.npz"], "~nosuchuser")
    fails(capsys, ["fit", "~nosuchuser/t.csv"], "~nosuchuser")


def test_no_name_steers_the_terminal_or_becomes_a_formula(fitted, tmp_path, monkeypatch, capsys):
    model = jaxbp.load(fitted)
    replace(model, names=("\x1b[31mred", "a\nb", "=cmd|' /C calc'!A0")).save(tmp_path / "evil")
    assert command.main(["info", str(tmp_path / "evil")]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\\x1b[31mred, a\\nb" in text
    points = write_csv(tmp_path / "p.csv", ("u", "v"), POINTS)
    replace(model, names=("u", "v", "=1+1")).save(tmp_path / "formula")
    assert command.main(["predict", str(tmp_path / "formula"), points]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "u,v,'=1+1"
    fails(capsys, ["fit", table_with(tmp_path, "\x1b[2J"), "--target", "w"], "\\x1b[2J")


def table_with(folder, name):
    return write_csv(folder / "named.csv", ("x", name), POINTS)


def test_the_output_may_not_have_the_letters(fitted, table, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "jaxbp", "predict", fitted, table, "--out", str(tmp_path / "ü.csv")],
        **{"env": os.environ | {"PYTHONIOENCODING": "ascii"}, "capture_output": True},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"\xfc.csv" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 2.0, 4.0])
def test_an_interrupt_ends_the_program_without_a_traceback(tmp_path, seconds):
    table = write_csv(tmp_path / "table.csv", "abcd", GENERATOR.uniform(-1, 1, (2000, 4)))
    program = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "jaxbp",
            "fit",
            table,
            "--out",
            str(tmp_path / "m"),
            "--seconds",
            "60",
        ],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
    )
    time.sleep(seconds)
    program.send_signal(signal.SIGINT)
    assert b"Traceback" not in program.communicate(timeout=20)[1] or seconds < 0.1
    assert program.returncode in (-signal.SIGINT, 130)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_model_without_names_takes_the_columns_as_they_come(fitted, tmp_path, capsys):
    model = jaxbp.load(fitted)
    Model.for_data(model.mlp, model.params, POINTS, POINTS[:, 0]).save(tmp_path / "plain.npz")
    points = write_csv(tmp_path / "points.csv", ("a", "b"), POINTS)
    assert command.main(["predict", str(tmp_path / "plain.npz"), points]) == 0
    assert read_csv(capsys.readouterr().out)[0] == ["a", "b", "output_0"]
    points = write_csv(tmp_path / "points.csv", ("a", "b", "c"), POINTS[:, [0, 1, 1]])
    fails(capsys, ["predict", tmp_path / "plain.npz", points], "must have 2 columns", "got a, b, c")


def test_errors_in_one_line(fitted, table, tmp_path, capsys):
    missing = write_csv(tmp_path / "missing.csv", ("y", "x"), POINTS)
    text = tmp_path / "text.csv"
    text.write_text("y,größe x\n1,2\n3,four\n", encoding="utf-8")
    (tmp_path / "file").touch()
    fails(capsys, ["predict", fitted, missing], missing, "no column 'größe x'")
    fails(capsys, ["predict", fitted, text], "row 3, column größe x", "'four' is not a number")
    fails(capsys, ["predict", fitted, tmp_path / "none.csv"], "none.csv must be a file")
    fails(capsys, ["predict", table, table], "must be a model that jaxbp saved", "no npz archive")
    fails(
        capsys,
        ["predict", fitted, table, "--out", tmp_path],
        "out must be a file that can be written",
    )
    fails(capsys, ["info", tmp_path / "none"], "there is no such file")
    fails(capsys, ["fit", table, "--target", "w"], "no column 'w'")
    fails(capsys, ["fit", table, "--target", "z", "--inputs", "y", "z"], "'z' twice")
    fails(
        capsys, ["fit", table, "--target", "z", "--target", "y", "--target", "größe x"], "no input"
    )
    fails(
        capsys,
        ["fit", table, "--target", "z", "--out", tmp_path / "file" / "model.npz"],
        "out must be a file",
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("file", "missing.csv", "my model", "table.csv", "text.csv")
    ]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left\non device"), MemoryError(), OverflowError("too large")]
)
def test_what_fails_on_the_way_is_one_line_too(table, monkeypatch, capsys, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(command, "fit_model", fail)
    fails(capsys, ["fit", table, "--target", "z"], str(error).split("\n")[0] or "MemoryError")
    error = KeyboardInterrupt()
    assert command.main(["fit", table, "--target", "z"]) == 130


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fti"],
        ["fit"],
        ["fit", "t.csv", "--target", "z", "--seconds", "soon"],
        ["info"],
        ["predict", "m"],
    ],
)
def test_wrong_flags_exit_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m jaxbp" in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly(fitted, tmp_path):
    points = write_csv(tmp_path / "points.csv", ("y", "größe x"), np.repeat(POINTS, 500, axis=0))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as output:
        arguments = [sys.executable, "-m", "jaxbp", "predict", fitted, points]
        done = subprocess.run(
            arguments, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 141
    assert done.stderr == f"z predicted from y, größe x: 20000 points of {points}\n"


def test_a_fit_of_a_plane(table, tmp_path, capsys):
    out = str(tmp_path / "model.npz")
    assert command.main(["fit", table, "--target", "z", "--seconds", "1", "--out", out]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {out}\n")
    assert jaxbp.load(out).score(POINTS, POINTS @ [1, 2]).nrmse < 0.05
