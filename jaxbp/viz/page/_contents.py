"""The data of a page: network, samples, jaxbp's own numbers, recorded runs; numbers as bytes."""

import base64
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxbp._samples import as_params, check_named
from jaxbp.backprop import Trace, backprop
from jaxbp.fitting.model import Model
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params, init

MAX_TRACES = 8
MAX_UNITS, MAX_SAMPLES = 100, 512
# The network of the opening: three units and no biases, so that three numbers make the output.
OPENING_PARAMS = (([[0.6]], None), ([[1.4]], None))
OPENING_SAMPLE = ([[1.5]], [[0.2]])


def example_of(sizes: Sequence[int], weights: str | Path | None) -> tuple[Any, Any, Any]:
    """Return (mlp, params) and four samples, drawn from a fixed seed, of a network of these sizes.

    Args:
        sizes: units of each layer.
        weights: JSON of pairs [weight, bias], or an .npz file with the arrays in this order;
            without biases null in their place in JSON, and no array in .npz. Drawn unless given.

    Raises:
        ValueError: the file cannot be read, or its arrays do not fit the sizes.
    """
    pairs = _read_pairs(Path(weights), len(sizes) - 1) if weights else None
    alone = isinstance(pairs, list) and all(
        isinstance(p, list) and p[1:] and p[1] is None for p in pairs
    )
    mlp = Mlp(tuple(sizes), bias=not alone)
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((4, mlp.sizes[0])).round(2)
    targets = generator.uniform(size=(4, mlp.sizes[-1])).round(2)
    try:
        params = init(mlp, jax.random.key(0)) if pairs is None else as_params(mlp, pairs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{weights}: {error}") from error
    return (mlp, params), inputs, targets


def _read_pairs(path: Path, num_layers: int) -> Any:
    if path.suffix != ".npz":
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} must be JSON or an .npz file, got {error}") from error
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be an .npz file of numbers, got another file") from error
    if len(arrays) not in (num_layers, 2 * num_layers):
        raise ValueError(
            f"{path} must hold weight and bias of each of {num_layers} layers, or their weights "
            f"alone, got the arrays {', '.join(arrays)}"
        )
    each = [*arrays.values()]
    if len(each) == num_layers:
        return [[weight, None] for weight in each]
    return [list(pair) for pair in zip(each[::2], each[1::2], strict=True)]


def network_of(
    model: Any, inputs: Any, targets: Any
) -> tuple[Mlp, Params, Any, Any, dict[str, Any] | None]:
    """Return network, parameters, samples in its units, and the units of a `Model`."""
    if not isinstance(model, Model):
        mlp, params = model
        with jax.enable_x64(True):
            return mlp, as_params(mlp, params), inputs, targets, None
    if len(model.terms) != 1 or not isinstance(model.mlp, Mlp):
        got = len(model.terms) if len(model.terms) > 1 else model.mlp
        raise ValueError(
            f"model must have one network for a page, got {got}: pass one as (mlp, params)"
        )
    points, outputs = as_decimals(inputs), as_decimals(targets)
    if points.shape[1:] != (model.num_inputs,) or len(outputs) != len(points):
        raise ValueError(
            f"inputs and targets must be (n, {model.num_inputs}) and (n,) or (n, k) in the units "
            f"of the model, got {points.shape} and {outputs.shape}"
        )
    scale = np.broadcast_to(model.terms[0].scale, (model.mlp.sizes[-1],))
    inputs, targets = model.standardize(points, outputs)
    given, made = model.input_scaler, model.output_scaler
    units = {
        "inputs": _units(given.mean, given.scale),
        "targets": _units(made.mean, made.scale * scale),
    }
    return model.mlp, model.params, inputs, targets / scale[None], units


def _units(mean: Any, std: Any) -> list[dict[str, float]]:
    pairs = zip(*np.broadcast_arrays(mean, std), strict=True)
    return [{"mean": float(center), "std": float(spread)} for center, spread in pairs]


def check_size(mlp: Mlp, num_samples: int, loss: Loss) -> None:
    """Refuse what no page can compute or show."""
    check_named("a page", mlp, loss)
    if sum(mlp.sizes) > MAX_UNITS:
        raise ValueError(
            f"model must have at most {MAX_UNITS} units for a page, got {sum(mlp.sizes)}"
        )
    if num_samples > MAX_SAMPLES:
        raise ValueError(
            f"inputs must hold at most {MAX_SAMPLES} samples for a page, got {num_samples}: "
            "pass some of them"
        )


def data_of(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss) -> dict[str, Any]:
    """Return network, samples and jaxbp's own numbers in float64, of single samples and of all."""
    with jax.enable_x64(True):
        params, inputs = jax.tree.map(as_decimals, params), as_decimals(inputs)
        is_label = loss.labels and np.ndim(targets) == 1
        targets = np.asarray(targets) if is_label else as_decimals(targets)
        traced = jax.jit(backprop, static_argnums=(0, 4))
        whole = traced(mlp, params, inputs, targets, loss)
        number = min(len(inputs), MAX_TRACES, max(1, 600 // mlp.num_params))
        alone = [
            traced(mlp, params, inputs[s : s + 1], targets[s : s + 1], loss) for s in range(number)
        ]
    leaves = (*jax.tree.leaves(params), inputs, targets, whole.loss)
    if not all(np.isfinite(leaf).all() for leaf in leaves):
        raise ValueError(
            "params, inputs, targets and the loss must be finite, got NaN or infinity in one of "
            "them"
        )
    if targets.ndim == 1:
        targets = np.eye(mlp.sizes[-1])[targets]
    return {
        "mlp": _described(mlp),
        "numSamples": len(inputs),
        "params": _packed(jax.tree.leaves(params)),
        "inputs": _packed([inputs]),
        "targets": _packed([targets]),
        "loss": loss.name,
        "traces": [_numbers(trace, 1) for trace in alone],
        "batch": _numbers(whole, number),
    }


def as_decimals(array: Any) -> np.ndarray:
    """Cast numbers to float64; float32 to the shortest decimals that round to it, 0.1 to 0.1."""
    array = np.asarray(array)
    return (array.astype(str) if array.dtype == np.float32 else array).astype(np.float64)


def _described(mlp: Mlp) -> dict[str, Any]:
    return {"sizes": mlp.sizes, "activations": mlp.activation_names, "bias": mlp.bias}


def _numbers(trace: Trace, number: int) -> str:
    """Pack the arrays of a trace for its first samples, layer by layer, then gradient and loss."""
    layers = trace.mlp.num_layers
    kept = (
        trace.preactivations,
        trace.activations[-layers:],
        trace.activation_errors[-layers:],
        trace.node_errors,
    )
    rows = [array[:number] for arrays in kept for array in arrays]
    return _packed([*rows, *jax.tree.leaves(trace.gradient), trace.loss])


def _packed(arrays: Sequence[Any], dtype: str = "<f8") -> str:
    """Return the bytes of all arrays as text: exact, and half as long as digits."""
    flat = np.concatenate([np.asarray(array).ravel() for array in arrays])
    return base64.b64encode(flat.astype(dtype).tobytes()).decode()


def recorded(
    name: str, shown: Mlp, mlp: Mlp, steps: Sequence[tuple[int, Params]], losses: Any = None
) -> dict[str, Any]:
    """Return a run to replay, its parameters bit for bit."""
    if (mlp.sizes[0], mlp.sizes[-1]) != (shown.sizes[0], shown.sizes[-1]):
        raise ValueError(
            f"recording[{name!r}] must have the {shown.sizes[0]} inputs and {shown.sizes[-1]} "
            f"outputs of the page, got sizes {mlp.sizes}"
        )
    if not steps:
        raise ValueError(f"recording[{name!r}] must hold at least one step, got none")
    if losses is not None and len(losses) != len(steps):
        raise ValueError(
            f"recording[{name!r}] must hold a loss for each of its {len(steps)} steps, "
            f"got {len(losses)}"
        )
    leaves = [np.asarray(leaf) for _, params in steps for leaf in jax.tree.leaves(params)]
    narrow = all(leaf.dtype == np.float32 for leaf in leaves)
    kept = losses and [float(value) if np.isfinite(value) else None for value in losses]
    return {
        "mlp": _described(mlp),
        "steps": [int(step) for step, _ in steps],
        "losses": kept,
        "bits": 32 if narrow else 64,
        "params": _packed(leaves, "<f4" if narrow else "<f8"),
    }
