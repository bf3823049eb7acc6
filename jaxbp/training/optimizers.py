"""Optimizers and learning-rate schedules, one row each, for command lines."""

from collections.abc import Callable

import optax

from jaxbp._checks import check_count, check_number, look_up

OPTIMIZERS: dict[str, Callable[[optax.Schedule], optax.GradientTransformation]] = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adagrad": optax.adagrad,
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "lbfgs": lambda rate: optax.lbfgs(),
}
SCHEDULES: dict[str, Callable[[float, int], optax.Schedule]] = {
    "constant": lambda rate, steps: optax.constant_schedule(rate),
    "cosine": optax.cosine_decay_schedule,
    "exponential": lambda rate, steps: optax.exponential_decay(rate, steps, 0.01),
    "linear": lambda rate, steps: optax.linear_schedule(rate, rate / 100, steps),
}


def named_optimizer(
    name: str, learning_rate: float = 1e-3, schedule: str = "constant", steps: int = 0
) -> optax.GradientTransformation:
    """Makes an optax optimizer.

    Args:
        name: a key of `OPTIMIZERS`; `momentum` and `nesterov` use 0.9; `lbfgs` searches along a
            line and takes no learning rate.
        learning_rate: at the start, at least 0.
        schedule: a key of `SCHEDULES`: constant; cosine, to 0; exponential and linear, to a
            hundredth of the rate.
        steps: where the schedule ends.

    Returns:
        The optimizer, for `first_order`.

    Raises:
        ValueError: a name is not known, the learning rate is negative or not finite, steps is
            negative.
    """
    optimizer, rule = (
        look_up("optimizer", name, OPTIMIZERS),
        look_up("schedule", schedule, SCHEDULES),
    )
    check_number("learning_rate", learning_rate, minimum=0)
    return optimizer(rule(learning_rate, max(1, check_count("steps", steps, minimum=0))))
