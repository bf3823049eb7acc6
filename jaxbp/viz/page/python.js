// The network on screen as a Python program: with jaxbp, and with NumPy alone.

const NUMPY = {
  identity: ["z", "np.ones_like(z)"],
  relu: ["np.maximum(z, 0)", "(z > 0) * 1.0"],
  leaky_relu: ["np.where(z >= 0, z, 0.01 * z)", "np.where(z >= 0, 1, 0.01)"],
  sigmoid: ["1 / (1 + np.exp(-z))", "phi(z) * (1 - phi(z))"],
  tanh: ["np.tanh(z)", "1 - np.tanh(z) ** 2"],
  softplus: ["np.logaddexp(0, z)", "1 / (1 + np.exp(-z))"],
  silu: ["z / (1 + np.exp(-z))", "1 / (1 + np.exp(-z)) * (1 + z * (1 - 1 / (1 + np.exp(-z))))"],
  gelu: ["z * Phi(z)", "Phi(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)"],
  sine: ["np.sin(z)", "np.cos(z)"]
};
const LOSS = {
  mean_squared_error: ["np.mean((A - Y) ** 2)", "2 * (A - Y) / A.size"],
  half_squared_error: ["np.sum((A - Y) ** 2) / 2 / len(A)", "(A - Y) / len(A)"],
  binary_cross_entropy: [
    "np.mean(np.logaddexp(0, A) - Y * A)",
    "(1 / (1 + np.exp(-A)) - Y) / A.size"
  ],
  softmax_cross_entropy: [
    "np.mean(np.log(np.exp(A).sum(axis=1)) * Y.sum(axis=1) - (Y * A).sum(axis=1))",
    "(np.exp(A) / np.exp(A).sum(axis=1, keepdims=True) * Y.sum(axis=1, keepdims=True) - Y) / len(A)"
  ]
};

const list = (value) => JSON.stringify(value).replace(/,/g, ", ");
const tuple = (items) => `(${items.join(", ")}${items.length === 1 ? "," : ""})`;

const PHI = "from math import erf\nPhi = np.vectorize(lambda z: (1 + erf(z / 2**0.5)) / 2)";

const withJaxbp = ({ sizes, activations, bias, loss }) => {
  const hidden = activations.slice(0, -1).map((name) => `"${name}"`);
  const names = `${hidden.length ? tuple(hidden) : '"tanh"'}, "${activations.at(-1)}"`;
  return [
    "# With jaxbp, in float64.",
    "import jax, jaxbp",
    'jax.config.update("jax_enable_x64", True)',
    `mlp = jaxbp.Mlp(${tuple(sizes)}, ${names}${bias ? "" : ", bias=False"})`,
    "layers = tuple(jaxbp.Layer(weight, bias) for weight, bias in params)",
    `loss, gradient = jaxbp.loss_and_gradient(mlp, layers, X, Y, "${loss}")`,
    'print("jaxbp", float(loss), *[float(abs(layer.weight).sum()) for layer in gradient])'
  ];
};

const withNumpy = ({ activations, loss }) => {
  const used = [...new Set(activations)];
  const [value, slope] = LOSS[loss];
  return [
    "# With NumPy alone: forward, node errors, gradient.",
    ...(used.includes("gelu") ? [PHI] : []),
    "FUNCTIONS = {",
    ...used.map((name) => {
      const [phi, derivative] = NUMPY[name];
      return `    "${name}": (lambda z: ${phi}, lambda z, phi: ${derivative}),`;
    }),
    "}",
    "A, kept = X, []",
    `for (W, b), name in zip(params, ${tuple(activations.map((name) => `"${name}"`))}):`,
    "    Z = A @ W + (0 if b is None else b)",
    "    kept.append((A, Z, W, *FUNCTIONS[name]))",
    "    A = FUNCTIONS[name][0](Z)",
    `loss, E, gradient = ${value}, ${slope}, []`,
    "for A_before, Z, W, phi, slope in reversed(kept):",
    "    D = E * slope(Z, phi)  # node errors",
    "    gradient.insert(0, (A_before.T @ D, D.sum(axis=0)))",
    "    E = D @ W.T",
    'print("NumPy", float(loss), *[float(abs(dW).sum()) for dW, _ in gradient])'
  ];
};

export function pythonOf(state) {
  const array = (value) => `np.array(${list(value)}, float)`;
  const { inputs, targets } = state.samples;
  return [
    "import numpy as np",
    "",
    `X, Y = ${array(inputs)}, ${array(targets)}`,
    "params = [",
    ...state.params.map(
      ({ weight, bias }) => `    (${array(weight)}, ${bias ? array(bias) : "None"}),`
    ),
    "]",
    "",
    ...withJaxbp(state),
    "",
    ...withNumpy(state),
    ""
  ].join("\n");
}
