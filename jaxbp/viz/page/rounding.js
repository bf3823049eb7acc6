// How far rounding may move each number of a trace, to first order and in units of it: a running error analysis.
//
// Where terms cancel, as in a - y of a network that has learned, two right programs differ by more than the last digits.
import { ACTIVATIONS, sum } from "./engine.js";

export const UNIT = 32 * 2 ** -53; // sums in another order and functions that are not correctly rounded cost a few units each

// Looks like the trace: preactivations[l][row][unit], ..., gradient[l - 1].weight[i][j], loss.
export function rounding(trace, inputs) {
  const { mlp, params, lossName } = trace,
    L = params.length,
    n = inputs.length,
    squared = /squared/.test(lossName),
    size = Math.abs;
  const rows = (f) => inputs.map((_, s) => f(s));
  const slope = (l, s, j) =>
    size(
      ACTIVATIONS[mlp.activations[l - 1]].slope(
        trace.preactivations[l][s][j],
        trace.activations[l][s][j]
      )
    );
  const z = [null],
    a = [rows((s) => inputs[s].map(() => 0))],
    d = [null],
    e = [null];
  for (let l = 1; l <= L; l++) {
    const { weight, bias } = params[l - 1];
    const before = (s, i) => a[l - 1][s][i] + size(trace.activations[l - 1][s][i]);
    z[l] = rows((s) =>
      weight[0].map(
        (_, j) => size(bias?.[j] ?? 0) + sum(weight.map((w, i) => size(w[j]) * before(s, i)))
      )
    );
    a[l] = rows((s) =>
      z[l][s].map((by, j) => slope(l, s, j) * by + size(trace.activations[l][s][j]))
    );
  }
  e[L] = rows((s) =>
    a[L][s].map(
      (by, j) =>
        ((squared ? 2 : 1) * by + (squared ? 0 : 1)) / n + size(trace.activationErrors[L][s][j])
    )
  );
  for (let l = L; l > 0; l--) {
    // No second derivative of an activation is above 1, and the node error is a product.
    d[l] = rows((s) =>
      e[l][s].map(
        (by, j) =>
          slope(l, s, j) * by +
          size(trace.activationErrors[l][s][j]) * z[l][s][j] +
          size(trace.nodeErrors[l][s][j])
      )
    );
    const after = (s, j) => d[l][s][j] + size(trace.nodeErrors[l][s][j]);
    e[l - 1] = rows((s) =>
      params[l - 1].weight.map((w) => sum(w.map((value, j) => size(value) * after(s, j))))
    );
  }
  const over = (f) => sum(rows(f));
  const slopes = params.map(({ weight, bias }, k) => {
    const by = (s, j) => d[k + 1][s][j] + size(trace.nodeErrors[k + 1][s][j]);
    const from = (s, i) => size(trace.activations[k][s][i]);
    return {
      weight: weight.map((w, i) =>
        w.map((_, j) =>
          over((s) => from(s, i) * by(s, j) + a[k][s][i] * size(trace.nodeErrors[k + 1][s][j]))
        )
      ),
      bias: bias && bias.map((_, j) => over((s) => by(s, j)))
    };
  });
  const outputs = (s) => (squared ? 0 : Math.max(...trace.activations[L][s].map(size)) / n);
  const errors = (s) => sum(a[L][s].map((by, j) => by * size(trace.activationErrors[L][s][j])));
  const loss = size(trace.loss) + over((s) => outputs(s) + errors(s));
  return {
    preactivations: z,
    activations: a,
    activationErrors: e,
    nodeErrors: d,
    gradient: slopes,
    loss
  };
}
