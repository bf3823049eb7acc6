"""The ledger of a trace: one row for each number of both passes, with its formula and what autodiff has for it.

Nodes are numbered through, the inputs first; w84 is the weight from node 4 to node 8, b8 the bias of node 8. With

    z the preactivation, a the activation, e = dL/da the activation error, d = dL/dz the node error

the forward pass has rows z8 and a8, step 1 has e8 and d8, and step 2 has dL/dw84 and dL/db8.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxbp.ledger.entries import Entry, Ledger

SLOPES = {  # phi'(z), in the words of a and z
    "identity": "1",
    "relu": "[a{} > 0]",
    "leaky_relu": "[a{} >= 0 ? 1 : 0.01]",
    "sigmoid": "a{0} (1 - a{0})",
    "tanh": "1 - a{}^2",
    "softplus": "1 - exp(-a{})",
}


def make_ledger(trace: Any, slopes: Any, layers: Any, to_preactivations: Any, to_activations: Any) -> Ledger:
    """Writes a trace out.

    Args:
        trace: the trace, with concrete numbers.
        slopes: phi_l'(Z_l) (n, n_l) of each layer.
        layers: autodiff's gradient, of the structure of the parameters.
        to_preactivations: autodiff's dL/dZ_l (n, n_l).
        to_activations: autodiff's dL/dA_l (n, n_l).

    Returns:
        The ledger.
    """
    book = _Book(trace, slopes)
    entries = [*book.forward_entries()]
    for position in reversed(range(trace.mlp.num_layers)):
        entries += book.error_entries(
            position, np.asarray(to_activations[position]), np.asarray(to_preactivations[position])
        )
    for position in reversed(range(trace.mlp.num_layers)):
        entries += book.gradient_entries(position, layers[position])
    return Ledger(tuple(entries))


class _Book:
    """A trace's numbers on the host, and the names of its nodes."""

    def __init__(self, trace: Any, slopes: Any) -> None:
        self.mlp, self.loss = trace.mlp, trace.loss_name
        self.params = [(np.asarray(weight), np.asarray(bias)) for weight, bias in trace.params]
        self.gradient = [(np.asarray(weight), np.asarray(bias)) for weight, bias in trace.gradient]
        self.z, self.e, self.d = (
            [np.asarray(x) for x in some] for some in (trace.preactivations, trace.activation_errors, trace.node_errors)
        )
        self.a = [np.asarray(x) for x in (trace.inputs, *trace.activations)]
        self.slopes = [np.asarray(slope) for slope in slopes]
        self.targets = np.asarray(trace.targets)
        self.num_samples = len(self.a[0])
        sizes = trace.mlp.sizes
        self.first = [1 + sum(sizes[:layer]) for layer in range(len(sizes))]  # number of each layer's first node
        self.comma = "," if sum(sizes) > 9 else ""

    def nodes(self, layer: int) -> range:
        return range(self.first[layer], self.first[layer] + self.mlp.sizes[layer])

    def of(self, sample: int) -> str:
        return f"[{sample}]" if self.num_samples > 1 else ""

    def weight(self, target: int, source: int) -> str:
        return f"w{target}{self.comma}{source}"

    def forward_entries(self) -> Iterator[Entry]:
        for position, name in enumerate(self.mlp.activation_names):
            weight, bias = self.params[position]
            sources, targets = self.nodes(position), self.nodes(position + 1)
            for sample in range(self.num_samples):
                s = self.of(sample)
                for j, target in enumerate(targets):
                    inputs = self.a[position][sample]
                    formula = " + ".join(f"{self.weight(target, source)} a{source}{s}" for source in sources)
                    terms = " + ".join(f"{_n(w)} × {_n(a)}" for w, a in zip(weight[:, j], inputs, strict=True))
                    z, a = float(self.z[position][sample, j]), float(self.a[position + 1][sample, j])
                    factors = (*map(float, weight[:, j]), *map(float, inputs), float(bias[j]))
                    yield Entry(
                        "forward",
                        f"z{target}{s}",
                        f"{formula} + b{target}",
                        factors,
                        f"{terms} + {_n(bias[j])}",
                        z,
                        None,
                    )
                    yield Entry("forward", f"a{target}{s}", f"{name}(z{target}{s})", (z,), f"{name}({z:.6g})", a, None)

    def error_entries(
        self, position: int, to_activations: np.ndarray, to_preactivations: np.ndarray
    ) -> Iterator[Entry]:
        name = self.mlp.activation_names[position]
        for sample in range(self.num_samples):
            s = self.of(sample)
            for j, node in enumerate(self.nodes(position + 1)):
                e, d = float(self.e[position][sample, j]), float(self.d[position][sample, j])
                formula, factors, terms = self._activation_error(position, sample, j, node)
                yield Entry("step 1", f"e{node}{s}", formula, factors, terms, e, float(to_activations[sample, j]))
                slope = SLOPES.get(name, f"{name}'(z{{}})").format(f"{node}{s}")
                phi = float(self.slopes[position][sample, j])
                factors, terms = (e, phi), f"{_n(e)} × {_n(phi)}"
                yield Entry(
                    "step 1",
                    f"d{node}{s}",
                    f"e{node}{s} {slope}",
                    factors,
                    terms,
                    d,
                    float(to_preactivations[sample, j]),
                )

    def _activation_error(self, position: int, sample: int, j: int, node: int) -> tuple[str, tuple[float, ...], str]:
        """For the last layer the gradient of the loss, for the others a sum over the next layer's node errors."""
        s = self.of(sample)
        if position == self.mlp.num_layers - 1:
            outputs = self.a[-1][sample]
            labels = self.targets.ndim == 1
            target = float(j == self.targets[sample]) if labels else float(self.targets[sample, j])
            y, k = f"y{j + 1}{s}", outputs.size
            exponentials = " + ".join(f"exp(a{other}{s})" for other in self.nodes(position + 1))
            powers = " + ".join(f"exp({output:.6g})" for output in outputs)
            formula, terms = {
                "half_squared_error": (f"a{{}} - {y}", "{} - {}"),
                "mean_squared_error": (f"2 / {k} (a{{}} - {y})", f"2 / {k} × ({{}} - {{}})"),
                "softmax_cross_entropy": (f"exp(a{{}}) / ({exponentials}) - {y}", f"exp({{}}) / ({powers}) - {{}}"),
                "binary_cross_entropy": (f"1 / {k} (sigmoid(a{{}}) - {y})", f"1 / {k} × (sigmoid({{}}) - {{}})"),
            }[self.loss]
            mean = f" / {self.num_samples}" if self.num_samples > 1 else ""
            if mean:
                formula, terms = f"({formula})", f"({terms})"
            shown = (float(outputs[j]), target)
            factors = (*map(float, outputs), target) if self.loss == "softmax_cross_entropy" else shown
            return (
                formula.format(f"{node}{s}") + mean,
                factors,
                terms.format(*(f"{number:.6g}" for number in shown)) + mean,
            )
        weights, errors = self.params[position + 1][0][j], self.d[position + 1][sample]
        formula = " + ".join(f"d{k}{s} {self.weight(k, node)}" for k in self.nodes(position + 2))
        terms = " + ".join(f"{_n(d)} × {_n(w)}" for d, w in zip(errors, weights, strict=True))
        return formula, (*map(float, errors), *map(float, weights)), terms

    def gradient_entries(self, position: int, autodiff: Any) -> Iterator[Entry]:
        (weight, bias), inputs, errors = self.gradient[position], self.a[position], self.d[position]
        samples = range(self.num_samples)
        for j, target in enumerate(self.nodes(position + 1)):
            for i, source in enumerate(self.nodes(position)):
                formula = " + ".join(f"a{source}{self.of(k)} d{target}{self.of(k)}" for k in samples)
                terms = " + ".join(f"{_n(inputs[k, i])} × {_n(errors[k, j])}" for k in samples)
                factors = (*map(float, inputs[:, i]), *map(float, errors[:, j]))
                expected = float(autodiff.weight[i, j])
                name = f"dL/d{self.weight(target, source)}"
                yield Entry("step 2", name, formula, factors, terms, float(weight[i, j]), expected)
            formula = " + ".join(f"d{target}{self.of(k)}" for k in samples)
            terms = " + ".join(_n(errors[k, j]) for k in samples)
            expected = float(autodiff.bias[j])
            yield Entry(
                "step 2", f"dL/db{target}", formula, tuple(map(float, errors[:, j])), terms, float(bias[j]), expected
            )


def _n(number: Any) -> str:
    """A number as it stands in a formula: six digits, in parentheses if it is negative."""
    text = f"{float(number):.6g}"
    return f"({text})" if text.startswith("-") else text
