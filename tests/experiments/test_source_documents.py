"""The experiments on the source documents, run for real, and their golden numbers."""

from shared.experiment import Common, parse

import json
import re
import signal
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

import jax
import numpy as np
import pytest
from test_images import write

import check_gradients
import diagnose
import digits
import errata
import fruit_graph
import make_figures
import mean_of_two
import node_errors
import one_layer
import xor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    jax.config.update("jax_enable_x64", False)


def flags_of(module):
    return getattr(module, "Config", Common)


@pytest.fixture
def experiment(tmp_path, capsys):
    """Runs an experiment in this process; gives what it printed and the result that it wrote."""

    def run(module, stem="", **flags):
        module.main(flags_of(module)(out=str(tmp_path), **flags))
        return capsys.readouterr().out, json.loads(
            (tmp_path / f"{stem or module.__name__}.json").read_text()
        )["result"]

    return run


def test_one_layer(experiment):
    text, found = experiment(one_layer)
    # The printed rule is the gradient of the sum of the outputs: X^T (a (1 - a)), in NumPy.
    generator = np.random.RandomState(0)
    weight, bias = generator.rand(2, 1), generator.rand(1)
    inputs, targets = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[0], [1], [1], [1.0]])
    a = 1 / (1 + np.exp(-(inputs @ weight + bias)))
    np.testing.assert_allclose(found["printed"][0]["weight"], inputs.T @ (a * (1 - a)), rtol=1e-12)
    np.testing.assert_allclose(
        found["hand"][0]["weight"], inputs.T @ ((a - targets) / 2 * a * (1 - a)), rtol=1e-12
    )
    assert found["ok"] == {"chain rule": True, "as printed": False}
    assert found["losses"]["chain rule"][-1] < 0.01 < 0.7 < found["losses"]["as printed"][-1]
    assert "86.3 degrees from the gradient" in text
    assert found["angle"] == pytest.approx(86.35, abs=0.01)


@pytest.mark.slow
def test_node_errors(experiment, tmp_path):
    text, found = experiment(node_errors)
    assert found["ok"]
    assert found["share"] <= 1
    # z, a, e and delta of 6 units, e of 3 inputs, gradients of 20 weights and 6 biases.
    assert len(found["values"]) == 3 + 6 * 4 + 20 + 6
    names = {"walk_342.svg", "walk_342.gif", "walk_342.html", "walk_342.md", "walk_342_programs.md"}
    names |= {"node_errors.svg", "node_errors.json", "playground.html"}
    assert {path.name for path in tmp_path.iterdir()} == names
    # Two forward, two back, two for the gradients, in both programs.
    products = re.findall(r"matrix products, \S+ ?\S* +(\d+)", text)
    assert products[0] == products[1]
    assert "| e4 | d8 w84 + d9 w94 |" in (tmp_path / "walk_342.md").read_text()
    # In NumPy, from the numbers that the script prints as its matrices.
    x, y = np.array([0.5, -1, 2]), np.array([1.0, 0])
    w1 = np.array([[0.1, -0.2, 0.4, 0.3], [-0.3, 0.2, 0.1, -0.1], [0.2, 0.5, -0.4, 0.1]])
    w2 = np.array([[0.6, -0.4], [-0.5, 0.3], [0.2, 0.7], [0.4, -0.2]])
    hidden = 1 / (1 + np.exp(-(x @ w1 + [0.1, -0.1, 0.2, 0.0])))
    outputs = 1 / (1 + np.exp(-(hidden @ w2 + [0.05, -0.15])))
    d2 = (outputs - y) * outputs * (1 - outputs)
    d1 = w2 @ d2 * hidden * (1 - hidden)
    for i, value in enumerate(d1, start=4):
        assert found["values"][f"d{i}"] == pytest.approx(value, rel=1e-13)
    for j in range(2):
        for i in range(4):
            assert found["values"][f"dL/dw{8 + j}{4 + i}"] == pytest.approx(
                hidden[i] * d2[j], rel=1e-13
            )
    assert len(found["descent"]) == 21
    assert list(found["descent"]) == sorted(found["descent"], reverse=True)
    assert len(re.findall(r"^step 2 ", text, re.MULTILINE)) == 26


@pytest.mark.slow
def test_xor(experiment):
    text, found = experiment(xor)
    for name, rate in (("as printed", 0.032), ("corrected", 0.608), ("PyTorch twin", 0.224)):
        assert found[name]["solved"] == pytest.approx(rate, abs=0.01)
    assert found["as printed"]["median_loss"] == pytest.approx(0.2366, abs=0.01)
    assert found["corrected"]["median_loss"] == pytest.approx(0.0350, abs=0.02)
    printed, corrected, twin = text.split("seed 0\n")[1:4]
    assert re.findall(r"^Epoch (\d+), Loss: \d\.\d{4}$", printed, re.MULTILINE) == [
        str(1000 * i) for i in range(10)
    ]
    assert re.findall(r"^Epoch (\d+), Loss", corrected, re.MULTILINE) == [
        str(1000 * i) for i in range(10)
    ]
    assert re.findall(r"^Epoch \[(\d+)/10000\], Loss: \d\.\d{4}$", twin, re.MULTILINE) == [
        str(1000 * i) for i in range(1, 11)
    ]


@pytest.mark.slow
def test_mean_of_two(experiment):
    _, found = experiment(mean_of_two)
    assert found["prediction"] == pytest.approx(-0.1, abs=1e-15)
    assert found["preactivations"][0][0][2] == pytest.approx(-0.46, abs=1e-15)
    hidden, output = found["changes"]
    assert output["bias"][0] == pytest.approx(0.3, abs=1e-15)
    assert np.all(np.array(hidden["weight"])[:, 2] == 0)
    assert hidden["bias"][2] == 0
    assert output["weight"][2] == [0.0]
    assert found["rmse"] < 1e-3


def test_fruit_graph(experiment, tmp_path):
    _, found = experiment(fruit_graph)
    apples = {node["name"]: node for node in found["apples"] if node["name"]}
    assert found["apples"][-1]["value"] == pytest.approx(220)
    assert [
        apples[name]["derivative"] for name in ("apple", "apple_count", "tax")
    ] == pytest.approx([2.2, 110, 200])
    both = {node["name"]: node for node in found["apples_oranges"] if node["name"]}
    assert found["apples_oranges"][-1]["value"] == pytest.approx(715)
    names = ("apple", "apple_count", "orange", "orange_count", "tax")
    assert [both[name]["derivative"] for name in names] == pytest.approx([2.2, 110, 3.3, 165, 650])
    assert (tmp_path / "apples_oranges.dot").read_text().startswith("digraph")


@pytest.mark.slow
def test_digits(experiment):
    text, found = experiment(digits, iterations=3000)
    assert found["test_accuracy"] >= 0.96
    lines = re.findall(r"^train acc, test acc \| (\d\.\d{4}), (\d\.\d{4})$", text, re.MULTILINE)
    assert len(lines) == len(found["iteration"]) == 1 + 2999 // (1438 // 100)
    assert lines[-1] == (f"{found['train'][-1]:.4f}", f"{found['test'][-1]:.4f}")


@pytest.mark.slow
def test_digits_from_idx_files(experiment, tmp_path):
    """Images of one lit pixel for each class: linearly separable, and as many lines as epochs."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", 600), ("t10k", 100)):
        labels = generator.integers(0, 10, size).astype(np.uint8)
        images = np.zeros((size, 16), np.uint8)
        images[np.arange(size), labels] = 255
        arrays |= {
            f"{part}-images-idx3-ubyte": images.reshape(size, 4, 4),
            f"{part}-labels-idx1-ubyte": labels,
        }
    write(tmp_path, arrays)
    text, found = experiment(
        digits, "mnist", mnist=str(tmp_path), iterations=601, learning_rate=1.0
    )
    assert found["test_accuracy"] == 1.0
    assert found["iteration"] == [1 + 6 * i for i in range(101)]
    assert len(re.findall("train acc", text)) == 101


@pytest.mark.slow
def test_check_gradients(experiment):
    text, found = experiment(check_gradients, "gradient_check")
    # The criterion of the document is a mean difference; each judge's own bound is on the relative
    # one.
    for judge, allowed in (
        ("central differences", 1e-9),
        ("complex step", 1e-15),
        ("jax.grad", 1e-15),
    ):
        assert max(found["mean"][judge].values()) <= allowed
        assert all(row["error"] <= row["allowed"] for row in found["relative"][judge].values())
    guarded = "central differences of log(p + 1e-7)"
    assert 1e-7 < found["mean"][guarded]["b2"] < 3e-7
    assert all(row["error"] > row["allowed"] for row in found["relative"][guarded].values())
    assert list(found["rules"].values()) == [False, True]  # without and with the guard in the rule
    assert "WRONG" in text


@pytest.mark.slow
def test_errata(experiment):
    _, found = experiment(errata, seeds=50, epochs=200)
    by_name = {
        f"{one['mistake']}: {one['quantity']}": (one["printed"], one["corrected"])
        for one in found["errata"]
    }
    assert by_name["one layer: no upstream gradient: angle to the gradient, degrees"][
        0
    ] == pytest.approx(86.35, abs=0.01)
    assert by_name["exclusive or: batch size divides twice: length / gradient's"] == (
        pytest.approx(0.25, rel=1e-12),
        1,
    )
    printed, corrected = by_name[
        "exclusive or: batch size divides twice: share of 50 starts that learn"
    ]
    assert printed < 0.2 < 0.4 < corrected
    assert by_name["surface fit: half or whole: length / printed loss's gradient"] == (
        pytest.approx(0.5, rel=1e-8),
        1,
    )
    printed, corrected = by_name["surface fit: grid, not samples: squared error, 200 epochs"]
    assert printed == pytest.approx(0.3719, rel=2e-3)  # the document's, here in float32
    assert corrected > printed
    printed, corrected = by_name["digits: weights without 0.01: first loss"]
    assert 16.0 < printed <= -np.log(1e-7) + 1e-9
    assert corrected == pytest.approx(np.log(10), abs=0.05)
    printed, corrected = by_name["digits: log(p + 1e-7): relative difference on b2"]
    assert printed > 1e-7 > 1e-9 > corrected
    assert len(found["errata"]) == 9


@pytest.mark.slow
def test_diagnose(experiment, monkeypatch):
    assert set(diagnose.OPTIMIZERS) >= {"nesterov", "adagrad", "rmsprop"}
    monkeypatch.setattr(diagnose, "DEPTHS", (30,))
    monkeypatch.setattr(
        diagnose,
        "OPTIMIZERS",
        {name: diagnose.OPTIMIZERS[name] for name in ("sgd", "momentum", "adam")},
    )
    _, found = experiment(diagnose, steps=2000, seeds=5)
    deepest = found["node_error_norms"]["30"]
    assert deepest["sigmoid"]["normal, 0.01"][0] < 1e-40  # vanishing
    assert deepest["relu"]["normal, 1"][0] > 1e20  # exploding
    assert 0.1 < deepest["relu"]["He"][0] < 10
    assert 0.01 < deepest["tanh"]["Glorot"][0] < 10
    ends = {
        name.split(",")[0]: history["loss"][-1]
        for name, history in found["optimizers"]["surface"].items()
    }
    assert ends["adam"] < ends["momentum"] < ends["sgd"] < 0.1
    # Steepest descent on x^2 / 20 + y^2 multiplies x by 1 - rate / 10 and y by 1 - 2 rate in each
    # step.
    path = np.array(found["optimizers"]["valley"]["sgd, rate 0.95"])
    steps = np.arange(31)
    np.testing.assert_allclose(
        path, np.stack([-7 * 0.905**steps, 2 * (-0.9) ** steps], axis=1), rtol=1e-10
    )
    losses = np.array(found["learning_rates"]["losses"], float)  # null where it diverged
    assert np.isnan(losses[:, -1]).all()
    assert np.nanmin(losses) < 0.5 * losses[:, 0].min()
    plain, decayed = (
        found["regularization"][name]["validation_loss"][-1]
        for name in ("none", "weight decay 0.003")
    )
    assert decayed < plain


@pytest.mark.slow
def test_a_walk_of_many_units_has_its_sizes_in_the_names(experiment, tmp_path):
    experiment(node_errors, "walk_2_12_1", sizes=(2, 12, 1), hidden="relu", output="identity")
    assert (tmp_path / "walk_2_12_1.svg").exists()


@pytest.mark.slow
def test_figures_are_drawn_as_committed(tmp_path, capsys):
    make_figures.main(make_figures.Config(only=("fruit_graph",), out=str(tmp_path)))
    assert "fruit_graph: " in capsys.readouterr().out
    drawn, committed = (
        json.loads((folder / "fruit_graph.json").read_text())["result"]
        for folder in (tmp_path, ROOT / "figures")
    )
    assert drawn == committed
    assert (tmp_path / "apples.dot").read_bytes() == (ROOT / "figures/apples.dot").read_bytes()


def test_asked_to_an_experiment_opens_its_pictures(experiment, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    experiment(fruit_graph, show=True)
    assert opened == [(tmp_path / f"{name}.svg").as_uri() for name in ("apples", "apples_oranges")]


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        (one_layer, "--seed -1", "Seed must be between 0 and 2**32 - 1"),
        (xor, "--seeds 0", "seeds must be at least 1, got 0"),
        (digits, "--mnist nowhere", "nowhere must hold MNIST's file"),
        (digits, "--hidden 0", "sizes[1] must be a whole number of at least 1, got 0"),
        (digits, "--batch-size 5000", "batch_size must be at most"),
        (check_gradients, "--mnist nowhere", "nowhere must hold MNIST's file"),
        (errata, "--seeds 0", "seeds must be at least 1, got 0"),
        (diagnose, "--steps 2", "steps must be at least 5"),
        (node_errors, "--sizes 3", "sizes must list at least an input and an output size"),
        (node_errors, "--hidden tnah", "hidden must be one of tanh, "),
    ],
)
def test_bad_flags_are_named_and_leave_no_file(module, flags, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)), jax.debug_nans(False):
        module.main(parse(flags_of(module), [*flags.split(), "--out", str(tmp_path), "--quiet"]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_fit_that_diverges_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(mean_of_two, "RATE", 1e9)
    with (
        pytest.warns(RuntimeWarning, match="diverged"),
        pytest.raises(ValueError, match="the fit diverged"),
    ):
        mean_of_two.main(Common(out=str(tmp_path / "out")))
    assert list((tmp_path / "out").glob("*")) == []


def start(script, *flags):
    command = [sys.executable, ROOT / "experiments" / script, *map(str, flags)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_on_the_command_line_an_error_is_one_line_and_status_1():
    with start("one_layer.py", "--out", "/dev/null/x") as process:
        _, error = process.communicate()
    assert process.returncode == 1
    assert error == "error: out must be a folder that can be written to, got /dev/null/x\n"


@pytest.mark.slow
def test_a_closed_pipe_ends_the_script_without_a_word(tmp_path):
    with start("node_errors.py", "--out", tmp_path) as process:
        assert process.stdout.readline().startswith("half squared error")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode in (0, -signal.SIGPIPE)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.4, 1.0, 2.0, None])
def test_an_interrupt_ends_a_script_without_a_traceback(tmp_path, seconds):
    """While JAX is imported, and in training."""
    # A shell's background jobs start with the signal ignored, and so would theirs; a handler is not
    # inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start("digits.py", "--iterations", 10_000_000, "--out", tmp_path / "out")
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        if seconds is None:
            assert process.stdout.readline().startswith("train acc")
        else:
            time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert process.returncode in (-signal.SIGINT, 130)  # a shell calls both 130
    assert error == ""
    assert list((tmp_path / "out").glob("*")) == []
