"""First-order training: any optax optimizer on the hand-written gradient."""

from typing import Any

import jax
import optax
from jax import Array

from jaxbp._checks import check_number
from jaxbp.network import forward
from jaxbp.params import Params
from jaxbp.training.solver import Batch, Problem, Solver


def first_order(
    optimizer: optax.GradientTransformation,
    *,
    weight_decay: float = 0.0,
    clip_norm: float | None = None,
) -> Solver:
    """Makes a solver of an optax optimizer.

    Learning-rate schedules (annealing) are the optimizer's:
    `optax.adam(optax.cosine_decay_schedule(1e-3, steps))`. An optimizer that searches along a line,
    such as `optax.lbfgs()`, is given the loss and its hand-written gradient.

    Args:
        optimizer: any optax gradient transformation.
        weight_decay: the factor of an L2 penalty weight_decay / 2 ||W||^2: it adds weight_decay * W
            to the gradient of the weights, not of the biases. For decoupled decay use
            `optax.adamw`.
        clip_norm: the largest norm that the whole gradient keeps, before decay; None for no
            clipping.

    Returns:
        A solver for `fit`.

    Raises:
        TypeError: optimizer is not an optax optimizer.
        ValueError: weight_decay is negative, or clip_norm is not positive.
    """
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            f"optimizer must be an optax.GradientTransformation, got {type(optimizer).__name__}"
        )
    decay = check_number("weight_decay", weight_decay, minimum=0)
    stages: list[optax.GradientTransformation] = []
    if clip_norm is not None:
        if check_number("clip_norm", clip_norm, minimum=0) == 0:
            raise ValueError(f"clip_norm must be positive, got {clip_norm!r}")
        stages.append(optax.clip_by_global_norm(clip_norm))
    if decay > 0:
        stages.append(optax.add_decayed_weights(decay, mask=_weights_only))
    chain = optax.with_extra_args_support(optax.chain(*stages, optimizer) if stages else optimizer)

    def step(
        problem: Problem, params: Params, state: Any, batch: Batch, key: Array
    ) -> tuple[Params, Any, Array]:
        loss, gradient = problem.loss_and_gradient(params, batch, key)

        def value_fn(params: Params) -> Array:
            outputs, _ = forward(problem.mlp, params, batch.inputs)
            return problem.loss.values(outputs, batch.targets).mean()

        updates, state = chain.update(
            gradient, state, params, value=loss, grad=gradient, value_fn=value_fn
        )
        return optax.apply_updates(params, updates), state, loss

    return Solver("first_order", chain.init, step)


def _weights_only(params: Params) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


# One for all runs: a solver is static, and a new one would compile every program again.
DEFAULT_SOLVER = first_order(optax.adam(1e-3))
