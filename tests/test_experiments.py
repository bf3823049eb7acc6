"""`fit_surface` as its users run it, and the tutorial's golden values."""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import fit_surface
import surface_page
import surface_pictures
from common import parse
from jaxbp.activations import ACTIVATIONS
from surface_flags import PRESETS, Config, runs_of

SCRIPT = Path(fit_surface.__file__)
SHORT = ("--steps", 30, "--samples", 400, "--hidden", 8, 8, "--batch-size", 100, "--quiet")


def run(*flags, out):
    """Runs the experiment in this process and restores JAX's settings; returns the result in the JSON file."""
    wide = jax.config.jax_enable_x64
    try:
        config = parse(Config, [*map(str, flags), "--out", str(out)], PRESETS)
        fit_surface.main(config)
    finally:
        jax.config.update("jax_enable_x64", wide)
    return json.loads((out / f"{runs_of(config)[-1].stem}fit_surface.json").read_text())["result"]


def start(*flags, out, **environment):
    """Runs the script in a process of its own."""
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, SCRIPT, *map(str, flags), "--out", str(out)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=inherited | environment
    )


def losses_by_epoch(text):
    return {
        int(epoch): float(loss) for epoch, loss in re.findall(r"EPOCH (\d+): Loss = ([\d.]+)", text)
    }


@pytest.mark.slow
def test_the_tutorials_run_prints_its_golden_values_and_writes_them(tmp_path, capsys):
    result = run("--preset", "tutorial", out=tmp_path)
    text = capsys.readouterr().out
    losses = losses_by_epoch(text)
    assert list(losses) == [*range(0, 2000, 20), 1999]
    golden = {0: 166.5157, 20: 2.5053, 40: 1.1687, 60: 0.8406, 80: 0.6814, 100: 0.5828, 200: 0.3719}
    golden |= {500: 0.2166, 1000: 0.1380, 1500: 0.1021, 1980: 0.0822, 1999: 0.0816}
    assert {epoch: losses[epoch] for epoch in golden} == golden
    assert (result["steps"], result["parameters"]) == (2000, 8577)
    assert result["history"]["step"] == [*range(0, 2000, 20), 1999, 2000]
    assert re.search(rf"  NRMSE +{result['nrmse']:.3e}", text)
    assert result["gradient_error_over_bound"] < 1
    assert result["unexplained"] == pytest.approx(result["nrmse"] ** 2)
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {
        "surface_true_pred.png",
        "surface_samples.png",
        "loss_curve.svg",
        "fit_surface.json",
    }
    assert names == {f"tutorial_{name}" for name in pictures}


@pytest.mark.slow
def test_the_tutorials_random_points_print_their_golden_values(tmp_path, capsys):
    run("--preset", "tutorial-random", "--samples", 1000, "--steps", 2000, out=tmp_path)
    losses = losses_by_epoch(capsys.readouterr().out)
    golden = {0: 173.0988, 20: 2.2101, 200: 0.3237, 1000: 0.1091, 1999: 0.0690}
    assert {epoch: losses[epoch] for epoch in golden} == golden


def test_the_tutorials_random_preset_makes_its_three_runs():
    runs = runs_of(PRESETS["tutorial-random"])
    assert [(run.samples, run.steps) for run in runs] == [
        (1000, 2000),
        (10_000, 2000),
        (10_000, 4000),
    ]
    for flags in (["--steps", "3", "--preset", "tutorial-random"], ["--preset=tutorial-random"]):
        assert parse(Config, flags, PRESETS).scheme == "tutorial"
    assert runs_of(Config()) == [Config()]


@pytest.mark.slow
def test_a_run_goes_on_from_an_earlier_one_to_the_same_samples(tmp_path, monkeypatch):
    """Preset tutorial-random fits 10,000 points for 2,000 epochs and goes on to 4,000; here in small."""
    monkeypatch.setattr("surface_flags.RANDOM_RUNS", ((100, 20), (100, 40)))
    flags = ("--preset", "tutorial-random", "--quiet", "--hidden", 8, "--record-every", 10)
    config = parse(Config, [*map(str, flags), "--out", str(tmp_path)], PRESETS)
    wide = jax.config.jax_enable_x64
    try:
        fit_surface.main(config)
    finally:
        jax.config.update("jax_enable_x64", wide)
    both = json.loads((tmp_path / "tutorial_random_100_40_fit_surface.json").read_text())["result"]
    alone = run(*flags, "--samples", 100, "--steps", 40, out=tmp_path / "alone")
    assert both["nrmse"] == pytest.approx(alone["nrmse"], rel=1e-12)
    assert both["history"]["step"] == [0, 10, 19, 20, 30, 39, 40]


@pytest.mark.slow
def test_in_float32_the_tutorials_run_stays_within_a_thousandth(tmp_path, capsys):
    run("--preset", "tutorial", "--no-x64", "--steps", 201, out=tmp_path)
    losses = losses_by_epoch(capsys.readouterr().out)
    for epoch, golden in {0: 166.5157, 20: 2.5053, 100: 0.5828, 200: 0.3719}.items():
        assert losses[epoch] == pytest.approx(golden, rel=1e-3)


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("flags", "prefix"),
    [
        ((), ""),
        slow(("--surface", "peaks", "--solver", "momentum", "--schedule", "linear"), "peaks_"),
        slow(("--surface", "terrain"), "terrain_"),
        slow(("--expression", "sin(x)*cos(y)", "--domain", -3, 3, 0, 1), "expression_"),
        slow(("--data", "samples.csv", "--columns", "east", "north", "height"), "data_"),
        slow(("--data", "samples.npz"), "data_"),
    ],
)
def test_every_kind_of_input_gives_the_same_table_and_pictures(
    flags, prefix, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(0).uniform(size=(300, 3))
    with open("samples.csv", "w", newline="") as file:
        csv.writer(file).writerows([("height", "east", "north"), *points.tolist()])
    np.savez("samples.npz", a=points[:, 0], b=points[:, 1], c=points[:, 2])
    out = tmp_path / "with spaces ü"
    result = run(*SHORT, *flags, out=out)
    text = capsys.readouterr().out
    rows = (
        "samples",
        "parameters",
        "steps",
        "compile",
        "run",
        "RMSE",
        "NRMSE",
        "1 - R2",
        "largest error",
        "jax.grad",
    )
    for row in rows:
        assert row in text
    assert result["gradient_error_over_bound"] < 1
    assert result["levels"] == sorted(result["levels"])
    assert len(list(out.iterdir())) == 4
    if prefix in ("", "peaks_"):
        assert result["test_points"] == 201 * 201


@pytest.mark.slow
@pytest.mark.parametrize("num_inputs", [1, 4])
def test_another_number_of_inputs_is_drawn_as_cuts(num_inputs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(1).uniform(-1, 1, size=(200, num_inputs))
    names = [f"x{i}" for i in range(num_inputs)]
    np.savez(
        "samples.npz",
        **dict(zip(names, points.T, strict=True)),
        z=np.sin(points @ np.ones(num_inputs)),
    )
    flags = ("--data", "samples.npz", "--columns", *names, "z")
    with pytest.raises(
        ValueError, match=f"--details must be left out with {num_inputs} input columns"
    ):
        run(*flags, "--details", out=tmp_path / "out")
    result = run(*flags, out=tmp_path / "out")
    assert result["nrmse"] < 1e-4
    # The solved layer leaves nothing but what its ridge holds back and rounding.
    assert result["output_gradient"]["end"] < 1e-4 * result["output_gradient"]["zero"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"data_true_pred.png", "data_loss_curve.svg", "data_fit_surface.json"}


@pytest.mark.slow
def test_the_main_job_is_accurate_to_a_hundred_thousandth(tmp_path):
    ended = start("--quiet", out=tmp_path)
    assert ended.returncode == 0, ended.stderr
    result = json.loads((tmp_path / "fit_surface.json").read_text())["result"]
    assert result["nrmse"] < 1e-5
    assert result["status"] == "finished"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """The folder and the result of a short run."""
    out = tmp_path_factory.mktemp("short")
    return out, run(*SHORT, "--seed", 7, out=out)


@pytest.mark.slow
def test_details_and_film_of_kinks_on_a_measured_surface(tmp_path):
    kinked = ("--activation", "relu", "--scheme", "he", "--surface", "terrain")
    run(*SHORT, "--details", "--film", *kinked, out=tmp_path)
    names = {path.name.removeprefix("terrain_") for path in tmp_path.iterdir()}
    details = {
        "surface_error_detail.png",
        "unit_maps.png",
        "weights_matrix.png",
        "gradient_flow.svg",
    }
    assert details | {"training_film.gif", "training_film.html"} <= names
    assert len(names) == 10


@pytest.mark.slow
def test_the_contrast_shows_both_fits(tmp_path, monkeypatch):
    monkeypatch.setitem(
        PRESETS, "tutorial", parse(Config, ["--samples", "100", "--steps", "5"], PRESETS)
    )
    run(*SHORT, "--contrast", out=tmp_path)
    assert (tmp_path / "surface_contrast.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_second_stage_goes_on_where_the_first_stalls(tmp_path):
    flags = ("--steps", 60, "--samples", 2000, "--hidden", 24, 24, "--batch-size", 200, "--quiet")
    one, two = (run(*flags, "--stages", stages, out=tmp_path / str(stages)) for stages in (1, 2))
    assert two["nrmse"] < one["nrmse"]
    assert (two["parameters"], two["steps"]) == (2 * one["parameters"], 120)
    # The losses of both stages are in the same units: the second starts about where the first ends.
    losses, steps = two["history"]["loss"], two["history"]["step"]
    second = steps.index(60) + 1
    assert losses[second] < 100 * losses[second - 1]
    assert steps == sorted(steps)
    assert losses[-1] < losses[second - 1]


@pytest.mark.parametrize(
    "flags", [(), ("--solver", "adam", "--activation", "tanh", "--scheme", "glorot")]
)
@pytest.mark.slow
def test_in_float32_it_runs_as_well(flags, tmp_path):
    result = run(*SHORT, "--no-x64", *flags, out=tmp_path)
    assert result["dtype"] == "float32"
    assert result["nrmse"] < 1


@pytest.mark.slow
def test_the_same_seed_writes_the_same_bytes_and_further_pictures_change_no_other_file(
    short, tmp_path
):
    run(*SHORT, "--seed", 7, "--details", out=tmp_path)
    for path in short[0].iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert len(list(tmp_path.iterdir())) == 8


@pytest.mark.parametrize(
    ("flags", "status", "message"),
    [
        (("--stpes", "3"), 2, "--steps"),
        (("--activation", "tnah"), 2, "--activation must be one of tanh"),
        (("--solver", "adma"), 2, "--solver must be one of adam"),
        (("--surface", "peeks"), 2, "--surface must be one of peaks"),
        (("--preset", "tutrial"), 2, "--preset must be one of tutorial"),
        (("--preset=tutrial",), 2, "--preset must be one of tutorial"),
        (("--steps", "many"), 2, "--steps"),
        (
            ("--learning-rate", "-1", "--solver", "adam"),
            1,
            "learning_rate must be a finite number of at least 0, got",
        ),
        (("--hidden", "8", "-1"), 1, "hidden must be a finite number of at least 0, got -1"),
        (("--samples", "0"), 1, "samples must be a finite number of at least 2, got 0"),
        (("--samples", "1"), 1, "samples must be a finite number of at least 2, got 1"),
        (("--seed", "-1"), 1, "seed must be a finite number of at least 0"),
        (("--data", "missing.csv"), 1, "missing.csv must be a file, there is none"),
        (
            ("--expression", "log(x)"),
            1,
            "the surface log(x) must be finite over its domain, got nan at x = ",
        ),
        (("--expression", "os.system('ls')"), 1, "expression must be a formula of x and y"),
        (("--expression", "x", "--domain", "1", "1", "0", "1"), 1, "domain must be"),
        (("--expression", "x*0"), 1, "column z must vary"),
        (("--weight-decay", "1"), 1, "--weight-decay must be left out with --solver gauss_newton"),
        (
            ("--stages", "2", "--dropout", "0.1", "--solver", "adam"),
            1,
            "--dropout must be left out with --stages",
        ),
        (
            ("--stages", "2", "--preset", "tutorial"),
            1,
            "--stages must be left out with --preset tutorial",
        ),
        (
            ("--damping", "1", "--solver", "adam"),
            1,
            "--damping must be left out with --solver adam",
        ),
        (("--domain", "0", "1", "0", "1"), 1, "--domain must be left out with no --expression"),
        (
            ("--learning-rate", "0.1"),
            1,
            "--learning-rate must be left out with --solver gauss_newton",
        ),
        (
            ("--surface", "peaks", "--expression", "x"),
            1,
            "--surface must be left out with --expression",
        ),
        (
            ("--preset", "tutorial", "--surface", "terrain", "--steps", "-1"),
            1,
            "steps must be a finite number",
        ),
        (("--damping", "0"), 1, "damping must be positive, got 0.0"),
        (("--columns", "a", "b", "c"), 1, "--columns must be left out with no --data"),
        (("--expression", "x", "--domain", "0", "inf", "0", "1"), 1, "domain must be"),
        (("--surface", "terrain", "--samples", "130000"), 1, "samples must be below"),
    ],
)
def test_bad_flags_get_one_clear_line_and_leave_nothing(flags, status, message, tmp_path, capsys):
    with pytest.raises(
        (ValueError, SystemExit)
    ) as caught:  # what `run` of common.py makes one line and a status of
        run(*flags, out=tmp_path / "out")
    if status == 2:
        assert caught.value.code == 2
        assert message in "".join(capsys.readouterr())
    else:
        assert isinstance(caught.value, ValueError)
        assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "environment", "message"),
    [
        (("--hidden", "0"), {}, "error: sizes[1] must be a whole number of at least 1, got 0"),
        slow(("--platform", "tpu"), {}, "error: platform tpu must be present"),
        ((), {"JAX_PLATFORMS": "cuda"}, "error: platform cuda must be present"),
    ],
)
def test_an_error_ends_the_script_with_one_line_and_status_1(flags, environment, message, tmp_path):
    ended = start(*SHORT, *flags, out=tmp_path / "out", **environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith(message)
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ("use the platform cpu, or unset JAX_PLATFORMS" in ended.stderr) == (
        "platform" in message
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=str(tmp_path / "file")):
        fit_surface.main(parse(Config, ["--out", str(tmp_path / "file" / "figures")], PRESETS))


def test_help_lists_the_names_of_every_table(capsys):
    with pytest.raises(SystemExit):
        parse(Config, ["--help"], PRESETS)
    text = capsys.readouterr().out
    assert all(name in text for name in ACTIVATIONS)


@pytest.mark.slow
def test_a_run_prints_a_history(tmp_path, capsys):
    run("--steps", 40, "--samples", 400, "--hidden", 8, "--batch-size", 50, out=tmp_path)
    text = capsys.readouterr().out
    lines = [line for line in text.splitlines() if line.startswith("step ")]
    assert [int(line.split()[1]) for line in lines][:2] == [0, 4]
    assert int(lines[-1].split()[1]) == 40
    assert max(map(len, lines)) <= 60
    assert text.startswith("compiling")


@pytest.mark.slow
def test_a_run_that_diverges_says_so(tmp_path):
    flags = (
        *SHORT,
        "--solver",
        "sgd",
        "--activation",
        "relu",
        "--scheme",
        "he",
        "--learning-rate",
        "1e30",
    )
    with (
        pytest.warns(RuntimeWarning, match="diverged"),
        pytest.raises(ValueError, match=r"the fit diverged: .*layer .* after step"),
    ):
        run(*flags, out=tmp_path)
    assert json.loads((tmp_path / "fit_surface.json").read_text())["result"]["status"].startswith(
        "diverged"
    )


@pytest.mark.slow
def test_a_fit_worse_than_the_mean_is_warned_of(tmp_path, capsys):
    result = run(
        *SHORT, "--solver", "adam", "--activation", "tanh", "--learning-rate", "1e6", out=tmp_path
    )
    assert result["nrmse"] > 1
    assert (
        "warning: the mean of the data would be nearer to them than this fit"
        in capsys.readouterr().err
    )


def test_help_is_grouped_and_says_what_the_script_does(capsys):
    with pytest.raises(SystemExit):
        parse(Config, ["--help"], PRESETS, "What it does.")
    text = capsys.readouterr().out
    places = [text.index(f"{group} options") for group in ("data", "network", "training", "output")]
    assert places == sorted(places)
    assert "What it does." in text
    for field in fields(Config):
        assert f"--{field.name.replace('_', '-')}" in text


def test_the_text_above_the_help_fits_the_window(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit):
        parse(Config, ["--help"], PRESETS, fit_surface.__doc__)
    above = capsys.readouterr().out.partition("usage")[0]
    assert " ".join(above.split()) == " ".join(fit_surface.__doc__.split())
    assert max(map(len, above.splitlines())) <= 60


@pytest.mark.parametrize("count", [1, 2, 30, 31, 101, 2001])
def test_a_film_has_its_number_of_frames_or_all_records(count):
    places = list(surface_pictures.spread(count, surface_pictures.FRAMES))
    assert min(count, surface_pictures.FRAMES) <= len(places) <= surface_pictures.FRAMES + 5
    assert (places[0], places[-1]) == (0, count - 1)
    assert places == sorted(set(places))


@pytest.mark.slow
def test_the_page_replays_two_runs_of_a_small_network(tmp_path, monkeypatch, x64):
    short = {name: replace(preset, steps=3) for name, preset in surface_page.RUNS.items()}
    monkeypatch.setattr(surface_page, "RUNS", short)
    monkeypatch.setattr(surface_page, "HIDDEN", (4,))
    config = Config(samples=200)
    numbers, files = surface_page.draw_page(config, fit_surface.task_of(config))
    assert {name: found["steps"] for name, found in numbers.items()} == dict.fromkeys(short, 3)
    path = files["surface_page.html"](tmp_path / "page.html")
    data = json.loads(
        re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8")).group(1)
    )
    assert data["title"].startswith("sin x + x cos y + y + 3^(x/3): ")
    assert [run["steps"] for run in data["recording"].values()] == [[0, 1, 2, 3]] * 2
