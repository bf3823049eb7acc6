"""A trace as notebooks show it: a row for each unit, or for each layer where the units are many."""

from typing import Any

import numpy as np

from jaxbp._html import card, table
from jaxbp._text import number, summary
from jaxbp.backprop import Trace

MOST_UNITS = 30


def trace_html(trace: Trace) -> str:
    """Writes the numbers of both passes as HTML: those of each unit, or of many units and samples what they come to."""
    samples = len(trace.inputs)
    several = f", mean over {samples} samples" if samples > 1 else ""
    sizes, names = (
        "-".join(map(str, trace.mlp.sizes)),
        ", ".join(dict.fromkeys(trace.mlp.activation_names)),
    )
    title = f"both passes of {sizes}, {names}: loss {number(trace.loss)} ({trace.loss_name.replace('_', ' ')}{several})"
    few = samples == 1 and sum(trace.mlp.sizes) <= MOST_UNITS
    return card(title, table(*(_units(trace) if few else _layers(trace))))


def _units(trace: Trace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    header = ("unit", "z", "activation a", "e = dL/da", "node error δ", "dL/db", "dL/dw")
    rows: list[tuple[Any, ...]] = [
        (f"input {j + 1}", "", number(value), "", "", "", "")
        for j, value in enumerate(trace.inputs[0])
    ]
    kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
    for layer, (arrays, bar) in enumerate(
        zip(zip(*kept, strict=True), trace.gradient, strict=True), start=1
    ):
        columns = [np.asarray(array)[0] for array in arrays]
        for j, row in enumerate(zip(*columns, np.asarray(bar.bias), strict=True)):
            weights = summary(np.asarray(bar.weight)[:, j])
            rows.append((f"layer {layer}, unit {j + 1}", *map(number, row), weights))
    return header, rows


def _layers(trace: Trace) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    header = (
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
    rows = []
    for layer, name in enumerate(trace.mlp.activation_names):
        kept = (trace.preactivations, trace.activations, trace.activation_errors, trace.node_errors)
        arrays = [summary(some[layer]) for some in kept]
        rows.append(
            (
                layer + 1,
                trace.mlp.sizes[layer + 1],
                name,
                *arrays,
                *map(summary, trace.gradient[layer]),
            )
        )
    return header, rows
