// The network on screen as a Python program: with jaxbp, and with NumPy alone.

// phi and its slope.
const NUMPY = {
  identity: ["z", "np.ones_like(z)"],
  relu: ["np.maximum(z, 0)", "1.0 * (z > 0)"],
  leaky_relu: ["np.where(z >= 0, z, 0.01 * z)", "np.where(z >= 0, 1, 0.01)"],
  sigmoid: ["1 / (1 + np.exp(-z))", "np.exp(-z) / (1 + np.exp(-z)) ** 2"],
  tanh: ["np.tanh(z)", "1 - np.tanh(z) ** 2"],
  softplus: ["np.logaddexp(0, z)", "1 / (1 + np.exp(-z))"],
  silu: ["z / (1 + np.exp(-z))", "(1 + np.exp(-z) * (1 + z)) / (1 + np.exp(-z)) ** 2"],
  gelu: ["z * Phi(z)", "Phi(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)"],
  sine: ["np.sin(z)", "np.cos(z)"]
};
const GELU = "from math import erf\nPhi = np.vectorize(lambda z: (1 + erf(z / 2**0.5)) / 2)";
// The loss of outputs A, and dL/dA.
const LOSS = {
  mean_squared_error: ["np.mean((A - Y) ** 2)", "2 * (A - Y) / A.size"],
  half_squared_error: ["np.sum((A - Y) ** 2) / 2 / len(A)", "(A - Y) / len(A)"],
  binary_cross_entropy: [
    "np.mean(np.logaddexp(0, A) - Y * A)",
    "(1 / (1 + np.exp(-A)) - Y) / A.size"
  ],
  softmax_cross_entropy: [
    "-np.sum(Y * np.log(P)) / len(A)",
    "(P * Y.sum(axis=1, keepdims=True) - Y) / len(A)"
  ]
};

const tuple = (items) => `(${items.join(", ")}${items.length === 1 ? "," : ""})`;

export function pythonOf({ sizes, activations, bias, loss, params }, inputs, targets) {
  const array = (value) => `np.array(${JSON.stringify(value).replace(/,/g, ", ")}, float)`;
  const names = activations.map((name) => `"${name}"`);
  const hidden = names.length > 1 ? tuple(names.slice(0, -1)) : '"tanh"';
  const phi = [...new Set(activations)].map(
    (name) => `"${name}": (lambda z: ${NUMPY[name][0]}, lambda z: ${NUMPY[name][1]})`
  );
  const lines = [
    "import jax, jaxbp, numpy as np",
    'jax.config.update("jax_enable_x64", True)',
    `X, Y = ${array(inputs)}, ${array(targets)}`,
    "params = [",
    ...params.map(({ weight, bias: b }) => `    (${array(weight)}, ${b ? array(b) : "None"}),`),
    "]",
    "",
    "# With jaxbp",
    `mlp = jaxbp.Mlp(${tuple(sizes)}, ${hidden}, ${names.at(-1)}${bias ? "" : ", bias=False"})`,
    `loss, gradient = jaxbp.loss_and_gradient(mlp, params, X, Y, "${loss}")`,
    "print(loss, gradient)",
    "",
    "# With NumPy alone: forward, node errors, gradient",
    ...(activations.includes("gelu") ? [GELU] : []),
    `phi = {${phi.join(",\n       ")}}`,
    "A, kept, gradient = X, [], []",
    `for (W, b), name in zip(params, ${tuple(names)}):`,
    `    Z = A @ W${bias ? " + b" : ""}`,
    "    kept.append((A, Z, W, phi[name][1]))",
    "    A = phi[name][0](Z)",
    ...(/softmax/.test(loss) ? ["P = np.exp(A) / np.exp(A).sum(axis=1, keepdims=True)"] : []),
    `loss, E = ${LOSS[loss].join(", ")}`,
    "for A, Z, W, slope in reversed(kept):",
    "    D = E * slope(Z)",
    "    gradient.insert(0, (A.T @ D, D.sum(axis=0)))",
    "    E = D @ W.T",
    "print(loss, gradient)"
  ];
  return `${lines.join("\n")}\n`;
}
