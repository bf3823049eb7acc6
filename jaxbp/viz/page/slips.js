// What a wrong answer may have forgotten.
import { ACTIVATIONS, sum } from "./engine.js";
import { nameHtml, split } from "./formulas.js";
import * as page from "./store.js";
import { say } from "./words.js";

// Pairs of a wrong value and what to say of it.
export function slips(ref) {
  const mlp = page.mlp();
  const { params } = page.state();
  const [trace, row, L, n] = [page.trace(), page.row(), page.L(), page.numSamples()];
  const [kind, l, i, j] = split(ref);
  const value = page.value(ref),
    v = (...parts) => page.value(parts.join(".")),
    name = (...parts) => nameHtml(mlp, parts.join("."));
  const found = [];
  const add = (number, key, ...values) => found.push([number, say(key, ...values)]);
  const paths = (size, term, label) => {
    for (let k = 0; size > 1 && k < size; k++) add(value - term(k), "slip.path", label(k));
    for (let k = 0; size > 1 && k < size; k++) add(term(k), "slip.only", label(k));
  };
  if (kind === "z") {
    if (mlp.bias) add(value - v("b", l, i), "slip.bias", name("b", l, i));
    paths(
      mlp.sizes[l - 1],
      (k) => v("w", l, k, i) * v("a", l - 1, k),
      (k) => `${name("w", l, k, i)} ${name("a", l - 1, k)}`
    );
    add(v("a", l, i), "slip.activated", name("a", l, i));
  }
  if (kind === "a") {
    add(v("z", l, i), "slip.activation", mlp.activations[l - 1], name("z", l, i));
    add(slopeAt(l, i), "slip.slope.instead");
  }
  if (kind === "e" && l === L) {
    add(2 * value, "slip.twice");
    add(value / 2, "slip.half");
    add(v("a", l, i), "slip.target", name("y", i));
    if (n > 1) add(value * n, "slip.mean", n);
  }
  if (kind === "e" && l < L) {
    const term = (k) => v("d", l + 1, k) * v("w", l + 1, i, k);
    paths(mlp.sizes[l + 1], term, (k) => `${name("d", l + 1, k)} ${name("w", l + 1, i, k)}`);
    add(sum(params[l].weight[0].map((_, k) => v("e", l + 1, k) * v("w", l + 1, i, k))), "slip.e");
    add(sum(params[l].weight[i]), "slip.upstream");
    add(value * slopeAt(l, i), "slip.slope.early", name("d", l, i));
  }
  if (kind === "d") {
    add(v("e", l, i), "slip.slope", name("z", l, i));
    add(slopeAt(l, i), "slip.factor", name("e", l, i));
    add(
      v("e", l, i) * ACTIVATIONS[mlp.activations[l - 1]].slope(v("z", l, i), v("z", l, i)),
      "slip.argument",
      name("z", l, i),
      name("a", l, i)
    );
    add(v("e", l, i) * v("a", l, i), "slip.value", name("a", l, i));
  }
  if (kind === "gw") {
    add(v("d", l, j), "slip.factor", name("a", l - 1, i));
    add(v("a", l - 1, i), "slip.factor", name("d", l, j));
    add(v("a", l - 1, i) * v("e", l, j), "slip.error", name("d", l, j), name("e", l, j));
    add(v("w", l, i, j) * v("d", l, j), "slip.weight", name("a", l - 1, i), name("w", l, i, j));
    if (l > 1)
      add(v("z", l - 1, i) * v("d", l, j), "slip.before", name("a", l - 1, i), name("z", l - 1, i));
    if (n > 1)
      add(trace.activations[l - 1][row][i] * trace.nodeErrors[l][row][j], "slip.samples", n);
  }
  if (kind === "gb") {
    add(v("e", l, i), "slip.error", name("d", l, i), name("e", l, i));
    add(v("b", l, i) * v("d", l, i), "slip.input", name("b", l, i));
    if (n > 1) add(trace.nodeErrors[l][row][i], "slip.samples", n);
  }
  return [
    ...found,
    [-value, say("slip.sign")],
    ...found.map(([number, text]) => [-number, `${say("slip.sign")} ${text}`])
  ];
}
function slopeAt(l, i) {
  const trace = page.trace(),
    row = page.row();
  return ACTIVATIONS[page.state().activations[l - 1]].slope(
    trace.preactivations[l][row][i],
    trace.activations[l][row][i]
  );
}
