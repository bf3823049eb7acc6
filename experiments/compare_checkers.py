"""Compare four gradient checkers on wrong backward passes: false negatives and false positives.

The checkers: check_gradients and check_rule; jax.test_util.check_grads with its defaults, in
reverse mode, all that a custom_vjp has; and the tutorials' criterion, mean |hand-written - central
difference| < 1e-7 in each array.
"""

from shared.experiment import Common, begin, finish, print_table, run
from shared.wrong_backward import (
    AT_KINK,
    MLP,
    RIGHT,
    WRONG,
    WRONG_RULES,
    Parts,
    draw,
    gradient_by,
    reference,
    rule_by,
)

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import jax
import numpy as np
from jax import Array
from jax.test_util import check_grads

import jaxbp
from jaxbp import viz
from jaxbp.gradcheck import numerical_gradient


@dataclass(frozen=True)
class Config(Common):
    """Flags of compare_checkers."""

    right: int = 20
    """Number of correct backward passes, each on a network of its own."""


STEP, CRITERION = 1e-4, 1e-7  # of the tutorials' central differences
# Distances of the targets from the outputs: at a start, and near the end of a fit, where gradients
# are small.
DISTANCES = {"at a start": 1.0, "nearly fitted": 1e-3}

Checker = Callable[[Parts, jaxbp.Params, Array, Array], bool]


def main(config: Config) -> None:
    """Run every checker on every backward pass; print and draw its errors."""
    folder = begin(config)
    if config.right < 1:
        raise ValueError(f"right must be at least 1, got {config.right}")
    missed: dict[str, dict[str, list[str]]] = {}
    false_positives: dict[str, dict[str, int]] = {}
    for dtype, (where, distance) in product(("float64", "float32"), DISTANCES.items()):
        row = f"{dtype}, {where}"
        missed[row], false_positives[row] = {}, {}
        for name, (checker, faults) in CHECKERS.items():
            with jax.enable_x64(dtype == "float64"):
                cases = [draw(config.seed, dtype, distance, kink) for kink in (False, True)]
                missed[row][name] = [
                    fault
                    for fault, parts in faults.items()
                    if checker(parts, *cases[fault in AT_KINK])
                ]
                right = (draw(config.seed + i, dtype, distance) for i in range(config.right))
                false_positives[row][name] = sum(not checker(RIGHT, *case) for case in right)
    totals = {name: len(faults) for name, (_, faults) in CHECKERS.items()}
    counts = {
        row: {name: len(some) for name, some in found.items()} for row, found in missed.items()
    }
    cells = {
        row: {name: f"{count} of {totals[name]}" for name, count in found.items()}
        for row, found in counts.items()
    }
    print_table("wrong backward passes missed", cells)
    print_table(f"correct ones refused, of {config.right}", false_positives)
    if not config.quiet:
        for row, found in missed.items():
            for name, some in found.items():
                print(f"\n{row}, missed by {name}: {', '.join(some) or 'none'}")
    shares = {
        row: {name: count / totals[name] for name, count in found.items()}
        for row, found in counts.items()
    }
    wrongly = {
        f"{row} ": {name: count / config.right for name, count in found.items()}
        for row, found in false_positives.items()
    }
    labels = dict.fromkeys(shares, "share of the wrong backward passes that it misses")
    labels |= dict.fromkeys(wrongly, f"share of {config.right} correct ones that it refuses")
    dots = viz.draw_dots(shares | wrongly, xlabel=labels, title="Four gradient checkers")
    numbers = {"wrong": totals, "right": config.right, "count": counts, "missed": missed}
    numbers["false_positives"] = false_positives
    finish(config, folder, "compare_checkers", numbers, {"compare_checkers.svg": dots})


def by_check_gradients(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Return whether check_gradients passes the gradient of the loss."""
    gradient = gradient_by(parts, params, inputs, targets)[0]
    return jaxbp.check_gradients(MLP, params, inputs, targets, gradient=gradient).ok


def by_check_rule(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Return whether check_rule passes the rule."""
    return jaxbp.check_rule(rule_by(parts), reference, params, inputs, targets).ok


def by_check_grads(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Return whether JAX's checker passes it: one random direction, first order."""
    try:
        check_grads(rule_by(parts), (params, inputs, targets), order=1, modes=["rev"])
    except (AssertionError, TypeError):  # TypeError: a cotangent of another dtype
        return False
    return True


def by_the_tutorials(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Return whether the mean distance from central differences is below 1e-7 in every array."""
    gradient = gradient_by(parts, params, inputs, targets)[0]
    gaps = jax.tree.map(
        lambda bar, difference: np.abs(np.asarray(bar - difference)).mean(),
        gradient,
        differences(params, inputs, targets),
    )
    return all(gap < CRITERION for gap in jax.tree.leaves(gaps))


@jax.jit
def differences(params: jaxbp.Params, inputs: Array, targets: Array) -> jaxbp.Params:
    """Return the central differences of the loss."""
    return numerical_gradient(lambda some: reference(some, inputs, targets), params, step=STEP)


# Checkers, and the faults that each can see: a gradient of a loss shows neither the inputs'
# cotangent nor a second order.
CHECKERS: dict[str, tuple[Checker, dict[str, Parts]]] = {
    "check_gradients": (by_check_gradients, WRONG),
    "check_rule": (by_check_rule, WRONG | WRONG_RULES),
    "jax.test_util.check_grads": (by_check_grads, WRONG | WRONG_RULES),
    "tutorials: mean |difference| < 1e-7": (by_the_tutorials, WRONG),
}

if __name__ == "__main__":
    run(main, Config)
