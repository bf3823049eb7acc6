"""The computational graph of any JAX function: values, and the output's derivatives to them.

The function is traced to a jaxpr and run operation by operation. Going back, a node's derivative is
the sum of the terms that its children pass down, each by the rule of its own operation alone:

    dy/dy = 1,  dy/da = sum over the children c of a of (dy/dc) (dc/da)

Functions that are jitted, rematerialized or called are opened. A custom_vjp or custom_jvp stays one
node, because its own rule is what `jax.grad` uses; so do `scan` and `cond`.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Literal, Var

from jaxbp.graph.nodes import Graph, Node

OPENED = {"jit", "closed_call", "core_call", "remat", "remat2", "checkpoint"}
REFUSED = {
    "while": "a while loop",
    "pure_callback": "a callback",
    "io_callback": "a callback",
}  # by reverse mode


@dataclass(eq=False)
class _Draft:
    """A node while the graph grows.

    `pull` is the rule by which it passes its derivative `bar` on to its parents.
    """

    operation: str
    name: str
    parents: tuple["_Draft", ...]
    value: Any
    pull: Any = None
    bar: Any = None
    depends: bool = False  # on an input

    def __post_init__(self) -> None:
        self.depends = self.operation == "input" or any(one.depends for one in self.parents)


def trace_graph(function: Callable[..., Any], *arguments: Any) -> Graph:
    """Run a function and differentiate it, operation by operation.

    Args:
        function: of arrays and pytrees of arrays, to one scalar of a floating dtype. It may use
            jit, custom_vjp, custom_jvp, remat, scan, select and where; a `cond` is one node, the
            branch taken inside it.
        *arguments: of the function; numbers, arrays, pytrees of them.

    Returns:
        The graph. Operations that the output does not depend on are left out; inputs never are.

    Raises:
        ValueError: the output is not one scalar, or the function holds a while loop or a callback,
            which reverse mode cannot pass.
        TypeError: an argument holds something that is not an array, or the output is not of a
            floating dtype.

    Examples:
        >>> import jaxbp
        >>> graph = jaxbp.trace_graph(lambda x, y: x * y + x, 3.0, 4.0)
        >>> [(node.operation, float(node.value), float(node.derivative)) for node in graph.nodes]
        [('input', 3.0, 5.0), ('input', 4.0, 3.0), ('mul', 12.0, 1.0), ('add', 15.0, 1.0)]
    """
    leaves, structure = jax.tree.flatten(arguments)
    for leaf in leaves:
        if not isinstance(leaf, (bool, int, float, complex, np.ndarray, np.generic, jax.Array)):
            raise TypeError(
                f"arguments must be arrays, numbers or pytrees of them, got {type(leaf).__name__}"
            )
    inputs = [
        _Draft("input", name, (), jnp.asarray(leaf))
        for name, leaf in zip(_names(function, arguments), leaves, strict=True)
    ]

    def flat(*leaves: Any) -> list[Any]:
        return jax.tree.leaves(function(*jax.tree.unflatten(structure, leaves)))

    closed = jax.make_jaxpr(flat)(*leaves)
    shapes = [variable.aval.shape for variable in closed.jaxpr.outvars]
    if shapes != [()]:
        raise ValueError(f"function must return one scalar to differentiate, got shapes {shapes}")
    drafts = list(inputs)
    (output,) = _run(closed.jaxpr, [_constant(value) for value in closed.consts], inputs, drafts)
    if not jnp.issubdtype(output.value.dtype, jnp.floating):
        raise TypeError(
            f"function must return a scalar of a floating dtype, got {output.value.dtype}"
        )
    _go_back(output, drafts)
    needed = _ancestors(output) | set(inputs)
    kept = [draft for draft in drafts if draft in needed]
    places = {id(draft): index for index, draft in enumerate(kept)}
    nodes = []
    for index, draft in enumerate(kept):
        parents = tuple(places[id(parent)] for parent in draft.parents)
        derivative = _derivative(draft)
        nodes.append(Node(index, draft.operation, draft.name, parents, draft.value, derivative))
    return Graph(tuple(nodes), places[id(output)])


def _names(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[str]:
    """Return the argument and the path in it for each leaf: `params[0].weight`."""
    try:
        roots = [str(name) for name in inspect.signature(function).bind(*arguments).arguments]
        roots = roots if len(roots) == len(arguments) else []
    except (TypeError, ValueError):
        roots = []
    roots = roots or [f"arguments[{i}]" for i in range(len(arguments))]
    return [
        roots[path[0].idx] + jax.tree_util.keystr(path[1:])
        for path, _ in jax.tree_util.tree_leaves_with_path(arguments)
    ]


def _run(
    jaxpr: Any, constants: Sequence[_Draft], inputs: Sequence[_Draft], drafts: list[_Draft]
) -> list[_Draft]:
    """Run a jaxpr's operations in order, add their drafts, and return those of its outputs."""
    drafts.extend(constants)
    known: dict[Var, _Draft] = dict(
        zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *inputs), strict=True)
    )

    def read(atom: Any) -> _Draft:
        if not isinstance(atom, Literal):
            return known[atom]
        drafts.append(_constant(atom.val, getattr(atom.aval, "dtype", None)))
        return drafts[-1]

    for equation in jaxpr.eqns:
        operation = equation.primitive.name
        if operation in REFUSED:
            raise ValueError(
                f"function must not hold {REFUSED[operation]}, which reverse mode cannot pass"
            )
        parents = [read(atom) for atom in equation.invars]
        if operation in OPENED:
            inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
            outputs = _run(
                getattr(inner, "jaxpr", inner),
                [_constant(value) for value in getattr(inner, "consts", ())],
                parents,
                drafts,
            )
        else:
            outputs = _apply(equation, parents)
            drafts.extend(outputs)
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, parents: list[_Draft]) -> list[_Draft]:
    """Run one operation and keep the rule of its backward pass."""
    values = [parent.value for parent in parents]
    moving = [i for i, value in enumerate(values) if _is_float(value)]
    if equation.primitive.name == "custom_vjp_call":  # its rule has nothing for enclosed arrays
        moving = [i for i in moving if parents[i].depends]

    def of_moving(*floats: Any) -> list[Any]:
        arguments = list(values)
        for i, value in zip(moving, floats, strict=True):
            arguments[i] = value
        made = equation.primitive.bind(
            *arguments, **equation.primitive.get_bind_params(equation.params)
        )
        return list(made) if equation.primitive.multiple_results else [made]

    made, pull = jax.vjp(of_moving, *(values[i] for i in moving))
    return [
        _Draft(_operation(equation), "", tuple(parents), value, (pull, moving, position, made))
        for position, value in enumerate(made)
    ]


def _operation(equation: Any) -> str:
    """Return the primitive's name; of a function with a rule of its own, the function's."""
    if equation.primitive.name not in ("custom_jvp_call", "custom_vjp_call"):
        return str(equation.primitive.name)
    inner = equation.params["call_jaxpr"]
    return str(getattr(inner, "jaxpr", inner).debug_info.func_name)


def _go_back(output: _Draft, drafts: list[_Draft]) -> None:
    """Pass derivatives from the output to the inputs, from each node to its parents."""
    output.bar = jnp.ones_like(output.value)
    for draft in reversed(drafts):
        if draft.bar is None or draft.pull is None:
            continue
        pull, moving, position, made = draft.pull
        bars = [jnp.zeros_like(value) if _is_float(value) else _no_bar(value) for value in made]
        bars[position] = draft.bar
        for i, bar in zip(moving, pull(bars), strict=True):
            parent = draft.parents[i]
            parent.bar = bar if parent.bar is None else parent.bar + bar


def _no_bar(value: Array) -> np.ndarray:
    return np.zeros(value.shape, jax.dtypes.float0)


def _ancestors(output: _Draft) -> set[_Draft]:
    found, waiting = {output}, [output]
    while waiting:
        new = set(waiting.pop().parents) - found
        found |= new
        waiting += new
    return found


def _derivative(draft: _Draft) -> Array | None:
    if not _is_float(draft.value):
        return None
    return jnp.zeros_like(draft.value) if draft.bar is None else draft.bar


def _constant(value: Any, dtype: Any = None) -> _Draft:
    return _Draft("constant", "", (), jnp.asarray(value, dtype))


def _is_float(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))
