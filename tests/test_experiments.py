"""`fit_surface` as its users run it, and the tutorial's golden values."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxbp.names import ACTIVATION_NAMES
from support.config import PRESETS, Config, preset_in, runs_of

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "experiments" / "fit_surface.py"


def fit_surface(*flags, out, check=True, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, flags), "--out", str(out)],
        capture_output=True,
        text=True,
        check=check,
        env=inherited | environment,
    )


def losses_by_epoch(text):
    return {int(epoch): float(loss) for epoch, loss in re.findall(r"EPOCH (\d+): Loss = ([\d.]+)", text)}


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    out = tmp_path_factory.mktemp("tutorial")
    return fit_surface("--preset", "tutorial", out=out).stdout, out


def test_the_tutorials_run_prints_its_golden_values(tutorial):
    losses = losses_by_epoch(tutorial[0])
    assert list(losses) == [*range(0, 2000, 20), 1999]
    golden = {0: 166.5157, 20: 2.5053, 40: 1.1687, 60: 0.8406, 80: 0.6814, 100: 0.5828, 200: 0.3719}
    golden |= {500: 0.2166, 1000: 0.1380, 1500: 0.1021, 1980: 0.0822, 1999: 0.0816}
    assert {epoch: losses[epoch] for epoch in golden} == golden


def test_the_tutorials_run_writes_what_it_prints(tutorial):
    text, out = tutorial
    sidecar = json.loads((out / "tutorial_fit_surface.json").read_text())
    result = sidecar["result"]
    assert result["steps"] == 2000
    assert result["parameters"] == 8577
    assert f"NRMSE                           {result['nrmse']:.3e}" in text
    assert result["gradient_difference"] < 1e-14
    assert result["r2"] == pytest.approx(1 - result["nrmse"] ** 2)
    names = {path.name for path in out.iterdir()}
    pictures = {"surface_true_pred.png", "surface_samples.png", "loss_curve.svg", "fit_surface.json"}
    assert names == {f"tutorial_{name}" for name in pictures}


def test_the_tutorials_random_points_print_their_golden_values(tmp_path):
    flags = ("--preset", "tutorial-random", "--samples", 1000, "--steps", 2000)
    losses = losses_by_epoch(fit_surface(*flags, out=tmp_path).stdout)
    golden = {0: 173.0988, 20: 2.2101, 200: 0.3237, 1000: 0.1091, 1999: 0.0690}
    assert {epoch: losses[epoch] for epoch in golden} == golden


def test_the_tutorials_random_preset_makes_its_three_runs():
    runs = runs_of(PRESETS["tutorial-random"])
    assert [(run.samples, run.steps) for run in runs] == [(1000, 2000), (10_000, 2000), (10_000, 4000)]
    for flags in (["--steps", "3", "--preset", "tutorial-random"], ["--preset=tutorial-random"]):
        assert preset_in(flags).scheme == "tutorial"
    assert runs_of(Config()) == [Config()]


def test_in_float32_the_tutorials_run_stays_within_a_thousandth(tmp_path):
    losses = losses_by_epoch(fit_surface("--preset", "tutorial", "--no-x64", "--steps", 201, out=tmp_path).stdout)
    for epoch, golden in {0: 166.5157, 20: 2.5053, 100: 0.5828, 200: 0.3719}.items():
        assert losses[epoch] == pytest.approx(golden, rel=1e-3)


SHORT = ("--steps", 30, "--samples", 400, "--hidden", 8, 8, "--batch-size", 100, "--quiet")


@pytest.mark.parametrize(
    ("flags", "prefix"),
    [
        ((), ""),
        (("--surface", "peaks", "--solver", "momentum", "--schedule", "linear"), "peaks_"),
        (("--surface", "terrain"), "terrain_"),
        (("--expression", "sin(x)*cos(y)", "--domain", -3, 3, 0, 1), "expression_"),
        (("--data", "samples.csv", "--columns", "east", "north", "height"), "data_"),
        (("--data", "samples.npz"), "data_"),
    ],
)
def test_every_kind_of_input_gives_the_same_table_and_pictures(flags, prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).uniform(size=(300, 3))
    with open("samples.csv", "w", newline="") as file:
        csv.writer(file).writerows([("height", "east", "north"), *points.tolist()])
    np.savez("samples.npz", a=points[:, 0], b=points[:, 1], c=points[:, 2])
    out = tmp_path / "with spaces ü"
    text = fit_surface(*SHORT, *flags, out=out).stdout
    for row in ("samples", "parameters", "steps", "compile", "run", "RMSE", "NRMSE", "R2", "largest error", "jax.grad"):
        assert row in text
    sidecar = json.loads((out / f"{prefix}fit_surface.json").read_text())
    assert sidecar["result"]["gradient_difference"] < 1e-12
    assert sidecar["levels"] == sorted(sidecar["levels"])
    assert len(list(out.iterdir())) == 4
    if prefix in ("", "peaks_"):
        assert sidecar["result"]["test_points"] == 201 * 201


def test_the_main_job_is_accurate_to_a_hundred_thousandth(tmp_path):
    fit_surface("--quiet", out=tmp_path)
    result = json.loads((tmp_path / "fit_surface.json").read_text())["result"]
    assert result["nrmse"] < 1e-5
    assert result["status"] == "finished"


@pytest.mark.parametrize("flags", [("--activation", "relu", "--scheme", "he"), ("--surface", "terrain")])
def test_details_and_film(flags, tmp_path):
    fit_surface(*SHORT, "--details", "--film", *flags, out=tmp_path)
    prefix = "terrain_" if "terrain" in flags else ""
    names = {path.name.removeprefix(prefix) for path in tmp_path.iterdir()}
    details = {"surface_error_detail.png", "unit_maps.png", "weights_matrix.png", "gradient_flow.svg"}
    assert details | {"training_film.gif", "training_film.html"} <= names
    assert len(names) == 10


def test_a_second_stage_goes_on_where_the_first_stalls(tmp_path):
    flags = ("--steps", 60, "--samples", 2000, "--hidden", 24, 24, "--batch-size", 200, "--quiet")
    results = []
    for stages in (1, 2):
        fit_surface(*flags, "--stages", stages, out=tmp_path / str(stages))
        results.append(json.loads((tmp_path / str(stages) / "fit_surface.json").read_text()))
    one, two = (found["result"] for found in results)
    assert two["nrmse"] < one["nrmse"]
    assert (two["parameters"], two["steps"]) == (2 * one["parameters"], 120)
    # The losses of both stages are in the same units: the second starts about where the first ends.
    losses, steps = results[1]["history"]["loss"], results[1]["history"]["step"]
    second = steps.index(60) + 1
    assert losses[second] < 100 * losses[second - 1]
    assert steps == sorted(steps)
    assert losses[-1] < losses[second - 1]


@pytest.mark.parametrize("flags", [(), ("--solver", "adam", "--activation", "tanh", "--scheme", "glorot")])
def test_in_float32_it_runs_as_well(flags, tmp_path):
    fit_surface(*SHORT, "--no-x64", *flags, out=tmp_path)
    result = json.loads((tmp_path / "fit_surface.json").read_text())["result"]
    assert result["dtype"] == "float32"
    assert result["nrmse"] < 1


def test_the_same_seed_gives_the_same_numbers(tmp_path):
    results = []
    for name in ("one", "two"):
        fit_surface(*SHORT, "--seed", 7, out=tmp_path / name)
        results.append(json.loads((tmp_path / name / "fit_surface.json").read_text())["result"])
    for timing in ("compile_seconds", "run_seconds"):
        for result in results:
            del result[timing]
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--stpes", "3"), 2, "--steps"),
        (("--activation", "tnah"), 2, "--activation must be one of tanh"),
        (("--surface", "peeks"), 2, "--surface must be one of peaks"),
        (("--preset", "tutrial"), 2, "--preset must be one of tutorial"),
        (("--steps", "many"), 2, "--steps"),
        (
            ("--learning-rate", "-1", "--solver", "adam"),
            1,
            "error: learning_rate must be a finite number of at least 0, got -1.0",
        ),
        (("--hidden", "8", "-1"), 1, "error: sizes[2] must be a whole number"),
        (("--samples", "0"), 1, "error: samples must be a whole number of at least 1, got 0"),
        (("--data", "missing.csv"), 1, "error: missing.csv must be a file, there is none"),
        (("--expression", "log(x)"), 1, "error: expression must be finite over the domain, got nan at x = "),
        (("--expression", "os.system('ls')"), 1, "error: expression must be a formula of x and y"),
        (("--expression", "x", "--domain", "1", "1", "0", "1"), 1, "error: domain must be"),
        (("--expression", "x*0"), 1, "error: column z must vary"),
        (("--preset=tutrial",), 2, "--preset must be one of tutorial"),
        (("--weight-decay", "1"), 1, "error: --weight-decay must be left out with --solver gauss_newton"),
        (
            ("--stages", "2", "--dropout", "0.1", "--solver", "adam"),
            1,
            "error: --dropout must be left out with --stages",
        ),
        (("--stages", "2", "--preset", "tutorial"), 1, "error: --stages must be left out with --preset tutorial"),
        (("--damping", "1", "--solver", "adam"), 1, "error: --damping must be left out with --solver adam"),
        (("--domain", "0", "1", "0", "1"), 1, "error: --domain must be left out with no --expression"),
        (("--learning-rate", "0.1"), 1, "error: --learning-rate must be left out with --solver gauss_newton"),
        (("--surface", "peaks", "--expression", "x"), 1, "error: --surface must be left out with --expression"),
        (("--preset", "tutorial", "--surface", "terrain", "--steps", "-1"), 1, "error: steps must be a whole number"),
        (("--damping", "0"), 1, "error: damping must be positive, got 0.0"),
        (("--columns", "a", "b", "c"), 1, "error: --columns must be left out with no --data"),
        (
            ("--samples", "300", "--batch-size", "301"),
            1,
            "error: batch_size must be at most the number of samples, 300",
        ),
        (("--expression", "x", "--domain", "0", "inf", "0", "1"), 1, "error: domain must be"),
        (("--surface", "terrain", "--samples", "130000"), 1, "error: samples must be below"),
        (("--platform", "tpu", "--steps", "1"), 1, "error: platform tpu must be present"),
    ],
)
def test_bad_flags_get_one_clear_line_and_leave_nothing(flags, status, message, tmp_path):
    ended = fit_surface(*flags, out=tmp_path / "out", check=False)
    assert ended.returncode == status
    assert message in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_platform_that_is_not_there_gets_a_hint(tmp_path):
    ended = fit_surface(*SHORT, out=tmp_path / "out", check=False, JAX_PLATFORMS="cuda")
    assert ended.returncode == 1
    assert "cpu" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    ended = fit_surface(*SHORT, out=tmp_path / "file" / "figures", check=False)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert str(tmp_path / "file") in ended.stderr


def test_help_comes_without_jax():
    code = (
        "import sys, runpy; sys.argv = ['fit_surface.py', '--help']; sys.path.insert(0, 'experiments')\n"
        "try: runpy.run_path('experiments/fit_surface.py', run_name='__main__')\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("False")
    assert all(name in ended.stdout for name in ACTIVATION_NAMES)


def test_a_pipe_gets_plain_lines(tmp_path):
    text = fit_surface("--steps", 40, "--samples", 400, "--hidden", 8, out=tmp_path).stdout
    lines = [line for line in text.splitlines() if line.startswith("step")]
    assert lines[0].split()[1:4] == ["0", "of", "40"]
    assert lines[-1].split()[1:4] == ["40", "of", "40"]
    assert "\r" not in text


def test_a_run_that_diverges_says_so(tmp_path):
    flags = (*SHORT, "--solver", "sgd", "--activation", "relu", "--scheme", "he", "--learning-rate", "1e30")
    ended = fit_surface(*flags, out=tmp_path, check=False)
    assert ended.returncode == 1
    assert "error: the fit diverged" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / "fit_surface.json").read_text())["result"]["status"].startswith("diverged")
