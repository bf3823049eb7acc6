"""The ledger of a trace: one row for each number of both passes, with its formula and what autodiff
has for it.

Nodes are numbered through, the inputs first; w84 is the weight from node 4 to node 8, b8 the bias
of node 8. With

    z the preactivation, a the activation, e = dL/da the activation error, d = dL/dz the node error

the forward pass has rows z8 and a8, step 1 has e8 and d8, and step 2 has dL/dw84 and dL/db8.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxbp.backprop import Trace
from jaxbp.gradcheck.traces import Derivatives, autodiff_of, check_concrete
from jaxbp.ledger.entries import Entry, Ledger


def make_ledger(trace: Trace) -> Ledger:
    """Writes every number of a trace out: its formula, the factors, what autodiff has for it, the
    difference.

    Args:
        trace: what `backprop` returned, with concrete numbers.

    Returns:
        The ledger, in the order in which the passes run: forward, step 1, step 2.

    Raises:
        ValueError: the trace holds traced values, as inside jit, or those of several batches, as
            from vmap.
    """
    check_concrete(trace)
    book, layers = _Book(trace, autodiff_of(trace)), range(trace.mlp.num_layers)
    entries = [entry for layer in layers for entry in book.forward_entries(layer)]
    entries += [entry for layer in reversed(layers) for entry in book.error_entries(layer)]
    entries += [entry for layer in reversed(layers) for entry in book.gradient_entries(layer)]
    return Ledger(tuple(entries))


class _Book:
    """A trace's numbers on the host, and the names of its nodes; layers are counted from 0 here."""

    def __init__(self, trace: Trace, autodiff: Derivatives) -> None:
        self.mlp, self.loss = trace.mlp, trace.loss_function
        self.params, self.gradient, self.expected = (
            [(np.asarray(weight), np.asarray(bias)) for weight, bias in some]
            for some in (trace.params, trace.gradient, autodiff.gradient)
        )
        self.z, self.e, self.d, self.expected_e, self.expected_d = (
            [np.asarray(array) for array in some]
            for some in (trace.preactivations, trace.activation_errors, trace.node_errors,
                         autodiff.activation_errors, autodiff.node_errors)
        )  # fmt: skip
        self.a = [np.asarray(array) for array in (trace.inputs, *trace.activations)]
        self.slopes = [
            np.asarray(activation.slope(z, a))
            for activation, z, a in zip(
                trace.mlp.activations, trace.preactivations, trace.activations, strict=True
            )
        ]
        self.targets = np.asarray(trace.targets)
        self.samples = range(len(self.a[0]))
        sizes = trace.mlp.sizes
        self.first = [
            1 + sum(sizes[:layer]) for layer in range(len(sizes))
        ]  # number of each layer's first node
        self.comma = "," if sum(sizes) > 9 else ""

    def nodes(self, layer: int) -> range:
        return range(self.first[layer], self.first[layer] + self.mlp.sizes[layer])

    def of(self, sample: int) -> str:
        return f"[{sample}]" if len(self.samples) > 1 else ""

    def weight(self, target: int, source: int) -> str:
        return f"w{target}{self.comma}{source}"

    def forward_entries(self, layer: int) -> Iterator[Entry]:
        (weight, bias), name = self.params[layer], self.mlp.activation_names[layer]
        for sample in self.samples:
            s, inputs = self.of(sample), self.a[layer][sample]
            for j, target in enumerate(self.nodes(layer + 1)):
                formula = _sum(
                    f"{self.weight(target, source)} a{source}{s}" for source in self.nodes(layer)
                )
                terms = _products(weight[:, j], inputs)
                z, a = float(self.z[layer][sample, j]), float(self.a[layer + 1][sample, j])
                factors = (*map(float, weight[:, j]), *map(float, inputs), float(bias[j]))
                named = f"{formula} + b{target}", factors, f"{terms} + {_n(bias[j])}"
                yield Entry("forward", f"z{target}{s}", *named, z, None)
                yield Entry(
                    "forward",
                    f"a{target}{s}",
                    f"{name}(z{target}{s})",
                    (z,),
                    f"{name}({z:.6g})",
                    a,
                    None,
                )

    def error_entries(self, layer: int) -> Iterator[Entry]:
        slope_formula = self.mlp.activations[layer].formula
        for sample in self.samples:
            s = self.of(sample)
            for j, node in enumerate(self.nodes(layer + 1)):
                e, d, slope = (
                    float(array[layer][sample, j]) for array in (self.e, self.d, self.slopes)
                )
                last = layer == self.mlp.num_layers - 1
                named = (
                    self._output_error(sample, j, node)
                    if last
                    else self._hidden_error(layer, sample, j, node)
                )
                yield Entry(
                    "step 1", f"e{node}{s}", *named, e, float(self.expected_e[layer][sample, j])
                )
                formula = f"e{node}{s} {slope_formula.format(a=f'a{node}{s}', z=f'z{node}{s}')}"
                named = formula, (e, slope), f"{_n(e)} × {_n(slope)}"
                yield Entry(
                    "step 1", f"d{node}{s}", *named, d, float(self.expected_d[layer][sample, j])
                )

    def _output_error(self, sample: int, j: int, node: int) -> tuple[str, tuple[float, ...], str]:
        """The gradient of the loss, a mean over the samples."""
        s, outputs, formula = self.of(sample), self.a[-1][sample], self.loss.formula
        target = float(
            j == self.targets[sample] if self.targets.ndim == 1 else self.targets[sample, j]
        )
        exponentials = _sum(f"exp(a{other}{s})" for other in self.nodes(self.mlp.num_layers))
        if len(self.samples) > 1:
            formula = f"({formula}) / {len(self.samples)}"
        names = {"a": f"a{node}{s}", "y": f"y{j + 1}{s}", "k": outputs.size, "sum": exponentials}
        powers = _sum(f"exp({output:.6g})" for output in outputs)
        numbers = {"a": f"{outputs[j]:.6g}", "y": _n(target), "k": outputs.size, "sum": powers}
        read = outputs if "{sum}" in formula else outputs[j : j + 1]
        return formula.format(**names), (*map(float, read), target), formula.format(**numbers)

    def _hidden_error(
        self, layer: int, sample: int, j: int, node: int
    ) -> tuple[str, tuple[float, ...], str]:
        """A sum over the next layer's node errors."""
        s, weights, errors = (
            self.of(sample),
            self.params[layer + 1][0][j],
            self.d[layer + 1][sample],
        )
        formula = _sum(f"d{k}{s} {self.weight(k, node)}" for k in self.nodes(layer + 2))
        return formula, (*map(float, errors), *map(float, weights)), _products(errors, weights)

    def gradient_entries(self, layer: int) -> Iterator[Entry]:
        (weight, bias), (expected_weight, expected_bias) = (
            self.gradient[layer],
            self.expected[layer],
        )
        inputs, errors = self.a[layer], self.d[layer]
        for j, target in enumerate(self.nodes(layer + 1)):
            for i, source in enumerate(self.nodes(layer)):
                formula = _sum(f"a{source}{self.of(k)} d{target}{self.of(k)}" for k in self.samples)
                factors = (*map(float, inputs[:, i]), *map(float, errors[:, j]))
                named = (
                    f"dL/d{self.weight(target, source)}",
                    formula,
                    factors,
                    _products(inputs[:, i], errors[:, j]),
                )
                yield Entry("step 2", *named, float(weight[i, j]), float(expected_weight[i, j]))
            formula, terms = (
                _sum(f"d{target}{self.of(k)}" for k in self.samples),
                _sum(map(_n, errors[:, j])),
            )
            named = f"dL/db{target}", formula, tuple(map(float, errors[:, j])), terms
            yield Entry("step 2", *named, float(bias[j]), float(expected_bias[j]))


def _sum(terms: Iterable[str]) -> str:
    return " + ".join(terms)


def _products(left: np.ndarray, right: np.ndarray) -> str:
    return _sum(f"{_n(a)} × {_n(b)}" for a, b in zip(left, right, strict=True))


def _n(number: float) -> str:
    """A number as it stands in a formula: six digits, in parentheses if it is negative."""
    text = f"{float(number):.6g}"
    return f"({text})" if text.startswith("-") else text
