"""A function under check: its arguments, the programs that differentiate it, the dtypes inside."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Leaves = list[Any]
ARRAYS = (jax.Array, np.ndarray, np.generic)
NARROW = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float32")
BIG = 2**16  # elements: above it memory is saved
# Programs run a few times only, so compiling counts: code in one piece takes half of the time. For
# small arrays it is not optimized either. Later versions do not know the last option.
SERIAL: dict[str, Any] = {"xla_cpu_parallel_codegen_split_count": 1}
QUICKLY: dict[str, Any] = SERIAL | {"xla_backend_optimization_level": 0}
if jax.__version_info__ < (0, 11):
    QUICKLY["xla_cpu_use_fusion_emitters"] = False


def compiled(function: Callable[..., Any], **static: Any) -> Callable[..., Any]:
    """Compile a function, quickly for small arguments and to fast code for large ones."""
    quick, fast = (
        jax.jit(function, compiler_options=options, **static) for options in (QUICKLY, SERIAL)
    )

    @wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        size = sum(np.size(leaf) for leaf in jax.tree.leaves(arguments))
        return (fast if size > 2**13 else quick)(*arguments, **named)

    return run


@dataclass(frozen=True, eq=False)
class ById:
    """A value without a hash, as a static argument of jit."""

    value: Any


@dataclass(frozen=True)
class Call:
    """A function of the arrays among its arguments; a static argument of jit.

    Constants are the leaves that are no arrays, with their positions; `moving` are the positions of
    those with a derivative, `fixed` those of integers and keys. It can be differentiated `orders`
    times, up to 2. A call that is `pulled` runs the rule: its result are the cotangents, and the
    fixed arrays end with the cotangent of the function.
    """

    function: Any
    structure: Any
    constants: tuple[tuple[int, Any], ...]
    moving: tuple[int, ...]
    fixed: tuple[int, ...]
    jitted: bool = True
    orders: int = 2
    pulled: bool = False

    def everything(self, moving: Sequence[Any], fixed: Sequence[Any]) -> Any:
        """Call the function."""
        leaves = {i: _plain(value) for i, value in self.constants}
        leaves |= dict(zip(self.moving, moving, strict=True))
        leaves |= dict(zip(self.fixed, fixed, strict=True))
        ordered = [leaves[i] for i in range(len(leaves))]
        return _plain(self.function)(*jax.tree.unflatten(self.structure, ordered))

    def __call__(self, moving: Sequence[Any], fixed: Sequence[Any]) -> Leaves:
        """Call the function and return the leaves of its result that have a derivative."""
        if self.pulled:
            own, cotangent = fixed[: len(self.fixed)], fixed[len(self.fixed) :]
            plain = replace(self, pulled=False)
            value, pull = jax.vjp(lambda *moving: plain(moving, own), *moving)
            return list(pull(likes(cotangent, value)))
        leaves = jax.tree.leaves(self.everything(moving, fixed))
        return [jnp.asarray(leaf) for leaf in leaves if is_inexact(leaf)]


class Setting(NamedTuple):
    """A precision to run in: JAX's mode and the dtype of real numbers, None for the caller's."""

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
    second: Leaves


def split(function: Any, arguments: Any) -> tuple[Call, Leaves, Leaves]:
    """Return the call, the leaves that move and the other arrays.

    Floats are constants if the function refuses them as arrays.

    Raises:
        TypeError: no leaf has a derivative.
    """
    leaves, structure = jax.tree.flatten(arguments)
    for numbers in ((float, complex), ()):
        moving, fixed, constants = [], [], []
        for position, leaf in enumerate(leaves):
            if isinstance(leaf, (*ARRAYS, *numbers)) and is_inexact(leaf):
                moving.append(position)
            elif isinstance(leaf, ARRAYS):
                fixed.append(position)
            else:
                constants.append((position, hashable(leaf)))
        call = Call(hashable(function), structure, tuple(constants), tuple(moving), tuple(fixed))
        point, others = [jnp.asarray(leaves[i]) for i in moving], [leaves[i] for i in fixed]
        if not any(isinstance(leaf, (float, complex)) for leaf in leaves):
            break
        try:
            jax.eval_shape(lambda *x: jax.vjp(lambda *x: call(x, others), *x)[0], *point)  # noqa: B023
            break
        except Exception:
            continue
    if not point:
        raise TypeError("arguments must hold a real or complex array or float to differentiate")
    return call, [np.asarray(leaf) for leaf in point], others


def differentiate(
    call: Call, setting: Setting, point: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves
) -> Outcome:
    """Run a call and its rule at a point, in a precision, to the order that the call has."""
    with setting.mode():
        program = _differentiate if call.jitted else inspect.unwrap(_differentiate)
        result = program(call, setting.cast(point), fixed, cotangent, along)
        return Outcome(*([np.asarray(leaf) for leaf in leaves] for leaves in result))


@partial(compiled, static_argnums=0)
def _differentiate(
    call: Call, moving: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves
) -> tuple[Leaves, ...]:
    def pulled(*moving: Any) -> Any:
        ruled, pull = jax.vjp(lambda *moving: call(moving, fixed), *moving)
        return pull(likes(cotangent, ruled)), ruled

    value = call(moving, fixed)
    if not call.orders:
        return value, value, [], []
    if call.orders == 1:
        first, ruled = pulled(*moving)
        return value, ruled, list(first), []
    first, pull, ruled = jax.vjp(pulled, *moving, has_aux=True)
    return value, ruled, list(first), list(pull(tuple(likes(along, first))))


def forward_slope(
    call: Call, setting: Setting, point: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves
) -> float:
    """Compute <u, J v> by forward mode."""
    with setting.mode():
        program = _pushed if call.jitted else inspect.unwrap(_pushed)
        return float(program(call, setting.cast(point), fixed, cotangent, along))


@partial(compiled, static_argnums=0)
def _pushed(call: Call, moving: Leaves, fixed: Leaves, cotangent: Leaves, along: Leaves) -> Any:
    tangents = tuple(likes(along, moving))
    pushed = jax.jvp(lambda *moving: call(moving, fixed), tuple(moving), tangents)[1]
    return paired(cotangent, pushed)


def paired(cotangent: Leaves, results: Leaves) -> Any:
    """Compute Re sum(u r), the pairing of JAX's cotangents."""
    pairs = zip(likes(cotangent, results), results, strict=True)
    return sum((jnp.real(jnp.sum(bar * leaf)) for bar, leaf in pairs), start=jnp.zeros(()))


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
    """List the operations of a call, also those inside of others."""
    with setting.mode():
        traced = jax.make_jaxpr(lambda *moving: call(moving, fixed))(*setting.cast(point))
    return list(_equations(traced.jaxpr))


def iterates(operation: Any) -> bool:
    """Whether an operation is a loop over nothing, as an iterative solver is."""
    name, counts = operation.primitive.name, operation.params
    return name == "while" or (
        name == "scan" and len(operation.invars) == counts["num_consts"] + counts["num_carry"]
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
    wide = np.result_type(dtype, np.complex64) if jnp.iscomplexobj(array) else dtype
    return jnp.asarray(array.astype(wide))


def likes(bars: Sequence[Any], leaves: Sequence[Any]) -> Leaves:
    """Cast cotangents to the dtypes of leaves; the real part where a leaf is real."""
    pairs = zip(map(jnp.asarray, bars), leaves, strict=True)
    return [
        (bar if jnp.iscomplexobj(leaf) else jnp.real(bar)).astype(leaf.dtype) for bar, leaf in pairs
    ]


def hashable(value: Any) -> Any:
    """Return the value, or what stands for it as a static argument."""
    try:
        hash(value)
    except TypeError:
        return ById(value)
    return value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, ById) else value
