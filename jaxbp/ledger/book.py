"""The ledger of a trace: each number of both passes with its formula and autodiff's value.

Nodes are numbered consecutively, the inputs first; w84 is the weight from node 4 to node 8, b8 the
bias of node 8. With

    z preactivation, a activation, p probability, e = dL/da activation error, d = dL/dz node error

the forward pass has rows z8 and a8 (and p8 with a loss on logits), step 1 has e8 and d8, and step 2
has dL/dw84 and dL/db8.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxbp._text import number
from jaxbp.backprop import Trace
from jaxbp.gradcheck.traces import autodiff_of, check_concrete
from jaxbp.ledger.entries import Entry, Ledger

DEAD = "dead for this sample: slope 0, nothing passes"
DEAD_FOR_ALL = "dead for all samples: slope 0, its weights do not change"
MAX_DIGITS = 10


def make_ledger(trace: Trace, *, source_first: bool = False) -> Ledger:
    """Write every number of a trace out; see `Trace.ledger`."""
    check_concrete(trace)
    book, layers = _Book(trace, source_first), range(trace.mlp.num_layers)
    entries = [
        *(entry for layer in layers for entry in book.forward_entries(layer)),
        *book.probability_entries(),
        *(entry for layer in reversed(layers) for entry in book.error_entries(layer)),
        *book.input_entries(),
        *(entry for layer in reversed(layers) for entry in book.gradient_entries(layer)),
    ]
    return Ledger(tuple(entries), book.digits)


class _Book:
    """The numbers of a trace on the host, and the names of its nodes; layers count from 0."""

    def __init__(self, trace: Trace, source_first: bool) -> None:
        autodiff = autodiff_of(trace)
        self.mlp, self.loss, self.source_first = trace.mlp, trace.loss_function, source_first
        self.digits = min(MAX_DIGITS, jnp.finfo(trace.inputs.dtype).precision)
        self.params, self.gradient = _host(trace.params), _host(trace.gradient)
        self.expected_gradient = _host(autodiff.gradient)
        self.z, self.d = _host(trace.preactivations), _host(trace.node_errors)
        self.expected_d = _host(autodiff.node_errors)
        self.a = _host((trace.inputs, *trace.activations))
        self.e = _host((trace.inputs_error, *trace.activation_errors))
        self.expected_e = _host((autodiff.inputs_error, *autodiff.activation_errors))
        self.slopes = [
            np.asarray(activation.slope(z, a))
            for activation, z, a in zip(
                trace.mlp.activations, trace.preactivations, trace.activations, strict=True
            )
        ]
        self.p = None if trace.probabilities is None else np.asarray(trace.probabilities)
        self.targets = np.asarray(trace.targets)
        if self.targets.ndim == 1:
            self.targets = np.arange(self.mlp.sizes[-1]) == self.targets[:, np.newaxis]
        self.samples = range(len(self.a[0]))
        self.comma = "," if sum(self.mlp.sizes) > 9 else ""

    def nodes(self, layer: int) -> range:
        """The numbers of the nodes of a layer, 0 being the inputs."""
        first = 1 + sum(self.mlp.sizes[:layer])
        return range(first, first + self.mlp.sizes[layer])

    def of(self, sample: int) -> str:
        return f"[{sample}]" if len(self.samples) > 1 else ""

    def weight(self, target: int, source: int) -> str:
        ends = (source, target) if self.source_first else (target, source)
        return f"w{ends[0]}{self.comma}{ends[1]}"

    def number(self, value: Any) -> str:
        """A number as it stands in a formula, in parentheses if it is negative."""
        text = number(float(value), min(6, self.digits))
        return f"({text})" if text.startswith("-") else text

    def products(self, left: np.ndarray, right: np.ndarray) -> str:
        pairs = zip(left, right, strict=True)
        return _sum(f"{self.number(a)} × {self.number(b)}" for a, b in pairs)

    def forward_entries(self, layer: int) -> Iterator[Entry]:
        (weight, bias), name = self.params[layer], self.mlp.activation_names[layer]
        for sample in self.samples:
            s, inputs = self.of(sample), self.a[layer][sample]
            for j, node in enumerate(self.nodes(layer + 1)):
                formula = _sum(
                    f"{self.weight(node, source)} a{source}{s}" for source in self.nodes(layer)
                )
                terms, factors = self.products(weight[:, j], inputs), [*weight[:, j], *inputs]
                if bias is not None:
                    formula, terms = f"{formula} + b{node}", f"{terms} + {self.number(bias[j])}"
                    factors.append(bias[j])
                z, a = float(self.z[layer][sample, j]), float(self.a[layer + 1][sample, j])
                yield Entry("forward", f"z{node}{s}", formula, _floats(factors), terms, z, None)
                value, note = f"{name}({number(z, min(6, self.digits))})", self.twin(layer, j)
                yield Entry(
                    "forward", f"a{node}{s}", f"{name}(z{node}{s})", (z,), value, a, None, note
                )

    def twin(self, layer: int, j: int) -> str:
        """Name the first other hidden unit of the layer with the same weights in and out."""
        if layer == self.mlp.num_layers - 1:
            return ""
        (weight, bias), outgoing = self.params[layer], self.params[layer + 1][0]
        biases = [] if bias is None else [bias[np.newaxis, :]]
        ways = np.concatenate([weight, *biases, outgoing.T]).T
        same = np.flatnonzero((ways == ways[j]).all(axis=1))
        others = [self.nodes(layer + 1)[k] for k in same if k != j]
        return f"same weights as node {others[0]}: the two stay alike" if others else ""

    def probability_entries(self) -> Iterator[Entry]:
        """The probabilities of a loss on logits."""
        if self.p is None:
            return
        elementwise = self.loss.probabilities is jax.nn.sigmoid
        last = self.nodes(self.mlp.num_layers)
        for sample in self.samples:
            s, outputs = self.of(sample), self.a[-1][sample]
            powers = _sum(f"exp(a{node}{s})" for node in last)
            numbers = _sum(f"exp({self.number(output)})" for output in outputs)
            for j, node in enumerate(last):
                formula, terms = f"sigmoid(a{node}{s})", f"sigmoid({self.number(outputs[j])})"
                if not elementwise:
                    formula = f"exp(a{node}{s}) / ({powers})"
                    terms = f"exp({self.number(outputs[j])}) / ({numbers})"
                read = outputs[j : j + 1] if elementwise else outputs
                value = float(self.p[sample, j])
                yield Entry("forward", f"p{node}{s}", formula, _floats(read), terms, value, None)

    def error_entries(self, layer: int) -> Iterator[Entry]:
        slope_formula = self.mlp.activations[layer].formula
        for sample in self.samples:
            s = self.of(sample)
            for j, node in enumerate(self.nodes(layer + 1)):
                yield from self.activation_error(layer + 1, sample, j, node)
                e, d = float(self.e[layer + 1][sample, j]), float(self.d[layer][sample, j])
                slope = float(self.slopes[layer][sample, j])
                formula = f"e{node}{s} {slope_formula.format(a=f'a{node}{s}', z=f'z{node}{s}')}"
                terms = f"{self.number(e)} × {self.number(slope)}"
                expected = float(self.expected_d[layer][sample, j])
                everywhere = len(self.samples) > 1 and not self.slopes[layer][:, j].any()
                note = "" if slope else DEAD_FOR_ALL if everywhere else DEAD
                yield Entry("step 1", f"d{node}{s}", formula, (e, slope), terms, d, expected, note)

    def input_entries(self) -> Iterator[Entry]:
        """dL/d(input) of each input."""
        for sample in self.samples:
            for j, node in enumerate(self.nodes(0)):
                yield from self.activation_error(0, sample, j, node)

    def activation_error(self, layer: int, sample: int, j: int, node: int) -> Iterator[Entry]:
        """dL/da of a node: the gradient of the loss, or a sum over the next layer's node errors."""
        s = self.of(sample)
        if layer == self.mlp.num_layers:
            formula, factors, terms = self.output_error(sample, j, node)
        else:
            weights, errors = self.params[layer][0][j], self.d[layer][sample]
            formula = _sum(f"d{k}{s} {self.weight(k, node)}" for k in self.nodes(layer + 1))
            factors, terms = _floats((*errors, *weights)), self.products(errors, weights)
        e, expected = float(self.e[layer][sample, j]), float(self.expected_e[layer][sample, j])
        yield Entry("step 1", f"e{node}{s}", formula, factors, terms, e, expected)

    def output_error(self, sample: int, j: int, node: int) -> tuple[str, tuple[float, ...], str]:
        """The gradient of the loss, a mean over the samples, in an output."""
        s, output, target = self.of(sample), self.a[-1][sample, j], self.targets[sample, j]
        probability = None if self.p is None else self.p[sample, j]
        formula = self.loss.formula
        if len(self.samples) > 1:
            formula = f"({formula}) / {len(self.samples)}"
        names = {"a": f"a{node}{s}", "y": f"y{j + 1}{s}", "p": f"p{node}{s}"}
        values = {"a": output, "y": target, "p": 0 if probability is None else probability}
        numbers = {name: self.number(value) for name, value in values.items()}
        factors = _floats((output if probability is None else probability, target))
        k = self.mlp.sizes[-1]
        return formula.format(k=k, **names), factors, formula.format(k=k, **numbers)

    def gradient_entries(self, layer: int) -> Iterator[Entry]:
        (weight, bias), (expected_weight, expected_bias) = (
            self.gradient[layer],
            self.expected_gradient[layer],
        )
        inputs, errors = self.a[layer], self.d[layer]
        for j, node in enumerate(self.nodes(layer + 1)):
            d = [f"d{node}{self.of(sample)}" for sample in self.samples]
            for i, source in enumerate(self.nodes(layer)):
                formula = _sum(f"a{source}{self.of(sample)} {d[sample]}" for sample in self.samples)
                factors = _floats((*inputs[:, i], *errors[:, j]))
                terms = self.products(inputs[:, i], errors[:, j])
                value, expected = float(weight[i, j]), float(expected_weight[i, j])
                name = f"dL/d{self.weight(node, source)}"
                yield Entry("step 2", name, formula, factors, terms, value, expected)
            if bias is not None:
                terms, factors = _sum(map(self.number, errors[:, j])), _floats(errors[:, j])
                value, expected = float(bias[j]), float(expected_bias[j])
                yield Entry("step 2", f"dL/db{node}", _sum(d), factors, terms, value, expected)


def _host(tree: Any) -> Any:
    """The arrays of a pytree in NumPy."""
    return jax.tree.map(np.asarray, tree)


def _floats(numbers: Iterable[Any]) -> tuple[float, ...]:
    return tuple(map(float, numbers))


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms)
