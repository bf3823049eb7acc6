"""What a page holds as data: network, samples, jaxbp's own numbers, recorded runs; all numbers as their bytes."""

import base64
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp.backprop import Trace, backprop
from jaxbp.fitting.model import Model
from jaxbp.losses import Loss
from jaxbp.params import Mlp, Params

MAX_TRACES = 8


def network_of(model: Any, inputs: Any, targets: Any) -> tuple[Mlp, Params, Any, Any]:
    """The network of a pair, or of a model with one term, and the samples in the units that it computes in."""
    if not isinstance(model, Model):
        return *model, inputs, targets
    if len(model.terms) != 1:
        raise ValueError(
            f"model must have one network for a page, got {len(model.terms)}: pass one as (mlp, params)"
        )
    points, outputs = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    if points.shape[1:] != (model.num_inputs,) or len(outputs) != len(points):
        raise ValueError(
            f"inputs and targets must be (n, {model.num_inputs}) and (n,) or (n, k) in the units of the model, "
            f"got {points.shape} and {outputs.shape}"
        )
    inputs, targets = model.standardize(points, outputs)
    return model.mlp, model.params, inputs, targets / model.terms[0].scale


def data_of(mlp: Mlp, params: Params, inputs: Any, targets: Any, loss: Loss) -> dict[str, Any]:
    """The network, its samples, and jaxbp's own numbers in float64: of some samples by themselves, and of all."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        inputs = np.asarray(inputs, np.float64)
        targets = np.asarray(targets) if loss.labels else np.asarray(targets, np.float64)
        traced = jax.jit(backprop, static_argnums=(0, 4))
        whole = traced(mlp, params, inputs, targets, loss)
        number = min(len(inputs), MAX_TRACES, max(1, 600 // mlp.num_params))
        alone = [
            traced(mlp, params, inputs[s : s + 1], targets[s : s + 1], loss) for s in range(number)
        ]
    if not all(
        np.isfinite(leaf).all() for leaf in (*jax.tree.leaves(params), inputs, targets, whole.loss)
    ):
        raise ValueError(
            "params, inputs, targets and the loss must be finite, got NaN or infinity in one of them"
        )
    if targets.ndim == 1:
        targets = np.eye(mlp.sizes[-1])[targets]
    return {
        "mlp": {"sizes": mlp.sizes, "activations": mlp.activation_names},
        "numSamples": len(inputs),
        "params": _packed(jax.tree.leaves(params)),
        "inputs": _packed([inputs]),
        "targets": _packed([targets]),
        "loss": loss.name,
        "traces": [_numbers(trace, 1) for trace in alone],
        "batch": _numbers(whole, number),
    }


def _numbers(trace: Trace, number: int) -> str:
    """A trace for its first samples: its arrays layer by layer, one after the other, then gradient and loss."""
    kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    rows = [array[:number] for arrays in kept for array in arrays]
    return _packed([*rows, *jax.tree.leaves(trace.gradient), trace.loss])


def _packed(arrays: Sequence[Any], dtype: str = "<f8") -> str:
    """The bytes of all arrays after each other, as text: exact, and half as long as digits."""
    flat = np.concatenate([np.asarray(array).ravel() for array in arrays])
    return base64.b64encode(flat.astype(dtype).tobytes()).decode()


def recorded(
    name: str, shown: Mlp, mlp: Mlp, steps: Sequence[tuple[int, Params]], losses: Any = None
) -> dict[str, Any]:
    """A run to replay: the parameters of each step as they are in memory, so that they come back to the last bit."""
    if (mlp.sizes[0], mlp.sizes[-1]) != (shown.sizes[0], shown.sizes[-1]):
        raise ValueError(
            f"recording[{name!r}] must have the {shown.sizes[0]} inputs and {shown.sizes[-1]} outputs of the page, "
            f"got sizes {mlp.sizes}"
        )
    if not steps:
        raise ValueError(f"recording[{name!r}] must hold at least one step, got none")
    if losses is not None and len(losses) != len(steps):
        raise ValueError(
            f"recording[{name!r}] must hold a loss for each of its {len(steps)} steps, got {len(losses)}"
        )
    leaves = [np.asarray(leaf) for _, params in steps for leaf in jax.tree.leaves(params)]
    narrow = all(leaf.dtype == np.float32 for leaf in leaves)
    return {
        "mlp": {"sizes": mlp.sizes, "activations": mlp.activation_names},
        "steps": [int(step) for step, _ in steps],
        "losses": None
        if losses is None
        else [float(value) if np.isfinite(value) else None for value in losses],
        "bits": 32 if narrow else 64,
        "params": _packed(leaves, "<f4" if narrow else "<f8"),
    }
