"""A trace in a notebook: a row for each unit, or for each layer of a larger network."""

from typing import Any

import numpy as np

from jaxbp._html import card, table
from jaxbp._text import number, summary
from jaxbp.backprop import Trace

MAX_UNITS = 30
UNIT_HEADER = ("unit", "z", "activation a", "e = dL/da", "node error δ", "dL/db", "dL/dw")
LAYER_HEADER = (
    "layer",
    "units",
    "phi",
    "z",
    "activation a",
    "e = dL/da",
    "node error δ",
    "dL/dW",
    "dL/db",
)


def trace_html(trace: Trace) -> str:
    """Return the numbers of each unit as HTML, or those of each layer for large networks."""
    num_samples, mlp = len(trace.inputs), trace.mlp
    mean = f", mean over {num_samples} samples" if num_samples > 1 else ""
    loss = f"loss {number(trace.loss)} ({trace.loss_name.replace('_', ' ')}{mean})"
    names = ", ".join(dict.fromkeys(mlp.activation_names))
    title = f"both passes of {'-'.join(map(str, mlp.sizes))}, {names}: {loss}"
    few = num_samples == 1 and sum(mlp.sizes) <= MAX_UNITS
    header, rows = (UNIT_HEADER, _units(trace)) if few else (LAYER_HEADER, _layers(trace))
    return card(title, table(header, rows))


def _units(trace: Trace) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [
        (f"input {j + 1}", "", number(value), number(error), "", "", "")
        for j, (value, error) in enumerate(zip(trace.inputs[0], trace.inputs_error[0], strict=True))
    ]
    for layer, bar in enumerate(trace.gradient):
        columns = [np.asarray(some[layer])[0] for some in _kept(trace)]
        for j, row in enumerate(zip(*columns, strict=True)):
            bias = "" if bar.bias is None else number(bar.bias[j])
            weights = summary(np.asarray(bar.weight)[:, j])
            rows.append((f"layer {layer + 1}, unit {j + 1}", *map(number, row), bias, weights))
    return rows


def _layers(trace: Trace) -> list[tuple[Any, ...]]:
    rows = []
    for layer, (name, (weight, bias)) in enumerate(
        zip(trace.mlp.activation_names, trace.gradient, strict=True)
    ):
        cells = [summary(some[layer]) for some in _kept(trace)]
        gradient = (summary(weight), "" if bias is None else summary(bias))
        rows.append((layer + 1, trace.mlp.sizes[layer + 1], name, *cells, *gradient))
    return rows


def _kept(trace: Trace) -> tuple[tuple[Any, ...], ...]:
    return trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors
