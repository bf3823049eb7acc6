"""A function under check: its arguments, the programs that differentiate it, the dtypes inside."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Leaves = list[Any]
ARRAYS = (jax.Array, np.ndarray, np.generic)
NARROW = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float32")
# Compile quickly: the programs run a few times only. Later versions know no second option.
QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):
    QUICKLY["xla_cpu_use_fusion_emitters"] = False


@dataclass(frozen=True, eq=False)
class ById:
    """A value without a hash, as a static argument of jit."""

    value: Any


@dataclass(frozen=True)
class Call:
    """A function of the arrays among its arguments; a static argument of jit.

    Attributes:
        function: the function.
        structure: the structure of its arguments.
        constants: position and value of the leaves that are no arrays.
        moving: the positions of the leaves with a derivative.
        fixed: the positions of the other arrays: integers and PRNG keys.
        jitted: whether the function can be compiled.
        orders: how often it can be differentiated, up to 2.
    """

    function: Any
    structure: Any
    constants: tuple[tuple[int, Any], ...]
    moving: tuple[int, ...]
    fixed: tuple[int, ...]
    jitted: bool = True
    orders: int = 2

    def everything(self, moving: Sequence[Any], fixed: Sequence[Any]) -> Any:
        """Call the function."""
        leaves = {i: _plain(value) for i, value in self.constants}
        leaves |= dict(zip(self.moving, moving, strict=True))
        leaves |= dict(zip(self.fixed, fixed, strict=True))
        ordered = [leaves[i] for i in range(len(leaves))]
        return _plain(self.function)(*jax.tree.unflatten(self.structure, ordered))

    def __call__(self, moving: Sequence[Any], fixed: Sequence[Any]) -> Leaves:
        """Call the function and return the leaves of its result that have a derivative."""
        leaves = jax.tree.leaves(self.everything(moving, fixed))
        return [jnp.asarray(leaf) for leaf in leaves if is_inexact(leaf)]


FIELDS = ("function", "structure", "constants", "moving", "fixed", "jitted", "orders")


class RuleCall(Call):
    """The cotangents of a call as a function of its arguments; `fixed` ends with the cotangent."""

    def __call__(self, moving: Sequence[Any], fixed: Sequence[Any]) -> Leaves:
        """Run the rule."""
        own, cotangent = fixed[: len(self.fixed)], fixed[len(self.fixed) :]
        value, pull = jax.vjp(lambda *moving: Call.__call__(self, moving, own), *moving)
        return list(pull([_like(bar, leaf) for bar, leaf in zip(cotangent, value, strict=True)]))


class Setting(NamedTuple):
    """A precision to run in.

    Attributes:
        name: empty for the caller's own.
        x64: the mode of JAX, None for the caller's.
        dtype: of real numbers, None for the caller's.
    """

    name: str = ""
    x64: bool | None = None
    dtype: Any = None

    def mode(self) -> AbstractContextManager[Any]:
        """The context to run in."""
        return nullcontext() if self.x64 is None else jax.enable_x64(self.x64)

    def cast(self, leaves: Sequence[Any]) -> Leaves:
        """Cast real and complex arrays; within `mode`."""
        if self.dtype is None:
            return [jnp.asarray(leaf) for leaf in leaves]
        return [_cast(leaf, self.dtype) for leaf in leaves]


OWN = Setting()
WIDE = Setting("float64", True, np.float64)
SINGLE = Setting("float32", False, np.float32)


class Outcome(NamedTuple):
    """The numbers of one call: value, value by the rule, and derivatives, as NumPy arrays."""

    value: Leaves
    ruled: Leaves
    bars: Leaves
    doubled: Leaves
    second: Leaves


def split(function: Any, arguments: Any, floats_are_constants: bool) -> tuple[Call, Leaves, Leaves]:
    """Return the call, the leaves that move and the other arrays."""
    leaves, structure = jax.tree.flatten(arguments)
    moving, fixed, constants = [], [], []
    for position, leaf in enumerate(leaves):
        number = isinstance(leaf, (float, complex)) and not floats_are_constants
        if (number or isinstance(leaf, ARRAYS)) and is_inexact(leaf):
            moving.append(position)
        elif isinstance(leaf, ARRAYS):
            fixed.append(position)
        else:
            constants.append((position, hashable(leaf)))
    call = Call(hashable(function), structure, tuple(constants), tuple(moving), tuple(fixed))
    return call, [jnp.asarray(leaves[i]) for i in moving], [leaves[i] for i in fixed]


def differentiate(
    call: Call,
    setting: Setting,
    point: Sequence[Any],
    fixed: Leaves,
    cotangent: Leaves,
    direction: Leaves,
    orders: int = 1,
) -> Outcome:
    """Run a call and its rule at a point, in a precision; `orders` 0 leaves derivatives out."""
    with setting.mode():
        program = _compiled if call.jitted else _differentiate
        result = program(call, orders, setting.cast(point), fixed, cotangent, direction)
        return Outcome(*([np.asarray(leaf) for leaf in leaves] for leaves in result))


def _differentiate(
    call: Call, orders: int, moving: Leaves, fixed: Leaves, cotangent: Leaves, direction: Leaves
) -> tuple[Leaves, ...]:
    def value_of(*moving: Any) -> Leaves:
        return call(moving, fixed)

    def pulled(*moving: Any) -> Any:
        value, pull = jax.vjp(value_of, *moving)
        return pull([_like(bar, leaf) for bar, leaf in zip(cotangent, value, strict=True)])

    value = value_of(*moving)
    if not orders:
        return value, value, [], [], []
    ruled, pull = jax.vjp(value_of, *moving)
    bars = [_like(bar, leaf) for bar, leaf in zip(cotangent, ruled, strict=True)]
    first = pull(bars)
    doubled = pull([-2 * bar for bar in bars])
    second = []
    if orders > 1:
        along = tuple(_like(v, bar) for v, bar in zip(direction, first, strict=True))
        second = jax.vjp(pulled, *moving)[1](along)
    return value, ruled, list(first), list(doubled), list(second)


_compiled = jax.jit(_differentiate, static_argnums=(0, 1), compiler_options=QUICKLY)


def forward_slope(
    call: Call, setting: Setting, point: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves
) -> float:
    """Compute <u, J v> by forward mode."""
    with setting.mode():
        program = _compiled_push if call.jitted else _pushed
        return float(program(call, setting.cast(point), fixed, cotangent, along))


def _pushed(call: Call, moving: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves) -> Any:
    tangents = tuple(_like(v, leaf) for v, leaf in zip(along, moving, strict=True))
    pushed = jax.jvp(lambda *moving: call(moving, fixed), tuple(moving), tangents)[1]
    return paired(cotangent, pushed)


_compiled_push = jax.jit(_pushed, static_argnums=0, compiler_options=QUICKLY)


def paired(cotangent: Leaves, results: Leaves) -> Any:
    """Compute Re sum(u r), the pairing of JAX's cotangents."""
    terms = [
        jnp.real(jnp.sum(_like(bar, leaf) * leaf))
        for bar, leaf in zip(cotangent, results, strict=True)
    ]
    return sum(terms, start=jnp.zeros(()))


def shapes(call: Call, point: Leaves, fixed: Leaves) -> Any:
    """Return the result of a call with shapes in place of arrays."""
    try:
        return jax.eval_shape(lambda *moving: call.everything(moving, fixed), *point)
    except Exception:
        return jax.tree.map(jnp.asarray, call.everything(point, fixed))


def groups(call: Call) -> list[tuple[str, tuple[int, ...]]]:
    """Name each argument that moves, and list its leaves."""
    owners = jax.tree.unflatten(call.structure, range(call.structure.num_leaves))
    found = []
    for number, argument in enumerate(owners):
        mine = set(jax.tree.leaves(argument))
        members = tuple(k for k, position in enumerate(call.moving) if position in mine)
        found += [(f"arguments[{number}]", members)] if members else []
    return found


def operations(call: Call, setting: Setting, point: Leaves, fixed: Leaves) -> list[Any]:
    """List the operations of the function, without its rule."""
    with setting.mode():
        traced = jax.make_jaxpr(lambda *moving: call(moving, fixed))(*setting.cast(point))
    return list(_equations(traced.jaxpr))


def operations_of_rule(
    call: Call, setting: Setting, point: Leaves, fixed: Leaves, cotangent: Leaves
) -> list[Any]:
    """List the operations of the function and its rule."""
    with setting.mode():
        traced = jax.make_jaxpr(
            lambda *moving: _differentiate(call, 1, list(moving), fixed, cotangent, [])
        )(*setting.cast(point))
    return list(_equations(traced.jaxpr))


def iterates(operation: Any) -> bool:
    """Whether an operation is a loop over nothing, as an iterative solver is."""
    if operation.primitive.name == "while":
        return True
    counts = operation.params
    return operation.primitive.name == "scan" and len(operation.invars) == (
        counts["num_consts"] + counts["num_carry"]
    )


def coarsest(equations: Sequence[Any]) -> float:
    """Return the largest unit of the floating dtypes that operations return, 0 without any."""
    names = {
        str(getattr(variable.aval, "dtype", "")) for equation in equations
        for variable in equation.outvars
    }  # fmt: skip
    return max((unit_of(name) for name in names if name in NARROW), default=0.0)


def unit_of(dtype: Any) -> float:
    """Return half a unit in the last place."""
    return float(jnp.finfo(dtype).eps) / 2


def is_inexact(leaf: Any) -> bool:
    """Whether a leaf has a derivative."""
    if isinstance(leaf, ById) or not isinstance(leaf, (*ARRAYS, int, float, complex)):
        return False
    return bool(jnp.issubdtype(jax.dtypes.result_type(leaf), jnp.inexact))


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from _equations(getattr(inner, "jaxpr", inner))


def _cast(leaf: Any, dtype: Any) -> Any:
    array = np.asarray(leaf)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        return jnp.asarray(array, np.result_type(dtype, np.complex64))
    return jnp.asarray(array.astype(dtype))


def _like(bar: Any, leaf: Any) -> Any:
    """A cotangent in the dtype of its leaf; the real part where the leaf is real."""
    bar = jnp.asarray(bar)
    if jnp.iscomplexobj(bar) and not jnp.iscomplexobj(leaf):
        bar = jnp.real(bar)
    return bar.astype(leaf.dtype)


def hashable(value: Any) -> Any:
    """Return the value, or what stands for it as a static argument."""
    try:
        hash(value)
    except TypeError:
        return ById(value)
    return value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, ById) else value
