// Both passes of a multilayer perceptron in float64: a second implementation beside jaxbp/network.py, with its names.
//
// For layers l = 1..L, one sample a row:
//     forward    Z_l = A_{l-1} W_l + b_l,  A_l = phi_l(Z_l),  A_0 = inputs
//     step 1     from the last layer to the first, E_l = dL/dA_l (activation error) and D_l = dL/dZ_l (node error):
//                D_l = E_l * phi_l'(Z_l),  E_{l-1} = D_l W_l^T
//     step 2     dL/dW_l = A_{l-1}^T D_l,  dL/db_l = sum of D_l over the batch
//
// Legend: mlp = {sizes: [n_0, ..., n_L], activations: [phi_1, ..., phi_L]}; params[l - 1] = {weight: n_{l-1} rows of
// n_l, bias: n_l, or null without biases}; preactivations[l], activations[l], activationErrors[l] and nodeErrors[l] hold n rows of n_l numbers.
export const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const sechSquared = (z) =>
  Math.abs(z) < 20 ? 1 / Math.cosh(z) ** 2 : 4 * Math.exp(-2 * Math.abs(z));
const density = (z) => Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// The normal distribution function: its series near 0, its continued fraction in the tails.
function distribution(z) {
  const size = Math.abs(z);
  if (size < 2) {
    let term = z,
      total = z;
    for (let k = 3; k < 80; k += 2) total += term *= (z * z) / k;
    return 0.5 + density(z) * total;
  }
  let fraction = size;
  for (let k = 200; k > 0; k--) fraction = size + k / fraction;
  return z > 0 ? 1 - density(z) / fraction : density(z) / fraction;
}

// phi(z) and its slope phi'(z), of which most read the activation a = phi(z) alone.
export const LEAK = 0.01;
export const ACTIVATIONS = {
  identity: { value: (z) => z, slope: () => 1 },
  relu: { value: (z) => Math.max(z, 0), slope: (z, a) => (a > 0 ? 1 : 0) },
  leaky_relu: { value: (z) => (z >= 0 ? z : LEAK * z), slope: (z, a) => (a >= 0 ? 1 : LEAK) },
  sigmoid: { value: sigmoid, slope: (z, a) => a * sigmoid(-z) },
  tanh: { value: Math.tanh, slope: (z) => sechSquared(z) },
  softplus: {
    value: (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))),
    slope: (z) => sigmoid(z)
  },
  silu: { value: (z) => z * sigmoid(z), slope: (z, a) => sigmoid(z) + a * (1 - sigmoid(z)) },
  gelu: { value: (z) => z * distribution(z), slope: (z) => distribution(z) + z * density(z) },
  sine: { value: Math.sin, slope: Math.cos }
};

export function softmax(outputs) {
  const largest = Math.max(...outputs);
  const powers = outputs.map((o) => Math.exp(o - largest));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

// The probabilities that outputs (logits) of a cross-entropy stand for; null for other losses.
export const probabilitiesOf = (lossName, outputs) =>
  lossName === "softmax_cross_entropy"
    ? softmax(outputs)
    : lossName === "binary_cross_entropy"
      ? outputs.map(sigmoid)
      : null;

// The loss of one sample and its gradient with respect to the outputs o; t are the targets.
export const LOSSES = {
  mean_squared_error: {
    value: (o, t) => sum(o.map((x, j) => (x - t[j]) ** 2)) / o.length,
    gradient: (o, t) => o.map((x, j) => (2 / o.length) * (x - t[j]))
  },
  half_squared_error: {
    value: (o, t) => sum(o.map((x, j) => (x - t[j]) ** 2)) / 2,
    gradient: (o, t) => o.map((x, j) => x - t[j])
  },
  softmax_cross_entropy: {
    value: (o, t) => {
      const largest = Math.max(...o);
      const normalizer = largest + Math.log(sum(o.map((x) => Math.exp(x - largest))));
      return -sum(o.map((x, j) => t[j] * (x - normalizer)));
    },
    gradient: (o, t) => softmax(o).map((p, j) => p * sum(t) - t[j])
  },
  binary_cross_entropy: {
    value: (o, t) => sum(o.map((x, j) => ACTIVATIONS.softplus.value(x) - t[j] * x)) / o.length,
    gradient: (o, t) => o.map((x, j) => (sigmoid(x) - t[j]) / o.length)
  }
};

// What the passes are made of, one line each, so that a page can put a wrong line in the place of a right one.
export const RULES = {
  activations: (mlp) => mlp.activations,
  loss: (chosen, outputs, targets) =>
    sum(outputs.map((o, s) => chosen.value(o, targets[s]))) / outputs.length,
  outputsBar: (chosen, outputs, targets) =>
    outputs.map((o, s) => chosen.gradient(o, targets[s]).map((e) => e / outputs.length)),
  slope: (phi, z, a) => phi.slope(z, a),
  nodeError: (e, slope) => e * slope,
  activationError: (deltas, weights) => sum(deltas.map((d, k) => d * weights[k])),
  weightGradient: (inputs, deltas) => sum(inputs.map((a, s) => a * deltas[s])),
  biasGradient: (deltas) => sum(deltas)
};

// Runs the layers from the first to the last. A shift {kind: "z" or "a", layer, row, unit, by} is added to one number.
export function forward(mlp, params, inputs, rules = RULES, shift = null) {
  const shifted = (kind, layer, rows) => {
    if (shift && shift.kind === kind && shift.layer === layer)
      rows[shift.row][shift.unit] += shift.by;
    return rows;
  };
  const preactivations = [null],
    activations = [
      shifted(
        "a",
        0,
        inputs.map((row) => [...row])
      )
    ];
  rules.activations(mlp).forEach((name, k) => {
    const { weight, bias } = params[k],
      phi = ACTIVATIONS[name],
      size = weight[0].length;
    const z = activations[k].map((row) => {
      const result = new Array(size).fill(0);
      for (let i = 0; i < row.length; i++)
        for (let j = 0; j < size; j++) result[j] += row[i] * weight[i][j];
      if (bias) for (let j = 0; j < size; j++) result[j] += bias[j];
      return result;
    });
    preactivations.push(shifted("z", k + 1, z)); // Z_l = A_{l-1} W_l + b_l
    activations.push(
      shifted(
        "a",
        k + 1,
        z.map((row) => row.map(phi.value))
      )
    ); // A_l = phi_l(Z_l)
  });
  return { preactivations, activations };
}

// Step 1 of the backward pass: carries the errors from the last layer to the first.
export function nodeErrors(mlp, params, residuals, outputsBar, rules = RULES) {
  const errors = [null],
    activationErrors = [];
  activationErrors[params.length] = outputsBar;
  for (let l = params.length; l > 0; l--) {
    const phi = ACTIVATIONS[mlp.activations[l - 1]],
      z = residuals.preactivations[l],
      a = residuals.activations[l];
    errors[l] = activationErrors[l].map((row, s) =>
      row.map((e, j) => rules.nodeError(e, rules.slope(phi, z[s][j], a[s][j])))
    ); // D_l = E_l * phi_l prime (Z_l)
    activationErrors[l - 1] = errors[l].map((row) =>
      params[l - 1].weight.map((weights) => rules.activationError(row, weights))
    ); // E_{l-1} = D_l W_l^T
  }
  return { nodeErrors: errors, activationErrors };
}

// Step 2 of the backward pass: reads every gradient off the node errors.
export function gradient(residuals, errors, rules = RULES, biased = true) {
  return errors.slice(1).map((rows, k) => {
    const columns = rows[0].map((_, j) => rows.map((row) => row[j]));
    const inputs = residuals.activations[k][0].map((_, i) =>
      residuals.activations[k].map((row) => row[i])
    );
    return {
      weight: inputs.map((a) => columns.map((d) => rules.weightGradient(a, d))), // dL/dW_l = A_{l-1}^T D_l
      bias: biased ? columns.map((d) => rules.biasGradient(d)) : null // dL/db_l = the sum of D_l
    };
  });
}

export function loss(mlp, params, inputs, targets, lossName, rules = RULES, shift = null) {
  const { activations } = forward(mlp, params, inputs, rules, shift);
  return rules.loss(LOSSES[lossName], activations[params.length], targets);
}

// Runs both passes and keeps every number of them, as jaxbp.backprop does.
export function backprop(mlp, params, inputs, targets, lossName, rules = RULES) {
  const residuals = forward(mlp, params, inputs, rules),
    chosen = LOSSES[lossName];
  const outputs = residuals.activations[params.length];
  const step1 = nodeErrors(
    mlp,
    params,
    residuals,
    rules.outputsBar(chosen, outputs, targets),
    rules
  );
  const step2 = gradient(residuals, step1.nodeErrors, rules, params[0].bias !== null);
  return {
    mlp,
    params,
    targets,
    lossName,
    ...residuals,
    ...step1,
    gradient: step2,
    loss: rules.loss(chosen, outputs, targets)
  };
}

// The central difference of a function of one number: (f(x + h) - f(x - h)) / 2h.
export function centralDifference(f, x = 0, kinked = false) {
  const slope = (h) => (f(x + h) - f(x - h)) / (x + h - (x - h)),
    scale = Math.max(1, Math.abs(x));
  // Two steps leave an error of the fourth order; near a kink only a small one helps, the cube root of rounding's unit.
  return kinked ? slope(6e-6 * scale) : (4 * slope(5e-5 * scale) - slope(1e-4 * scale)) / 3;
}

export const mapParams = (f, ...trees) =>
  trees[0].map((layer, k) => ({
    weight: layer.weight.map((row, i) =>
      row.map((_, j) => f(...trees.map((tree) => tree[k].weight[i][j])))
    ),
    bias: layer.bias && layer.bias.map((_, j) => f(...trees.map((tree) => tree[k].bias[j])))
  }));
