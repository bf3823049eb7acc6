"""The problem that `fit` minimises, and the interface of its solvers."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from jaxbp._checks import check_number
from jaxbp.losses import LOSSES, Loss
from jaxbp.params import Mlp, Params


class Batch(NamedTuple):
    """Samples of a step: inputs (n, n_0) and targets (n, n_L), or labels (n,)."""

    inputs: Array
    targets: Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Problem:
    """A network, its loss and the size of a step; a pytree with `num_steps` as its only leaf.

    Attributes:
        mlp: network.
        loss: loss.
        batch_size: number of samples of a step; None for all.
        mesh: devices that share the samples; None for one device.
        num_steps: last step of the run, towards which a solver may anneal.
    """

    mlp: Mlp = field(metadata={"static": True})
    loss: Loss = field(default=LOSSES["mean_squared_error"], metadata={"static": True})
    batch_size: int | None = field(default=None, metadata={"static": True})
    mesh: Mesh | None = field(default=None, metadata={"static": True})
    num_steps: int | Array = 0


class Solver:
    """Base class of solvers.

    A solver is a frozen dataclass registered as a pytree. Its numeric settings are leaves: changing
    them compiles nothing, and stacked along a leading axis they differ between the networks of
    `fit_many`. Everything else is static and hashable.

    Examples:
        >>> import dataclasses, jax, jaxbp
        >>> from jaxbp.training import Solver
        >>> @jax.tree_util.register_dataclass
        ... @dataclasses.dataclass(frozen=True)
        ... class Descent(Solver):
        ...     rate: float
        ...
        ...     def init(self, params):
        ...         return ()
        ...
        ...     def step(self, problem, params, state, batch, key):
        ...         mlp, loss = problem.mlp, problem.loss
        ...         value, gradient = jaxbp.loss_and_gradient(mlp, params, *batch, loss)
        ...         params = jax.tree.map(lambda p, g: p - self.rate * g, params, gradient)
        ...         return params, state, value
        >>> jax.tree.leaves(Descent(0.1))
        [0.1]
    """

    def init(self, params: Params) -> Any:
        """Return the state of the solver before the first step, a pytree of arrays."""
        raise NotImplementedError

    def step(
        self, problem: Problem, params: Params, state: Any, batch: Batch, key: Array
    ) -> tuple[Params, Any, Array]:
        """Take one step inside jit; returns parameters, state, and the loss before the step."""
        raise NotImplementedError

    def finish(self, problem: Problem, params: Params, train: Batch) -> Params | None:
        """Propose better parameters when a run ends, or None.

        `fit` returns the best of the start, the end and the proposal, by the loss over all training
        samples, or over the validation samples if the best record is kept.
        """
        return None


def check_setting(
    name: str, value: Any, *, positive: bool = False, below: float = float("inf")
) -> Any:
    """Return a setting, a number or an array of them; a ValueError names the one out of range."""
    if not isinstance(value, jax.core.Tracer):
        for number in np.ravel(value):
            if check_number(name, number, minimum=0, below=below) == 0 and positive:
                raise ValueError(f"{name} must be positive, got {value!r}")
    return value


def check_solver(solver: Any) -> Solver:
    """Return the solver, or raise a TypeError unless it is a `Solver` that jit accepts."""
    if not isinstance(solver, Solver):
        raise TypeError(
            "solver must be a Solver, such as first_order(optax.adam(1e-3)), "
            f"got {type(solver).__name__}"
        )
    if any(leaf is solver for leaf in jax.tree.leaves(solver)):
        raise TypeError(
            "solver must be a pytree: put @jax.tree_util.register_dataclass above the dataclass "
            f"{type(solver).__name__}"
        )
    return solver
