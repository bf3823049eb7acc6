"""The checkers reject each wrong backward pass and accept the correct ones."""

from shared.wrong_backward import (
    AT_KINK,
    MLP,
    RIGHT,
    WRONG,
    WRONG_RULES,
    draw,
    gradient_by,
    reference,
    rule_by,
)

from functools import partial

import jax
import numpy as np
import pytest
from architectures import ACTIVATION_NAMES, LOSS_AND_GRADIENT, LOSS_NAMES, draw_params, targets_for

import compare_checkers
import error_law
import jaxbp

pytestmark = pytest.mark.usefixtures("compiled_quickly")
DTYPES = (np.float32, np.float64)
RULES = {"right": RIGHT} | WRONG | WRONG_RULES


def passes_rule(parts, *case):
    return jaxbp.check_rule(rule_by(parts), reference, *case).ok


def passes_gradients(parts, *case):
    return jaxbp.check_gradients(MLP, *case, gradient=gradient_by(parts, *case)[0]).ok


def passed(judge, table, dtype):
    with jax.enable_x64(dtype is np.float64), jax.debug_nans(False):
        cases = [draw(0, dtype, kink=kink) for kink in (False, True)]
        return {name for name, parts in table.items() if judge(parts, *cases[name in AT_KINK])}


def test_there_are_enough_of_them():
    assert len(WRONG) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_check_gradients_catches_every_wrong_backward_pass(dtype):
    assert passed(passes_gradients, {"right": RIGHT} | WRONG, dtype) == {"right"}


@pytest.mark.slow
def test_check_rule_catches_wrong_rules():
    some = {name: parts for i, (name, parts) in enumerate(RULES.items()) if i % 24 == 0}
    assert passed(passes_rule, some, np.float64) == {"right"}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
@pytest.mark.parametrize("dtype", DTYPES)
def test_check_rule_catches_every_wrong_rule(dtype, part):
    some = {name: parts for i, (name, parts) in enumerate(RULES.items()) if i % 8 == part}
    assert passed(passes_rule, some, dtype) == {"right"} & set(some)


ARCHITECTURES = [
    (jaxbp.Mlp((3, 5, 5, 4), hidden, "identity"), loss)
    for hidden, loss in zip(
        [ACTIVATION_NAMES[i : i + 2] for i in range(0, 8, 2)], LOSS_NAMES, strict=True
    )
]  # fmt: skip


def false_positives(numbers, dtype):
    """Right gradients and rules that a judge refuses, of these cases."""
    found = []
    for number in numbers:
        mlp, loss = ARCHITECTURES[number % len(ARCHITECTURES)]
        generator = np.random.default_rng(number)
        params = draw_params(mlp, number, dtype, scale=float(generator.choice([0.1, 1.0, 3.0])))
        inputs, targets = (
            generator.standard_normal((6, 3)).astype(dtype),
            targets_for(loss, (6, 4), generator),
        )
        targets = targets if targets.ndim == 1 else targets.astype(dtype)
        gradient = LOSS_AND_GRADIENT(mlp, params, inputs, targets, loss)[1]
        rule, judge = (
            jitted(function, mlp) for function in (jaxbp.predict, jaxbp.reference_predict)
        )
        reports = {
            "gradient": jaxbp.check_gradients(
                mlp, params, inputs, targets, loss, gradient=gradient
            ),
            "rule": jaxbp.check_rule(rule, judge, params, inputs, seed=number),
        }
        found += [
            f"{number}, {name}: {report.summary}"
            for name, report in reports.items()
            if not report.ok
        ]
    return found


KEPT = {}


def jitted(function, mlp):
    """One program for all cases of a network."""
    return KEPT.setdefault((function, mlp), jax.jit(partial(function, mlp)))


@pytest.mark.slow
def test_the_checkers_refuse_no_right_one():
    with jax.enable_x64(True):
        assert false_positives([0, len(ARCHITECTURES)], np.float64) == []


@pytest.mark.slow
@pytest.mark.parametrize("network", range(len(ARCHITECTURES)))
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_checkers_refuse_none_of_two_hundred_right_ones(dtype, network):
    """Each fifth of a thousand, and 717: a direction of it has its kink at a distance, as 465."""
    numbers = [n for n in (*range(0, 1000, 5), 717) if n % len(ARCHITECTURES) == network]
    with jax.enable_x64(dtype is np.float64):
        assert false_positives(numbers, dtype) == []


@pytest.mark.slow
def test_the_experiment_counts_what_each_checker_misses(tmp_path, capsys, monkeypatch):
    for name, (checker, faults) in compare_checkers.CHECKERS.items():
        few = dict(list(faults.items())[:2])
        monkeypatch.setitem(compare_checkers.CHECKERS, name, (checker, few))
    wide = jax.config.jax_enable_x64
    try:
        compare_checkers.main(compare_checkers.Config(out=str(tmp_path), right=1, quiet=True))
    finally:
        jax.config.update("jax_enable_x64", wide)
    assert "wrong backward passes missed" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        "compare_checkers.json",
        "compare_checkers.svg",
    }


@pytest.mark.slow
def test_the_law_of_errors_measures_both_gradients(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(error_law, "MOST_WORK", 1e5)
    wide = jax.config.jax_enable_x64
    try:
        error_law.main(error_law.Config(out=str(tmp_path), networks=2, draws=2, quiet=True))
    finally:
        jax.config.update("jax_enable_x64", wide)
    assert "error / bound over 4 cases" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"error_law.json", "error_law.svg"}
