"""Judge four judges of gradients by wrong backward passes: how many each misses, and how many right
ones it accuses.

The judges: this library's check_gradients and check_rule; jax.test_util.check_grads with its
defaults, in reverse
mode, all that a custom_vjp has; and the tutorials' rule, mean |hand-written - central difference| <
1e-7 in each array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jax import Array
from jax.test_util import check_grads

import jaxbp
from common import Common, begin, finish, print_columns, run
from jaxbp import viz
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


@dataclass(frozen=True)
class Config(Common):
    """Flags of judges."""

    right: int = 20
    """Number of right backward passes, each on a network of its own, that a judge may accuse."""
    only: int | None = None
    """Number of wrong backward passes to take, from the first on; all of them unless given."""


TUTORIALS_STEP, CRITERION = (
    1e-4,
    1e-7,
)  # of central differences, and of their mean distance from the gradient
# How far the targets lie from the outputs: as at a start, and as near the end of a fit, where a
# gradient is small.
DISTANCES = {"at a start": 1.0, "nearly fitted": 1e-3}
SINGLE, DOUBLE = "float32", "float64"


def main(config: Config) -> None:
    """Asks every judge about every backward pass; prints and draws how often it errs."""
    folder = begin(config, right=1, only=1)
    faults = {name: dict(list(asked.items())[: config.only]) for name, (_, asked) in JUDGES.items()}
    missed: dict[str, dict[str, list[str]]] = {}
    accused: dict[str, dict[str, int]] = {}
    for dtype in (DOUBLE, SINGLE):
        for where, distance in DISTANCES.items():
            row = f"{dtype}, {where}"
            missed[row], accused[row] = {}, {}
            for name, (judge, _) in JUDGES.items():
                with jax.enable_x64(dtype == DOUBLE):
                    missed[row][name] = missed_by(judge, faults[name], config.seed, dtype, distance)
                    cases = (draw(config.seed + i, dtype, distance) for i in range(config.right))
                    accused[row][name] = sum(not judge(RIGHT, *case) for case in cases)
    counts = {
        row: {name: len(some) for name, some in of_row.items()} for row, of_row in missed.items()
    }
    of_all = {
        row: [f"{n} of {len(faults[name])}" for name, n in some.items()]
        for row, some in counts.items()
    }
    print_columns(
        ["case", *JUDGES],
        [(row, *cells) for row, cells in of_all.items()],
        "wrong backward passes missed",
    )
    cells = [(row, *some.values()) for row, some in accused.items()]
    print_columns(["case", *JUDGES], cells, f"accused of {config.right} right ones")
    if not config.quiet:
        for row, some in missed.items():
            for name, faults_missed in some.items():
                print(f"\n{row}, missed by {name}: {', '.join(faults_missed) or 'none'}")
    shares = {
        row: {name: n / len(faults[name]) for name, n in some.items()}
        for row, some in counts.items()
    }
    wrongly = {
        f"{row} ": {name: n / config.right for name, n in some.items()}
        for row, some in accused.items()
    }
    labels = dict.fromkeys(shares, "share of the wrong backward passes that it misses")
    labels |= dict.fromkeys(wrongly, f"share of {config.right} right ones that it accuses")
    dots = viz.draw_dots(shares | wrongly, xlabel=labels, title="Judges of a gradient, judged")
    asked = {name: len(some) for name, some in faults.items()}
    numbers = {
        "wrong": asked,
        "right": config.right,
        "count": counts,
        "missed": missed,
        "accused": accused,
    }
    finish(config, folder, "judges", numbers, {"judges.svg": dots.figure})


def missed_by(
    judge: Callable[..., bool], faults: dict[str, Parts], seed: int, dtype: str, distance: float
) -> list[str]:
    """The names of the faults that a judge lets pass."""
    cases = [draw(seed, dtype, distance, kink) for kink in (False, True)]
    return [name for name, parts in faults.items() if judge(parts, *cases[name in AT_KINK])]


def by_check_gradients(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Whether the library's judge of a loss's gradient passes it."""
    gradient = gradient_by(parts, params, inputs, targets)[0]
    return jaxbp.check_gradients(MLP, params, inputs, targets, gradient=gradient).ok


def by_check_rule(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Whether the library's judge of a rule passes it."""
    return jaxbp.check_rule(rule_by(parts), reference, params, inputs, targets).ok


def by_check_grads(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Whether JAX's own judge passes it: one random direction through all arguments, first order."""
    try:
        check_grads(rule_by(parts), (params, inputs, targets), order=1, modes=["rev"])
    except (
        AssertionError,
        TypeError,
    ):  # a TypeError is what it answers to a cotangent of another dtype
        return False
    return True


def by_the_tutorials(parts: Parts, params: jaxbp.Params, inputs: Array, targets: Array) -> bool:
    """Whether the mean distance from central differences is below 1e-7 in every array."""
    gradient = gradient_by(parts, params, inputs, targets)[0]
    for position, (leaf, bar) in enumerate(
        zip(jax.tree.leaves(params), jax.tree.leaves(gradient), strict=True)
    ):
        steps = TUTORIALS_STEP * np.eye(leaf.size, dtype=leaf.dtype).reshape(leaf.size, *leaf.shape)
        ends = [
            losses_at(params, position, np.asarray(leaf) + sign * steps, inputs, targets)
            for sign in (1, -1)
        ]
        differences = (np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * TUTORIALS_STEP)
        if not np.abs(np.asarray(bar).ravel() - differences).mean() < CRITERION:
            return False
    return True


@partial(jax.jit, static_argnums=1)
def losses_at(
    params: jaxbp.Params, position: int, leaves: Array, inputs: Array, targets: Array
) -> Array:
    """The losses with each of some arrays in place of one leaf."""
    rest, structure = jax.tree.flatten(params)

    def at(leaf: Array) -> Array:
        return reference(
            jax.tree.unflatten(structure, [*rest[:position], leaf, *rest[position + 1 :]]),
            inputs,
            targets,
        )

    return jax.lax.map(at, leaves)


# Who judges, and what of: a gradient of a loss shows neither the inputs' cotangent nor a second
# order.
JUDGES: dict[str, tuple[Callable[..., bool], dict[str, Parts]]] = {
    "check_gradients": (by_check_gradients, WRONG),
    "check_rule": (by_check_rule, WRONG | WRONG_RULES),
    "jax.test_util.check_grads": (by_check_grads, WRONG | WRONG_RULES),
    "mean |difference| < 1e-7": (by_the_tutorials, WRONG),
}

if __name__ == "__main__":
    run(main, Config)
