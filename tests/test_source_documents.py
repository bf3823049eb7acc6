"""The experiments on the source documents, run for real with no arguments, and their golden numbers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_images import write

ROOT = Path(__file__).parent.parent
SCRIPTS = (
    *("one_layer", "node_errors", "xor", "mean_of_two", "fruit_graph"),
    *("digits", "check_gradients", "errata", "diagnose", "compare_solvers", "walk"),
)


def run(script, *flags, out, check=True):
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, ROOT / "experiments" / f"{script}.py", *map(str, flags), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=check, env=inherited)


def result_of(script, *flags, out, stem=None):
    text = run(script, *flags, out=out).stdout
    return text, json.loads((out / f"{stem or script}.json").read_text())["result"]


def test_one_layer(tmp_path):
    text, found = result_of("one_layer", out=tmp_path)
    assert found["autodiff"] <= 1e-16
    # The printed rule is the gradient of the sum of the outputs: X^T (a (1 - a)), in NumPy.
    generator = np.random.RandomState(0)
    weight, bias = generator.rand(2, 1), generator.rand(1)
    inputs, targets = np.array([[0, 0], [0, 1], [1, 0], [1, 1.0]]), np.array([[0], [1], [1], [1.0]])
    a = 1 / (1 + np.exp(-(inputs @ weight + bias)))
    np.testing.assert_allclose(found["printed"][0][0], inputs.T @ (a * (1 - a)), rtol=1e-12)
    np.testing.assert_allclose(found["hand"][0][0], inputs.T @ ((a - targets) / 2 * a * (1 - a)), rtol=1e-12)
    assert found["losses"]["chain rule"][-1] < 0.01 < 0.7 < found["losses"]["as printed"][-1]
    assert f"{found['difference']['angle']:.1f} degrees" in text


def test_node_errors(tmp_path):
    text, found = result_of("node_errors", out=tmp_path)
    assert found["largest_difference"] <= 1e-15
    assert len(found["values"]) == 6 * 4 + 20 + 6
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
            assert found["values"][f"dL/dw{8 + j}{4 + i}"] == pytest.approx(hidden[i] * d2[j], rel=1e-13)
    assert list(found["descent"]) == sorted(found["descent"], reverse=True)
    assert len(re.findall(r"^step 2 ", text, re.MULTILINE)) == 26


def test_xor(tmp_path):
    text, found = result_of("xor", out=tmp_path)
    for name, rate in (("as printed", 0.02), ("corrected", 0.59), ("PyTorch twin", 0.246)):
        assert found[name]["solved"] == pytest.approx(rate, abs=0.03)
    assert found["as printed"]["median_loss"] == pytest.approx(0.2366, abs=0.01)
    assert found["corrected"]["median_loss"] == pytest.approx(0.0350, abs=0.02)
    printed, corrected, twin = text.split("seed 0\n")[1:4]
    assert re.findall(r"^Epoch (\d+), Loss: \d\.\d{4}$", printed, re.MULTILINE) == [str(1000 * i) for i in range(10)]
    assert re.findall(r"^Epoch (\d+), Loss", corrected, re.MULTILINE) == [str(1000 * i) for i in range(10)]
    assert re.findall(r"^Epoch \[(\d+)/10000\], Loss: \d\.\d{4}$", twin, re.MULTILINE) == [
        str(1000 * i) for i in range(1, 11)
    ]


def test_mean_of_two(tmp_path):
    _, found = result_of("mean_of_two", out=tmp_path)
    assert found["prediction"] == pytest.approx(-0.1, abs=1e-15)
    assert found["preactivations"][0][0][2] == pytest.approx(-0.46, abs=1e-15)
    hidden, output = found["changes"]
    assert output[1][0] == pytest.approx(0.3, abs=1e-15)
    assert np.all(np.array(hidden[0])[:, 2] == 0)
    assert hidden[1][2] == 0
    assert output[0][2] == [0.0]
    assert found["rmse"] < 1e-3


def test_fruit_graph(tmp_path):
    _, found = result_of("fruit_graph", out=tmp_path)
    apples = {node["name"]: node for node in found["apples"] if node["name"]}
    assert found["apples"][-1]["value"] == pytest.approx(220)
    assert [apples[name]["derivative"] for name in ("apple", "apple_count", "tax")] == pytest.approx([2.2, 110, 200])
    both = {node["name"]: node for node in found["apples_oranges"] if node["name"]}
    assert found["apples_oranges"][-1]["value"] == pytest.approx(715)
    names = ("apple", "apple_count", "orange", "orange_count", "tax")
    assert [both[name]["derivative"] for name in names] == pytest.approx([2.2, 110, 3.3, 165, 650])


def test_digits(tmp_path):
    text, found = result_of("digits", out=tmp_path)
    assert found["test_accuracy"] >= 0.96
    lines = re.findall(r"^train acc, test acc \| (\d\.\d{4}), (\d\.\d{4})$", text, re.MULTILINE)
    assert len(lines) == len(found["iteration"]) == 1 + 9999 // (1438 // 100)
    assert lines[-1] == (f"{found['train'][-1]:.4f}", f"{found['test'][-1]:.4f}")


def test_digits_from_idx_files(tmp_path):
    """Images of one lit pixel for each class: linearly separable, and as many lines as epochs."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", 600), ("t10k", 100)):
        labels = generator.integers(0, 10, size).astype(np.uint8)
        images = np.zeros((size, 16), np.uint8)
        images[np.arange(size), labels] = 255
        arrays |= {f"{part}-images-idx3-ubyte": images.reshape(size, 4, 4), f"{part}-labels-idx1-ubyte": labels}
    write(tmp_path, arrays)
    flags = ("--mnist", tmp_path, "--iterations", 601, "--learning-rate", 1)
    text, found = result_of("digits", *flags, out=tmp_path / "out", stem="mnist")
    assert found["test_accuracy"] == 1.0
    assert found["iteration"] == [1 + 6 * i for i in range(101)]
    assert len(re.findall("train acc", text)) == 101


def test_check_gradients(tmp_path):
    _, found = result_of("check_gradients", out=tmp_path, stem="gradient_check")
    for judge, allowed in (("central differences", 1e-9), ("complex step", 1e-15), ("jax.grad", 1e-15)):
        assert max(mean for mean, _ in found["differences"][judge].values()) <= allowed
    guarded = found["differences"]["central differences of log(p + 1e-7)"]["b2"][0]
    assert 1e-7 < guarded < 3e-7


def test_errata(tmp_path):
    _, found = result_of("errata", out=tmp_path)
    by_name = {f"{one['mistake']}: {one['quantity']}": (one["printed"], one["corrected"]) for one in found["errata"]}
    assert by_name["002 double division: length / gradient's"] == (pytest.approx(0.25, rel=1e-12), 1)
    assert by_name["003 half or whole: length / printed loss's gradient"] == (pytest.approx(0.5, rel=1e-8), 1)
    printed, corrected = by_name["003 grid, not samples: squared error, 2000 epochs"]
    assert printed == pytest.approx(0.0816, rel=2e-3)  # the document's, here in float32
    assert corrected > printed
    printed, corrected = by_name["004 missing 0.01: first loss"]
    assert 16.0 < printed <= -np.log(1e-7) + 1e-9
    assert corrected == pytest.approx(np.log(10), abs=0.05)
    printed, corrected = by_name["004 log(p + 1e-7): gradient check on b2, mean difference"]
    assert printed > 1e-7 > 1e-9 > corrected
    assert by_name["000 upstream gradient: angle to the gradient, degrees"][0] > 45
    assert len(found["errata"]) == 9


def test_diagnose(tmp_path):
    _, found = result_of("diagnose", out=tmp_path)
    deepest = found["node_error_norms"]["30"]
    assert deepest["sigmoid"]["normal, 0.01"][0] < 1e-40  # vanishing
    assert deepest["relu"]["normal, 1"][0] > 1e20  # exploding
    assert 0.1 < deepest["relu"]["He"][0] < 10
    assert 0.01 < deepest["tanh"]["Glorot"][0] < 10
    assert len(found["optimizers"]["surface"]) == 6
    # Steepest descent on x^2 / 20 + y^2 multiplies x by 1 - rate / 10 and y by 1 - 2 rate in each step.
    path = np.array(found["optimizers"]["valley"]["sgd, rate 0.95"])
    steps = np.arange(31)
    np.testing.assert_allclose(path, np.stack([-7 * 0.905**steps, 2 * (-0.9) ** steps], axis=1), rtol=1e-10)
    losses = np.array(found["learning_rates"]["losses"], float)  # null where it diverged
    assert np.isnan(losses[:, -1]).all()
    assert np.nanmin(losses) < 0.5 * losses[:, 0].min()
    plain, decayed = (found["regularization"][name]["validation_loss"][-1] for name in ("none", "weight decay 0.003"))
    assert decayed < plain


def test_walk(tmp_path):
    text, found = result_of("walk", out=tmp_path, stem="walk_342")
    assert len(found["values"]) == 50
    names = {"walk_342.svg", "walk_342.gif", "walk_342.html", "walk_342.md", "walk_342_programs.md", "walk_342.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    products = re.findall(r"matrix products, \S+ ?\S* +(\d+)", text)
    assert products[0] == products[1]  # two forward, two back, two for the gradients, in both programs
    ledger = (tmp_path / "walk_342.md").read_text()
    assert "| e4 | d8 w84 + d9 w94 |" in ledger
    run("walk", "--sizes", 2, 12, 1, "--hidden", "relu", "--output", "identity", out=tmp_path / "other")
    assert (tmp_path / "other" / "walk_2_12_1.svg").exists()


def test_compare_solvers(tmp_path):
    flags = ("--surfaces", "franke", "--seconds", 0.4, "--samples", 1000)
    text = run("compare_solvers", *flags, out=tmp_path).stdout
    found = json.loads((tmp_path / "solver_comparison.json").read_text())["results"]["franke"]
    assert {"gradient descent (tutorial)", "Adam", "L-BFGS", "Gauss-Newton"} <= set(found)
    for name, (only,) in found.items():
        assert 0 < only["nrmse"] < 10
        assert name in text
    best = min(only["nrmse"] for name, (only,) in found.items() if name != "Gauss-Newton")
    assert found["Gauss-Newton"][0]["nrmse"] < best / 3
    again = run("compare_solvers", *flags, "--solvers", "Adam", out=tmp_path)
    kept = json.loads((tmp_path / "solver_comparison.json").read_text())["results"]["franke"]
    assert {name: kept[name] for name in kept if name != "Adam"} == {n: found[n] for n in found if n != "Adam"}
    assert again.stdout.count("seed 0: ") == 1


def test_figures_are_drawn_the_same_and_compared(tmp_path):
    """On the committed numbers nothing differs; on a number that was changed the check fails and names it."""
    command = [
        sys.executable,
        ROOT / "experiments" / "make_figures.py",
        "--check",
        "--only",
        "fruit_graph",
        "node_errors",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.count("the same") == 2
    for name in ("fruit_graph.json", "node_errors.json"):
        (tmp_path / name).write_text((ROOT / "figures" / name).read_text())
    changed = json.loads((tmp_path / "node_errors.json").read_text())
    changed["result"]["values"]["d4"] *= 1 + 1e-6
    (tmp_path / "node_errors.json").write_text(json.dumps(changed))
    ended = subprocess.run([*command, "--out", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "node_errors.json: values.d4 is" in ended.stdout
    assert "error: 1 figures or numbers differ" in ended.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_comes_without_jax(script):
    code = (
        f"import sys, runpy; sys.argv = ['{script}.py', '--help']; sys.path.insert(0, 'experiments')\n"
        f"try: runpy.run_path('experiments/{script}.py', run_name='__main__')\n"
        "except SystemExit: print('jax' in sys.modules, 'numpy' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("False False")
    assert "--out" in ended.stdout


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        (
            "one_layer",
            ("--learning-rate", "nan"),
            "error: learning_rate must be a finite number of at least 0",
        ),
        ("one_layer", ("--steps", "-1"), "error: steps must be a finite number of at least 0, got -1"),
        ("node_errors", ("--out", "/dev/null/x"), "error: out must be a folder"),
        ("xor", ("--epochs", "1500"), "error: epochs must be a multiple of 1000"),
        ("mean_of_two", ("--samples", "0"), "error: "),
        ("mean_of_two", ("--learning-rate", "1e9"), "error: the fit diverged"),
        ("digits", ("--mnist", "nowhere"), "error: nowhere must hold MNIST's file"),
        ("digits", ("--hidden", "0"), "error: hidden must be a whole number of at least 1, got 0"),
        ("check_gradients", ("--scale", "0"), "error: scale must be positive"),
        ("errata", ("--seeds", "0"), "error: seeds must be a whole number of at least 1, got 0"),
        ("diagnose", ("--steps", "2"), "error: steps must be a whole number of at least 5, got 2"),
        ("walk", ("--sizes", "3"), "error: sizes must list at least an input and an output size"),
        ("walk", ("--lang", "fr"), "error: lang must be one of"),
        ("compare_solvers", ("--solvers", "Adam"), "error: solvers must be left out where no earlier run's"),
        ("make_figures", ("--only", "xro"), "error: only must be one of xor"),
        ("compare_solvers", ("--seconds", "-1"), "error: seconds must be positive numbers, got -1.0"),
        ("compare_solvers", ("--surfaces", "peeks"), "--surfaces"),
    ],
)
def test_bad_flags_get_one_clear_line_and_leave_nothing(script, flags, message, tmp_path):
    ended = run(script, *flags, out=tmp_path / "out", check=False) if "--out" not in flags else None
    if ended is None:
        ended = subprocess.run(
            [sys.executable, ROOT / "experiments" / f"{script}.py", *flags], capture_output=True, text=True, check=False
        )
    assert ended.returncode in (1, 2)
    assert message in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
