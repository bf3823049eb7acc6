"""The names that a caller may give: activations, losses, schemes, optimizers, schedules and surfaces.

The ground floor: it imports nothing of jaxbp and no JAX, so that a command line can offer the names at once.
"""

import difflib
from collections.abc import Iterable
from typing import Literal, get_args

ActivationName = Literal["identity", "relu", "leaky_relu", "sigmoid", "tanh", "softplus", "silu", "gelu", "sine"]
LossName = Literal["mean_squared_error", "half_squared_error", "softmax_cross_entropy", "binary_cross_entropy"]
SchemeName = Literal["glorot", "he", "lecun", "uniform", "normal", "sine"]
OptimizerName = Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lbfgs"]
SolverName = Literal[OptimizerName, "gauss_newton"]
ScheduleName = Literal["constant", "cosine", "exponential", "linear"]
PlatformName = Literal["auto", "cpu", "gpu", "tpu"]
SurfaceName = Literal["target", "franke", "peaks", "himmelblau", "ripple", "terrain"]

ACTIVATION_NAMES: tuple[str, ...] = get_args(ActivationName)
LOSS_NAMES: tuple[str, ...] = get_args(LossName)
SCHEME_NAMES: tuple[str, ...] = get_args(SchemeName)
OPTIMIZER_NAMES: tuple[str, ...] = get_args(OptimizerName)
SCHEDULE_NAMES: tuple[str, ...] = get_args(ScheduleName)
SURFACE_NAMES: tuple[str, ...] = get_args(SurfaceName)
PLATFORM_NAMES: tuple[str, ...] = get_args(PlatformName)


def nearest_first(name: object, known: Iterable[str]) -> list[str]:
    """Returns the known names, the most similar to `name` first."""
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, str(name).lower(), other).ratio())


def check_name(argument: str, name: object, known: Iterable[str]) -> None:
    """Raises a ValueError that lists the known names, nearest first, unless `name` is one of them.

    Args:
        argument: what the name was given for, as the caller spells it (`hidden[1]`).
        name: what came.
        known: the names that would be right.
    """
    known = tuple(known)
    if not (isinstance(name, str) and name in known):
        raise ValueError(f"{argument} must be one of {', '.join(nearest_first(name, known))}; got {name!r}")
