"""Programs that run without jaxbp: by `jax.export` with their gradient, or as ONNX.

An ONNX file is written from the jaxpr of a function: calls are opened, what does not depend on the
points is computed at once, and each operation left becomes a node of the same meaning.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend.core import ClosedJaxpr, Literal
from jax.typing import DTypeLike

from jaxbp._checks import check_count, check_name
from jaxbp._files import as_path, atomic_write

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")  # that a program can be exported for
OPSET, IR_VERSION = 18, 8  # of ONNX 1.13 (2022), which runtimes since then read
CALLS = {"jit", "closed_call", "checkpoint", "custom_jvp_call", "custom_vjp_call"}
SAME = {"copy", "copy_p", "optimization_barrier", "stop_gradient"}
NAMED_ALIKE = (
    "abs add and ceil cos div exp floor log max min mul neg not or pow sign sin sqrt sub tanh"
)
OPERATORS = {name: name.capitalize() for name in NAMED_ALIKE.split()} | {
    "eq": "Equal",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "logistic": "Sigmoid",
    "lt": "Less",
}
REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_prod": "ReduceProd", "reduce_sum": "ReduceSum"}
REWRITTEN: dict[str, Callable[..., Any]] = {
    "clamp": lambda low, x, high: jnp.minimum(jnp.maximum(x, low), high),
    "erfc": lambda x: 1 - jax.lax.erf(x),
    "expm1": lambda x: jnp.exp(x) - 1,
    "log1p": lambda x: jnp.log(1 + x),
    "ne": lambda a, b: ~(a == b),
    "square": lambda x: x * x,
}


def export_program(
    function: Callable[[Any], Any],
    num_inputs: int,
    path: str | Path,
    dtype: DTypeLike = np.float32,
    platforms: Sequence[str] | None = None,
) -> Path:
    """Write a fitted function as a program that `jax.export` runs without jaxbp, with its gradient.

    Read it with `jax.export.deserialize(bytearray(path.read_bytes()))`; `.call(points)` takes any
    number of points, and `jax.grad` of it runs the hand-written backward pass. The platforms need
    not be present to write a program for them.

    Args:
        function: points (n, num_inputs) -> outputs: a Model, or a partial of `predict`.
        num_inputs: d.
        path: the file.
        dtype: of the points.
        platforms: any of cpu, cuda, rocm and tpu; by default that of the present device.

    Returns:
        The path.

    Raises:
        ValueError: num_inputs is no positive number, or a platform is not known.
        OSError: the file cannot be written.
        ImportError: flatbuffers, in which JAX writes programs, is not installed (extra `export`).
    """
    try:
        import flatbuffers  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError(
            "export_program needs flatbuffers: pip install 'jaxbp[export]'"
        ) from error
    check_count("num_inputs", num_inputs, minimum=1)
    (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
    for position, platform in enumerate(platforms or ()):
        check_name(f"platforms[{position}]", platform, PLATFORMS)
    lower = export.export(jax.jit(lambda points: function(points)), platforms=platforms)
    program = lower(jax.ShapeDtypeStruct((batch, num_inputs), dtype))
    path = as_path(path)
    with atomic_write(path, durable=True) as partial:
        partial.write_bytes(program.serialize(vjp_order=1))
    return path


def export_onnx(
    function: Callable[[Any], Any],
    num_inputs: int,
    path: str | Path,
    dtype: DTypeLike = np.float64,
) -> Path:
    """Write a fitted function as an ONNX file, for runtimes without Python, JAX or jaxbp.

    The file has one input `points` (n, num_inputs) for any n >= 1 and one output `outputs`. It
    predicts what the function predicts up to rounding; it holds no error bars. erf, of gelu, is
    computed in float32, as onnxruntime does.

    Args:
        function: points (n, num_inputs) -> outputs: a Model, a partial of `predict`, or any
            function of elementwise operations, products, sums and selections.
        num_inputs: d.
        path: the file.
        dtype: of the points, float32 or float64.

    Returns:
        The path.

    Raises:
        ValueError: num_inputs is no positive number, or the function holds an operation that is not
            known here, such as a loop; the message names it.
        OSError: the file cannot be written.
        ImportError: onnx is not installed (extra `onnx`).
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ImportError("export_onnx needs onnx: pip install 'jaxbp[onnx]'") from error
    check_count("num_inputs", num_inputs, minimum=1)
    with jax.enable_x64(np.dtype(dtype) == np.float64):
        (batch,) = export.symbolic_shape("n", constraints=["n >= 1"])
        points = jax.ShapeDtypeStruct((batch, num_inputs), dtype)
        closed = jax.make_jaxpr(lambda points: function(points))(points)
        writer = _OnnxWriter(onnx.helper)
        (result,) = writer.run(closed, "points")
    writer.add("Identity", [result], "outputs")
    nodes, used = [], {"outputs"}
    for node in reversed(writer.nodes):
        if node.output[0] in used:
            nodes.append(node)
            used |= set(node.input)
    shapes = [
        onnx.helper.make_tensor_value_info(
            name, writer.type_of(aval), [d if isinstance(d, int) else str(d) for d in aval.shape]
        )
        for name, aval in (("points", closed.in_avals[0]), ("outputs", closed.out_avals[0]))
    ]
    weights = [
        onnx.numpy_helper.from_array(array, name)
        for name, array in writer.arrays.items()
        if name in used
    ]
    graph = onnx.helper.make_graph(nodes[::-1], "jaxbp", shapes[:1], shapes[1:], weights)
    opset = [onnx.helper.make_opsetid("", OPSET)]
    program = onnx.helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    columns = getattr(function, "names", ())
    onnx.helper.set_model_props(program, {"columns": ", ".join(columns)} if columns else {})
    onnx.checker.check_model(program, full_check=True)
    path = as_path(path)
    with atomic_write(path, durable=True) as partial:
        partial.write_bytes(program.SerializeToString())
    return path


def _refused(what: str) -> ValueError:
    return ValueError(f"function must hold operations known to export_onnx, got {what}")


class _OnnxWriter:
    """Nodes of a jaxpr; a value is a NumPy array, or the name of a node if it depends on points."""

    def __init__(self, helper: Any) -> None:
        self.helper = helper
        self.nodes: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self.num_points = self.add("Shape", ["points"], start=0, end=1)

    def type_of(self, aval: Any) -> int:
        """The number of a dtype in ONNX."""
        return int(self.helper.np_dtype_to_tensor_dtype(np.dtype(aval.dtype)))

    def add(self, operator: str, inputs: Sequence[Any], name: str = "", **attributes: Any) -> str:
        """Append a node, and return the name of its output."""
        names = []
        for one in inputs:
            names.append(one if isinstance(one, str) else f"constant_{len(self.arrays)}")
            if not isinstance(one, str):
                self.arrays[names[-1]] = np.asarray(one)
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(self.helper.make_node(operator, names, [name], **attributes))
        return name

    def run(self, closed: Any, *inputs: Any) -> list[Any]:
        """Write the nodes of a jaxpr; returns its outputs."""
        jaxpr = closed.jaxpr
        given = [*map(np.asarray, closed.consts), *inputs]
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], given, strict=True))

        def value(atom: Any) -> Any:
            if isinstance(atom, Literal):
                aval: Any = atom.aval
                return np.asarray(atom.val, aval.dtype)
            return values[atom]

        for equation in jaxpr.eqns:
            found = self._equation(equation, [value(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, found, strict=True))
        return [value(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, values: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        if name in CALLS:
            inner = params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"]
            return self.run(inner if hasattr(inner, "consts") else ClosedJaxpr(inner, ()), *values)
        if name in SAME:
            return values
        fixed = all(isinstance(d, int) for out in equation.outvars for d in out.aval.shape)
        if fixed and not any(isinstance(one, str) for one in values):
            found = equation.primitive.bind(*values, **params)
            found = found if equation.primitive.multiple_results else [found]
            return [np.asarray(one) for one in found]
        if name in REWRITTEN:
            avals = [atom.aval for atom in equation.invars]
            return self.run(jax.make_jaxpr(REWRITTEN[name])(*avals), *values)
        if name in OPERATORS:
            return [self.add(OPERATORS[name], values)]
        if name in REDUCTIONS:
            axes = np.asarray(params["axes"], np.int64)
            return [self.add(REDUCTIONS[name], [*values, axes], keepdims=0)]
        write = getattr(self, f"_{name}", None)
        if write is None:
            raise _refused(name)
        written = write(equation, *values)
        return written if isinstance(written, list) else [written]

    def _reshaped(self, value: Any, shape: Sequence[Any]) -> str:
        """A shape with one size at most that depends on n, which ONNX finds."""
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        if sizes.count(-1) > 1:
            raise _refused(f"an array of shape {shape}")
        return self.add("Reshape", [value, np.asarray(sizes, np.int64)])

    def _reshape(self, equation: Any, value: Any) -> str:
        return self._reshaped(value, equation.outvars[0].aval.shape)

    _squeeze = _reshape

    def _broadcast_in_dim(self, equation: Any, value: Any, *sizes: Any) -> str:
        shape, came = equation.outvars[0].aval.shape, equation.invars[0].aval.shape
        placed = [1] * len(shape)
        for place, size in zip(equation.params["broadcast_dimensions"], came, strict=True):
            placed[place] = size
        # Sizes of 1 leave those of the value as they are.
        missing = [1 if old == new else new for old, new in zip(placed, shape, strict=True)]
        value = value if placed == list(came) else self._reshaped(value, placed)
        if all(isinstance(size, int) and size == 1 for size in missing):
            return value
        if any(not isinstance(size, int) and str(size) != "n" for size in missing):
            raise _refused(f"an array of shape {shape}")
        parts = [
            np.asarray([size], np.int64) if isinstance(size, int) else self.num_points
            for size in missing
        ]
        return self.add("Expand", [value, self.add("Concat", parts, axis=0)])

    def _transpose(self, equation: Any, value: Any) -> str:
        return self.add("Transpose", [value], perm=list(equation.params["permutation"]))

    def _concatenate(self, equation: Any, *values: Any) -> str:
        return self.add("Concat", values, axis=equation.params["dimension"])

    def _unstack(self, equation: Any, value: Any) -> list[str]:
        places = range(len(equation.outvars))
        axis = equation.params["axis"]
        return [self.add("Gather", [value, np.int64(place)], axis=axis) for place in places]

    def _slice(self, equation: Any, value: Any) -> str:
        names = ("start_indices", "limit_indices", "strides")
        return self._sliced(equation, value, *(equation.params[name] for name in names))

    def _sliced(self, equation: Any, value: Any, starts: Any, stops: Any, steps: Any = None) -> str:
        """Along an axis whose size depends on n only the whole axis."""
        for start, stop, size in zip(starts, stops, equation.invars[0].aval.shape, strict=True):
            if not isinstance(size, int) and (start, stop) != (0, size):
                raise _refused("a slice of the points")
        last = [stop if isinstance(stop, int) else np.iinfo(np.int64).max for stop in stops]
        bounds = [starts, last, range(len(last)), steps or [1] * len(last)]
        return self.add("Slice", [value, *(np.asarray(list(one), np.int64) for one in bounds)])

    def _select_n(self, equation: Any, which: Any, *cases: Any) -> str:
        if len(cases) != 2 or equation.invars[0].aval.dtype != bool:
            raise _refused("a selection by a number")
        return self.add("Where", [which, cases[1], cases[0]])

    def _integer_pow(self, equation: Any, value: Any) -> str:
        power = np.asarray(equation.params["y"], equation.invars[0].aval.dtype)
        return self.add("Pow", [value, power])

    def _convert_element_type(self, equation: Any, value: Any) -> str:
        return self.add("Cast", [value], to=self.type_of(equation.outvars[0].aval))

    def _erf(self, equation: Any, value: Any) -> str:
        single = self.add("Cast", [value], to=self.type_of(np.zeros(0, np.float32)))
        return self._convert_element_type(equation, self.add("Erf", [single]))

    def _dot_general(self, equation: Any, left: Any, right: Any) -> str:
        contracted, batch = equation.params["dimension_numbers"]
        ranks = [len(atom.aval.shape) for atom in equation.invars]
        if ranks == [2, 2] and not batch[0] and (*contracted[0], *contracted[1]) == (1, 0):
            return self.add("MatMul", [left, right])
        letters = iter(ascii_lowercase)
        first = [next(letters) for _ in range(ranks[0])]
        second = [next(letters) for _ in range(ranks[1])]
        for mine, theirs in zip(
            (*contracted[0], *batch[0]), (*contracted[1], *batch[1]), strict=True
        ):
            second[theirs] = first[mine]
        shared = [first[axis] for axis in batch[0]]
        summed = {first[axis] for axis in contracted[0]}
        kept = [one for one in (*first, *second) if one not in summed and one not in shared]
        text = f"{''.join(first)},{''.join(second)}->{''.join(shared + kept)}"
        return self.add("Einsum", [left, right], equation=text)

    def _gather(self, equation: Any, value: Any, places: Any) -> str:
        """A slice, value[:, 1], or rows of the first axis, value[places]."""
        numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
        shape, indices = (atom.aval.shape for atom in equation.invars)
        if len(indices) == 1 and not isinstance(places, str):
            starts = [0] * len(shape)
            for axis, place in zip(numbers.start_index_map, places.tolist(), strict=True):
                starts[axis] = place
            stops = [start + size for start, size in zip(starts, sizes, strict=True)]
            return self._reshape(equation, self._sliced(equation, value, starts, stops))
        rows = numbers.start_index_map == (0,) == numbers.collapsed_slice_dims
        rows = rows and sizes[1:] == shape[1:] and len(indices) == 2
        if not rows or numbers.offset_dims != tuple(range(1, len(shape))):
            raise _refused("a gather of other than rows")
        return self.add("Gather", [value, self._reshaped(places, indices[:1])], axis=0)
