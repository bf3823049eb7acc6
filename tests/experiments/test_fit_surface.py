"""`fit_surface` as its users run it, and the tutorial's golden values."""

from shared.experiment import parse

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import fit_surface
import jaxbp

SCRIPT = Path(fit_surface.__file__)


def run(*flags, out):
    """Run the experiment in this process, restore JAX's settings, return the result's numbers."""
    wide = jax.config.jax_enable_x64
    try:
        config = parse(fit_surface.Config, [*map(str, flags), "--out", str(out)])
        fit_surface.main(config)
    finally:
        jax.config.update("jax_enable_x64", wide)
    (path,) = out.glob("*fit_surface.json")
    return json.loads(path.read_text())["result"]


def start(*flags, out, **environment):
    """Run the script in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, SCRIPT, *map(str, flags), "--out", str(out)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=inherited | environment
    )


def losses_by_epoch(text):
    lines = re.findall(r"EPOCH (\d+): Loss = ([\d.]+)", text)
    return {int(epoch): float(loss) for epoch, loss in lines}


@pytest.mark.slow
def test_the_tutorials_run_prints_its_golden_values_and_writes_them(tmp_path, capsys):
    result = run("--preset", "tutorial", out=tmp_path)
    losses = losses_by_epoch(capsys.readouterr().out)
    assert list(losses) == [*range(0, 2000, 20), 1999]
    golden = {0: 166.5157, 20: 2.5053, 40: 1.1687, 60: 0.8406, 80: 0.6814, 100: 0.5828, 200: 0.3719}
    golden |= {500: 0.2166, 1000: 0.1380, 1500: 0.1021, 1980: 0.0822, 1999: 0.0816}
    assert {epoch: losses[epoch] for epoch in golden} == golden
    assert result["gradient descent"]["parameters"] == 8577
    assert result["gradient descent"]["gradient_error_over_bound"] < 1
    assert result["history"]["step"] == [*range(0, 2000, 20), 1999, 2000]
    pictures = {"surface_true_pred.png", "loss_curve.svg", "fit_surface.json"}
    assert {path.name for path in tmp_path.iterdir()} == {f"tutorial_{name}" for name in pictures}


@pytest.mark.slow
def test_the_tutorials_random_points_print_their_golden_values(tmp_path, capsys):
    run("--preset", "tutorial-random", "--samples", 1000, out=tmp_path)
    losses = losses_by_epoch(capsys.readouterr().out)
    golden = {0: 173.0988, 20: 2.2101, 200: 0.3237, 1000: 0.1091, 1999: 0.0690}
    assert {epoch: losses[epoch] for epoch in golden} == golden


@pytest.mark.slow
def test_in_float32_the_tutorials_run_stays_within_a_thousandth(tmp_path, capsys):
    run("--preset", "tutorial", "--no-x64", "--steps", 201, out=tmp_path)
    losses = losses_by_epoch(capsys.readouterr().out)
    for epoch, golden in {0: 166.5157, 20: 2.5053, 100: 0.5828, 200: 0.3719}.items():
        assert losses[epoch] == pytest.approx(golden, rel=1e-3)


@pytest.mark.slow
def test_the_main_job_is_as_accurate_as_it_says(tmp_path):
    ended = start(out=tmp_path)
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "fit_surface.json").read_text())["result"]
    assert result["Gauss-Newton"]["nrmse"] < 1e-5
    assert result["Gauss-Newton"]["parameters"] == 8577
    assert result["fit_model"]["nrmse"] < 3e-12
    for fit in ("Gauss-Newton", "+ output layer solved", "fit_model"):
        assert result[fit]["gradient_ok"]
        assert f"{result[fit]['nrmse']:.2e}" in ended.stdout
    assert re.search(r"compile +\(about \d+ s left\)", ended.stdout)
    names = {"surface_true_pred.png", "loss_curve.svg", "fit_surface.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "prefix"),
    [
        (("--surface", "terrain"), "terrain_"),
        (("--expression", "sin(x)*cos(y)", "--domain", -3, 3, 0, 1, "--quiet"), "expression_"),
    ],
)
def test_other_surfaces_are_fitted_the_same_way(flags, prefix, tmp_path):
    result = run("--steps", 10, "--samples", 300, *flags, out=tmp_path)
    assert set(result) == {"Gauss-Newton", "+ output layer solved", "fit_model", "history"}
    assert result["fit_model"]["nrmse"] < (1 if prefix == "terrain_" else 1e-8)
    assert all(path.name.startswith(prefix) for path in tmp_path.iterdir())


@pytest.mark.slow
def test_the_contrast_trains_the_tutorials_network_on_the_same_samples(tmp_path):
    result = run("--contrast", "--steps", 20, "--samples", 400, "--no-x64", out=tmp_path)
    assert result["gradient descent"]["nrmse"] > result["Gauss-Newton"]["nrmse"]
    assert (tmp_path / "surface_contrast.png").stat().st_size > 10_000


def write_table(path, num_inputs, num_rows=120):
    points = np.random.default_rng(1).uniform(-1, 1, size=(num_rows, num_inputs))
    names = [f"x{i}" for i in range(num_inputs)]
    values = np.sin(points @ np.ones(num_inputs))
    table = np.column_stack([values, points])
    np.savetxt(path, table, delimiter=",", header=",".join(["z", *names]), comments="")
    return names, values


@pytest.mark.parametrize("num_inputs", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_a_table_is_fitted_and_tested_on_rows_that_took_no_part(num_inputs, tmp_path, capsys):
    names, values = write_table(tmp_path / "rows.csv", num_inputs)
    result = run("--data", tmp_path / "rows.csv", "--target", "z", out=tmp_path / "out")
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"predicting z from {', '.join(names)}: 96 rows to fit, 24 to test with"
    # scikit-learn's Gaussian process with a length for each of the four inputs has 0.036.
    assert result["nrmse"] < (1e-3 if num_inputs == 1 else 1e-5)
    rows = np.random.RandomState(0).permutation(120)[:24]
    model = jaxbp.load(tmp_path / "out" / "data_model.npz")
    table = np.loadtxt(tmp_path / "rows.csv", delimiter=",", skiprows=1)
    errors = model(table[rows, 1:]) - values[rows]
    assert result["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)


def test_the_last_column_is_the_target_unless_another_is_named(tmp_path, capsys):
    write_table(tmp_path / "rows.csv", 2, num_rows=15)
    run("--data", tmp_path / "rows.csv", "--quiet", out=tmp_path / "out")
    assert capsys.readouterr().out.startswith("predicting x1 from z, x0: ")


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for folder in ("one", "other"):
        run("--steps", 10, "--samples", 200, "--quiet", out=tmp_path / folder)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--stpes", "3"), "error: Unrecognized options: --stpes, 3 (nearest: --steps)"),
        (("--lang", "fr"), "error: invalid choice 'fr' for argument '--lang'"),
        (("--preset", "tutrial"), "error: invalid choice 'tutrial' for argument '--preset'"),
        (("--steps", "many"), "error: Error parsing --steps"),
        (("--surface", "peeks"), "surface must be one of peaks"),
        (("--samples", "1"), "samples must be at least 2, got 1"),
        (("--steps", "-1"), "steps must be a whole number of at least 0, got -1"),
        (("--seed", "-1"), "Seed must be between 0 and 2**32 - 1"),
        (("--data", "missing.csv"), "missing.csv must be a file, there is none"),
        (("--expression", "log(x)"), "the surface log(x) must be finite over its domain, got nan"),
        (("--expression", "os.system('ls')"), "expression must be a formula of x and y"),
        (("--expression", "x", "--domain", "1", "1", "0", "1"), "domain must be"),
        (("--expression", "x", "--domain", "0", "inf", "0", "1"), "domain must be"),
        (("--surface", "terrain", "--samples", "140000"), "samples must be below"),
    ],
)
def test_bad_flags_get_one_clear_line_and_leave_no_file(flags, message, tmp_path):
    with pytest.raises((ValueError, SystemExit)) as caught:
        run(*flags, out=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (("--surface", "peeks"), {}, "error: surface must be one of peaks"),
        ((), {"JAX_PLATFORMS": "cuda"}, "error: platform cuda must be present"),
    ],
)
def test_an_error_ends_the_script_with_one_line_and_status_1(flags, environment, message, tmp_path):
    ended = start(*flags, out=tmp_path / "out", **environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith(message)
    assert len(ended.stderr.strip().splitlines()) == 1


def test_help_starts_with_examples_and_has_few_flags(capsys):
    with pytest.raises(SystemExit) as ended:
        parse(fit_surface.Config, ["--help"], fit_surface.__doc__)
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--expression" in text
    assert text.startswith(fit_surface.__doc__)
    assert len(re.findall(r"^│ -", text, re.MULTILINE)) <= 25  # with --help
