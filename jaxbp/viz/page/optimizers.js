// Optimizers: (params, gradient, memory, settings) -> {params, memory}; the memory is null at first.
import { backprop, forward, loss, mapParams, nodeErrors, probabilitiesOf, sum } from "./engine.js";
import { generator, shuffled } from "./start.js";

const zerosLike = (params) => mapParams(() => 0, params);

export const OPTIMIZERS = {
  descent: (params, slopes, memory, { rate }) => ({
    params: mapParams((p, g) => p - rate * g, params, slopes),
    memory: null
  }),
  momentum: (params, slopes, memory, { rate, momentum }) => {
    const velocity = mapParams(
      (v, g) => momentum * v + g,
      memory?.velocity ?? zerosLike(params),
      slopes
    );
    return { params: mapParams((p, v) => p - rate * v, params, velocity), memory: { velocity } };
  },
  adam: (params, slopes, memory, { rate }) => {
    const step = (memory?.step ?? 0) + 1;
    const mean = mapParams((m, g) => 0.9 * m + 0.1 * g, memory?.mean ?? zerosLike(params), slopes);
    const square = mapParams(
      (v, g) => 0.999 * v + 0.001 * g * g,
      memory?.square ?? zerosLike(params),
      slopes
    );
    const moved = mapParams(
      (p, m, v) =>
        p - (rate * (m / (1 - 0.9 ** step))) / (Math.sqrt(v / (1 - 0.999 ** step)) + 1e-8),
      params,
      mean,
      square
    );
    return { params: moved, memory: { step, mean, square } };
  }
};

// The Gauss-Newton step solves a system as large as the number of parameters.
export const MAX_GAUSS_NEWTON = 400;
const DAMPING = 0.1;
const ATTEMPTS = 12;

export const countParams = (params) =>
  sum(params.map(({ weight, bias }) => weight.length * weight[0].length + (bias?.length ?? 0)));
const flatten = (params) =>
  params.flatMap(({ weight, bias }) => [...weight.flat(), ...(bias ?? [])]);
function unflatten(numbers, like) {
  let next = 0;
  return mapParams(() => 0, like).map(({ weight, bias }) => ({
    weight: weight.map((row) => row.map(() => numbers[next++])),
    bias: bias && bias.map(() => numbers[next++])
  }));
}

// S with the Hessian of a sample's loss = S S^T (columns), and e with its gradient = S e.
function hessianFactor(lossName, outputs, targets) {
  const count = outputs.length;
  const p = probabilitiesOf(lossName, outputs);
  if (lossName === "softmax_cross_entropy") {
    const root = p.map(Math.sqrt);
    const columns = p.map((_x, c) => p.map((pr, r) => (r === c ? root[c] : 0) - pr * root[c]));
    return { columns, scaled: p.map((pj, j) => (pj - targets[j]) / root[j]) };
  }
  const factor = lossName === "half_squared_error" ? 1 : (p ? 1 : 2) / count;
  const roots = outputs.map((_, j) => Math.sqrt(factor * (p ? p[j] * (1 - p[j]) : 1)));
  return {
    columns: roots.map((root, c) => roots.map((_, r) => (r === c ? root : 0))),
    scaled: roots.map((root, j) => (factor * ((p ?? outputs)[j] - targets[j])) / root)
  };
}

// Rows S^T J of the Jacobian of the outputs, one for each sample and output, and the scaled errors e.
export function scaledJacobian(mlp, params, inputs, targets, lossName) {
  const residuals = forward(mlp, params, inputs);
  const factors = residuals.activations
    .at(-1)
    .map((outputs, s) => hessianFactor(lossName, outputs, targets[s]));
  const rows = [];
  for (let c = 0; c < mlp.sizes.at(-1); c++) {
    const seeds = factors.map(({ columns }) => columns[c]);
    const { nodeErrors: errors } = nodeErrors(mlp, params, residuals, seeds);
    inputs.forEach((_, s) =>
      rows.push(
        params.flatMap(({ weight, bias }, k) => [
          ...weight.flatMap((_w, i) =>
            errors[k + 1][s].map((d) => residuals.activations[k][s][i] * d)
          ),
          ...(bias ? errors[k + 1][s] : [])
        ])
      )
    );
  }
  const scaled = rows.map(
    (_, k) => factors[k % inputs.length].scaled[Math.floor(k / inputs.length)]
  );
  return { rows, scaled };
}

// Solves A x = b for a symmetric positive definite A (rows), by Cholesky's factorization; null where it is not.
export function solve(matrix, right) {
  const size = right.length;
  const factor = matrix.map((row) => Float64Array.from(row));
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let rest = factor[i][j];
      for (let k = 0; k < j; k++) rest -= factor[i][k] * factor[j][k];
      if (i === j && !(rest > 0)) return null;
      factor[i][j] = i === j ? Math.sqrt(rest) : rest / factor[j][j];
    }
  const x = Float64Array.from(right);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i] -= factor[i][k] * x[k];
    x[i] /= factor[i][i];
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i] -= factor[k][i] * x[k];
    x[i] /= factor[i][i];
  }
  return [...x];
}

// One damped Gauss-Newton step, jaxbp's without momentum: (J^T J + lambda I) d = J^T e, p <- p - d, with
// lambda = sigma * (mean of e^2) * (mean of the diagonal of J J^T). A step that raises the loss is refused, sigma is
// multiplied by 4, and the step is tried again.
function gaussNewton(mlp, params, inputs, targets, lossName, memory, settings) {
  const { rows, scaled } = scaledJacobian(mlp, params, inputs, targets, lossName);
  const size = rows[0].length;
  const normal = Array.from({ length: size }, () => new Float64Array(size));
  const right = new Float64Array(size);
  let trace = 0;
  rows.forEach((row, r) => {
    for (let i = 0; i < size; i++) {
      const x = row[i];
      trace += x * x;
      right[i] += x * scaled[r];
      if (x) for (let j = 0; j <= i; j++) normal[i][j] += x * row[j];
    }
  });
  const flat = flatten(params);
  const weights = params.flatMap(({ weight, bias }) => [
    ...weight.flat().fill(1),
    ...(bias ?? []).map(() => 0)
  ]);
  const pull = settings.l2 * inputs.length; // of the L2 penalty, in the scale of the sum over samples
  const mean = sum(scaled.map((e) => e * e)) / scaled.length;
  const penalty = (numbers) => (settings.l2 / 2) * sum(numbers.map((p, k) => weights[k] * p * p));
  const objective = (moved, numbers) =>
    loss(mlp, moved, inputs, targets, lossName) + penalty(numbers);
  const before = objective(params, flat);
  let sigma = memory?.sigma ?? DAMPING;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const damping = Math.max(sigma * mean, 1e-10) * Math.max(trace / rows.length, Number.MIN_VALUE);
    const damped = normal.map((row, i) =>
      row.map((x, j) => x + (i === j ? damping + pull * weights[i] : 0))
    );
    const step = solve(
      damped,
      right.map((x, i) => x + pull * weights[i] * flat[i])
    );
    const moved = step && flat.map((p, k) => p - step[k]);
    const next = moved && unflatten(moved, params);
    if (next && objective(next, moved) <= before)
      return { params: next, memory: { sigma: Math.max(DAMPING, sigma / 2) } };
    sigma *= 4;
  }
  return { params, memory: { sigma } };
}

// The samples of a step: all of them, or the next batch of a permutation drawn anew for every epoch.
export function batchOf(count, size, step, seed) {
  if (!size || size >= count) return null;
  const each = Math.ceil(count / size);
  const order = shuffled(count, generator(seed + 7919 * Math.floor(step / each)));
  return order.slice((step % each) * size, (step % each) * size + size);
}

// One step of training: {params, memory}.
export function trainingStep(mlp, params, samples, lossName, rules, training, seed) {
  const chosen = batchOf(samples.inputs.length, training.batch, training.step, seed);
  const inputs = chosen ? chosen.map((s) => samples.inputs[s]) : samples.inputs;
  const targets = chosen ? chosen.map((s) => samples.targets[s]) : samples.targets;
  if (training.optimizer === "gauss_newton")
    return gaussNewton(mlp, params, inputs, targets, lossName, training.memory, training);
  const found = backprop(mlp, params, inputs, targets, lossName, rules);
  const { l1, l2 } = training;
  const pulled = (g, w) => g + l1 * Math.sign(w) + l2 * w;
  const slopes =
    l1 || l2
      ? found.gradient.map(({ weight, bias }, k) => ({
          weight: weight.map((row, i) => row.map((g, j) => pulled(g, params[k].weight[i][j]))),
          bias
        }))
      : found.gradient;
  return OPTIMIZERS[training.optimizer](params, slopes, training.memory, training);
}
