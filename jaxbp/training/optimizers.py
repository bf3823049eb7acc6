"""Optimizers and learning-rate schedules by name, for command lines."""

import optax

from jaxbp.checks import check_count, check_number
from jaxbp.names import OPTIMIZER_NAMES, SCHEDULE_NAMES, OptimizerName, ScheduleName, check_name

_FACTORIES = {
    "sgd": optax.sgd,
    "momentum": lambda rate: optax.sgd(rate, momentum=0.9),
    "nesterov": lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
    "adagrad": optax.adagrad,
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adamw": optax.adamw,
}


def named_schedule(name: ScheduleName, learning_rate: float, steps: int) -> optax.Schedule:
    """Makes the learning rate a function of the step.

    Args:
        name: constant; cosine, from the learning rate to 0; exponential and linear, to a hundredth of it.
        learning_rate: the rate at the start, at least 0.
        steps: where the schedule ends.

    Raises:
        ValueError: the name is not known, the learning rate is negative or not finite, steps is negative.
    """
    check_name("schedule", name, SCHEDULE_NAMES)
    check_number("learning_rate", learning_rate, minimum=0)
    length = max(1, check_count("steps", steps, minimum=0))
    match name:
        case "cosine":
            return optax.cosine_decay_schedule(learning_rate, length)
        case "exponential":
            return optax.exponential_decay(learning_rate, length, 0.01)
        case "linear":
            return optax.linear_schedule(learning_rate, learning_rate / 100, length)
        case _:
            return optax.constant_schedule(learning_rate)


def named_optimizer(
    name: OptimizerName, learning_rate: float = 1e-3, schedule: ScheduleName = "constant", steps: int = 0
) -> optax.GradientTransformation:
    """Makes an optax optimizer.

    Args:
        name: an optimizer; `momentum` and `nesterov` use 0.9; `lbfgs` searches along a line and takes no learning rate.
        learning_rate: at the start, at least 0.
        schedule: how it changes until the last of `steps`.
        steps: the number of steps of the run, which a schedule needs.

    Raises:
        ValueError: a name is not known, or the learning rate is negative or not finite.
    """
    check_name("optimizer", name, OPTIMIZER_NAMES)
    rate = named_schedule(schedule, learning_rate, steps)
    return optax.lbfgs() if name == "lbfgs" else _FACTORIES[name](rate)
