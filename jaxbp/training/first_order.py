"""First-order training: any optax optimizer on the hand-written gradient."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_number, look_up
from jaxbp._layout import tile_of
from jaxbp.backprop import tiled_loss_and_gradient
from jaxbp.network import Masks, forward
from jaxbp.params import Mlp, Params
from jaxbp.training.sharding import over_devices
from jaxbp.training.solver import Batch, Problem, Solver, check_setting


class Optimizer:
    """An optax optimizer, or a function that makes one, compared by its code and constants.

    optax returns new closures from each call. Compared by identity, each of them would compile the
    step again.
    """

    def __init__(self, made: Any) -> None:
        """Take what optax returned, or the function."""
        self.made = made
        self._content = _content(made, ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Optimizer) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    def __reduce__(self) -> Any:
        return Optimizer, (self.made,)

    def __repr__(self) -> str:
        return getattr(self.made, "__qualname__", type(self.made).__name__)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FirstOrder(Solver):
    """Solver of an optax optimizer; its fields are the arguments of `first_order`."""

    optimizer: Optimizer = field(metadata={"static": True})
    settings: dict[str, Any] = field(default_factory=dict, hash=False)
    weight_decay: Any = None
    clip_norm: Any = None
    dropout: Any = None
    tile: int | None = field(default=None, metadata={"static": True})

    def init(self, params: Params) -> Any:
        """Return the optimizer's state."""
        return self._transformation(params).init(params)

    def step(
        self, problem: Problem, params: Params, state: Any, batch: Batch, key: Array
    ) -> tuple[Params, Any, Array]:
        """Apply the optimizer's update to the gradient of a batch."""
        masks = None
        if self.dropout is not None:
            num_samples, dtype = batch.inputs.shape[0], batch.inputs.dtype
            masks = dropout_masks(problem.mlp, key, self.dropout, num_samples, dtype)
        if problem.mesh is None:
            loss, gradient = tiled_loss_and_gradient(
                problem.mlp, params, *batch, problem.loss, self.tile, masks
            )
        else:
            loss, gradient = self._on_devices(problem, problem.mesh, params, batch, masks)

        def value_fn(params: Params) -> Array:
            outputs, _ = forward(problem.mlp, params, batch.inputs)
            return problem.loss.values(outputs, batch.targets).mean()

        with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
            updates, state = self._transformation(params).update(
                gradient, state, params, value=loss, grad=gradient, value_fn=value_fn
            )
        return optax.apply_updates(params, updates), state, loss

    def _on_devices(
        self, problem: Problem, mesh: Mesh, params: Params, batch: Batch, masks: Masks | None
    ) -> tuple[Array, Params]:
        """Compute the gradient with the rows shared by the devices, on CPUs in tiles for a core."""
        tile, (num_samples, _) = self.tile, batch.inputs.shape
        if tile is None and mesh.size > 1:
            itemsize, rows = batch.inputs.dtype.itemsize, num_samples // mesh.size
            tile = tile_of(problem.mlp, rows, itemsize, on_a_core=True)

        def local(params: Params, batch: Batch, masks: Masks | None) -> tuple[Array, Params]:
            return tiled_loss_and_gradient(problem.mlp, params, *batch, problem.loss, tile, masks)

        return over_devices(mesh, jax.lax.pmean, local, params, batch, masks)

    def _transformation(self, params: Params) -> optax.GradientTransformationExtraArgs:
        """Chain clipping, decay and the optimizer, with the settings in the parameters' dtype."""
        dtype = params[0].weight.dtype
        settings, decay, clip = jax.tree.map(
            lambda setting: jnp.asarray(setting, dtype),
            (self.settings, self.weight_decay, self.clip_norm),
        )
        stages = [] if clip is None else [optax.clip_by_global_norm(clip)]
        if decay is not None:
            stages.append(optax.add_decayed_weights(decay, mask=_weights_only))
        made = self.optimizer.made
        optimizer = made if isinstance(made, optax.GradientTransformation) else made(**settings)
        return optax.with_extra_args_support(
            optax.chain(*stages, optimizer) if stages else optimizer
        )


def first_order(
    optimizer: optax.GradientTransformation | Callable[..., optax.GradientTransformation],
    *,
    weight_decay: Any = 0.0,
    clip_norm: Any = None,
    dropout: Any = 0.0,
    tile: int | None = None,
    **settings: Any,
) -> FirstOrder:
    """Make a solver of an optax optimizer.

    `first_order(optax.adam(1e-3))` and `first_order(optax.adam, learning_rate=1e-3)` train alike.
    In the second form the settings are leaves of the solver: another learning rate compiles
    nothing, an array of them trains one network each in `fit_many`, and the solver can be pickled.

    Learning-rate schedules belong to the optimizer:
    `optax.adam(optax.cosine_decay_schedule(1e-3, steps))`. An optimizer with a line search, such as
    `optax.lbfgs()`, is given the loss and its hand-written gradient.

    Args:
        optimizer: optax gradient transformation, or a function of `settings` that returns one.
        weight_decay: factor of an L2 penalty weight_decay / 2 ||W||^2, which adds weight_decay * W
            to the gradient of the weights, not of the biases. For decoupled decay use
            `optax.adamw`.
        clip_norm: largest norm of the whole gradient, before decay; None for no clipping.
        dropout: probability with which a hidden unit is dropped in training, in [0, 1).
        tile: number of samples of a device held in memory at a time by a gradient; None as in
            `loss_and_gradient`, or on several CPU devices for tiles that fit the cache of a core.
        **settings: numbers, or arrays of numbers for `fit_many`.

    Returns:
        A solver for `fit` and `fit_many`.

    Raises:
        TypeError: optimizer is neither an optax optimizer nor a function, or settings are given
            beside an optimizer that is made already.
        ValueError: a number is out of range.

    Examples:
        >>> import optax, jaxbp
        >>> jaxbp.first_order(optax.adam, learning_rate=1e-3).settings
        {'learning_rate': 0.001}
        >>> jaxbp.first_order(optax.sgd(0.1)) == jaxbp.first_order(optax.sgd(0.1))
        True
    """
    made = isinstance(optimizer, optax.GradientTransformation)
    if not made and not callable(optimizer):
        raise TypeError(
            "optimizer must be an optax.GradientTransformation or a function that returns one, "
            f"got {type(optimizer).__name__}"
        )
    if made and settings:
        raise TypeError(
            f"optimizer must be a function of {', '.join(settings)}, such as optax.adam, "
            "got an optimizer that is made already"
        )
    for name, value in settings.items():
        check_setting(name, value)
    check_setting("weight_decay", weight_decay)
    check_setting("dropout", dropout, below=1)
    if clip_norm is not None:
        check_setting("clip_norm", clip_norm, positive=True)
    return FirstOrder(
        Optimizer(optimizer),
        settings,
        weight_decay=_none_if_zero(weight_decay),
        clip_norm=clip_norm,
        dropout=_none_if_zero(dropout),
        tile=None if tile is None else check_count("tile", tile, minimum=1),
    )


def dropout_masks(mlp: Mlp, key: Array, rate: Any, num_samples: int, dtype: DTypeLike) -> Masks:
    """Draw a dropout mask for each hidden layer, none for the output (Srivastava et al. 2014).

    Args:
        mlp: network.
        key: JAX random key; the layers draw from splits of it.
        rate: probability with which a unit is dropped, in [0, 1); the others are scaled by
            1 / (1 - rate).
        num_samples: n.
        dtype: of the masks.

    Returns:
        Masks (n, n_l), l = 1..L-1, and None.

    Raises:
        ValueError: the rate is out of range.

    Examples:
        >>> import jax, jax.numpy as jnp, jaxbp
        >>> mlp, key = jaxbp.Mlp((2, 8, 1)), jax.random.key(0)
        >>> mask, none = jaxbp.dropout_masks(mlp, key, 0.5, 4, jnp.float32)
        >>> mask.shape, sorted(set(mask.ravel().tolist())), none
        ((4, 8), [0.0, 2.0], None)
    """
    kept = 1 - jnp.asarray(check_setting("rate", rate, below=1), dtype)
    keys = jax.random.split(key, mlp.num_layers)
    hidden = zip(keys[:-1], mlp.sizes[1:-1], strict=True)
    masks = (jax.random.bernoulli(one, kept, (num_samples, size)) for one, size in hidden)
    return (*(mask.astype(dtype) / kept for mask in masks), None)


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
    """Make an optax optimizer by name, for command lines.

    Args:
        name: key of `OPTIMIZERS`; `momentum` and `nesterov` use 0.9; `lbfgs` has a line search and
            no learning rate.
        learning_rate: at the start, at least 0.
        schedule: key of `SCHEDULES`: constant; cosine, to 0; exponential and linear, to a hundredth
            of the rate.
        steps: step at which the schedule ends.

    Returns:
        The optimizer, for `first_order`.

    Raises:
        ValueError: a name is not known, the learning rate is negative or not finite, or steps is
            negative.

    Examples:
        >>> import jaxbp
        >>> from jaxbp.training import named_optimizer
        >>> solver = jaxbp.first_order(named_optimizer("adam", 1e-2, "cosine", steps=100))
    """
    optimizer = look_up("optimizer", name, OPTIMIZERS)
    rule = look_up("schedule", schedule, SCHEDULES)
    check_number("learning_rate", learning_rate, minimum=0)
    return optimizer(rule(learning_rate, max(1, check_count("steps", steps, minimum=0))))


def _none_if_zero(value: Any) -> Any:
    return None if isinstance(value, (int, float)) and value == 0 else value


def _weights_only(params: Params) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim == 2, params)


def _content(value: Any, seen: tuple[int, ...]) -> Any:
    """Describe a value by hashable code and constants; by identity where there is no such thing."""
    if isinstance(value, FunctionType) and id(value) not in seen:
        cells = [_cell_content(cell) for cell in value.__closure__ or ()]
        parts = (value.__defaults__, value.__kwdefaults__, *cells)
        code = value.__code__, id(value.__globals__)
        return *code, *(_content(part, (*seen, id(value))) for part in parts)
    if isinstance(value, partial):
        return "partial", _content((value.func, value.args, value.keywords), seen)
    if isinstance(value, dict):
        return "dict", _content(tuple(value.items()), seen)
    if isinstance(value, (tuple, list)):
        return type(value), *(_content(part, seen) for part in value)
    try:
        hash(value)
    except TypeError:
        return "object", id(value)
    return type(value), value


def _cell_content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # of a variable that is not assigned
        return "unassigned"


DEFAULT_SOLVER = first_order(optax.adam, learning_rate=1e-3)
