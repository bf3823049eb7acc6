// Every number of both passes has a name, a place in a trace and a formula.
//
// A reference is text: "a.l.j" activation (layer 0: input), "z.l.j" preactivation, "e.l.j" activation error, "d.l.j"
// node error, "w.l.i.j" weight from unit i to unit j of layer l, "b.l.j" bias, "gw.l.i.j" and "gb.l.j" their
// derivatives, "y.j" target, "p.j" probability of an output that is a logit, "loss". Units are numbered through the layers, inputs first: w84 leads from 4 to 8.
import { ACTIVATIONS, LEAK, probabilitiesOf, sum } from "./engine.js";

export const isParameter = (ref) => /^(w|b|y|a\.0)\./.test(ref);

// [kind, ...indices] of a reference, taken apart once.
const known = new Map();
export function split(ref) {
  if (!known.has(ref)) {
    const [kind, ...indices] = ref.split(".");
    known.set(ref, [kind, ...indices.map(Number)]);
  }
  return known.get(ref);
}

// All computed numbers, in the order in which the passes reach them.
export function computedRefs(mlp) {
  const { sizes } = mlp,
    L = sizes.length - 1,
    refs = [];
  const units = (l) => [...Array(sizes[l]).keys()];
  for (let l = 1; l <= L; l++) for (const j of units(l)) refs.push(`z.${l}.${j}`, `a.${l}.${j}`);
  refs.push("loss");
  for (let l = L; l > 0; l--) for (const j of units(l)) refs.push(`e.${l}.${j}`, `d.${l}.${j}`);
  for (let l = L; l > 0; l--)
    for (const j of units(l)) {
      for (const i of units(l - 1)) refs.push(`gw.${l}.${i}.${j}`);
      if (mlp.bias) refs.push(`gb.${l}.${j}`);
    }
  return refs;
}

// The stage at which a number is known: 0 at the start, 1..L forward, L + 1 loss, then step 1 and step 2 from layer L.
export function stageOf(mlp, ref) {
  const [kind, l] = split(ref),
    L = mlp.sizes.length - 1;
  if (isParameter(ref)) return 0;
  if (kind === "loss") return L + 1;
  if (kind === "p") return L;
  if (kind === "e" && l === 0) return 2 * L + 1;
  if (kind === "z" || kind === "a") return l;
  return kind === "e" || kind === "d" ? 2 * L + 2 - l : 3 * L + 2 - l;
}

const VALUES = {
  loss: (trace) => trace.loss,
  y: (trace, row, j) => trace.targets[row][j],
  p: (trace, row, j) => probabilitiesOf(trace.lossName, trace.activations.at(-1)[row])[j],
  w: (trace, _row, l, i, j) => trace.params[l - 1].weight[i][j],
  b: (trace, _row, l, j) => trace.params[l - 1].bias[j],
  gw: (trace, _row, l, i, j) => trace.gradient[l - 1].weight[i][j],
  gb: (trace, _row, l, j) => trace.gradient[l - 1].bias[j],
  z: (trace, row, l, j) => trace.preactivations[l][row][j],
  a: (trace, row, l, j) => trace.activations[l][row][j],
  e: (trace, row, l, j) => trace.activationErrors[l][row][j],
  d: (trace, row, l, j) => trace.nodeErrors[l][row][j]
};
export function valueOf(trace, row, ref) {
  const [kind, l, i, j] = split(ref);
  return VALUES[kind](trace, row, l, i, j);
}

export const unitNumber = (mlp, layer, unit) => sum(mlp.sizes.slice(0, layer)) + unit + 1;

function subscript(mlp, ref) {
  const [kind, l, i, j] = split(ref);
  if (kind === "loss") return "";
  if (kind === "y") return `${l + 1}`;
  if (kind === "p") return `${unitNumber(mlp, mlp.sizes.length - 1, l)}`;
  if (j === undefined) return `${unitNumber(mlp, l, i)}`;
  const to = unitNumber(mlp, l, j),
    from = unitNumber(mlp, l - 1, i);
  return to < 10 ? `${to}${from}` : `${to},${from}`;
}

export const LETTERS = { d: "δ", gw: "∂L/∂w", gb: "∂L/∂b", loss: "L" };
const letter = (ref) => LETTERS[split(ref)[0]] ?? split(ref)[0];
export const nameOf = (mlp, ref) => `${letter(ref)}${subscript(mlp, ref)}`;
export const nameHtml = (mlp, ref) => `<i>${letter(ref)}</i><sub>${subscript(mlp, ref)}</sub>`;

export const SLOPES = {
  identity: () => ["1"],
  relu: (a) => ["[", a, " > 0]"],
  leaky_relu: (a) => ["(1 if ", a, ` ≥ 0, ${LEAK} if not)`],
  sigmoid: (a) => [a, " (1 − ", a, ")"],
  tanh: (a) => ["(1 − ", a, "²)"],
  softplus: (a) => ["(1 − exp(−", a, "))"],
  silu: (a, z) => ["silu′(", z, ")"],
  gelu: (a, z) => ["gelu′(", z, ")"],
  sine: (a, z) => ["cos ", z]
};

export const joined = (terms, between) =>
  terms.flatMap((term, k) => (k ? [between, ...term] : term));

const to = (...parts) => ({ ref: parts.join(".") });
const each = (size, term) => [...Array(size).keys()].map(term);
const summed = (size, term) => joined(each(size, term), " + ");

// The formula of a number: text and references (as {ref}) in turn. n is how many samples the loss is a mean over.
export function formulaOf(mlp, lossName, n, ref) {
  const [kind, l, i, j] = split(ref);
  const { sizes } = mlp;
  const L = sizes.length - 1;
  const over = n > 1 ? ["Σ "] : [];
  switch (kind) {
    case "z": {
      const bias = mlp.bias ? [" + ", to("b", l, i)] : [];
      return [...summed(sizes[l - 1], (k) => [to("w", l, k, i), " ", to("a", l - 1, k)]), ...bias];
    }
    case "p":
      return lossName === "binary_cross_entropy"
        ? ["1 / (1 + exp(−", to("a", L, l), "))"]
        : [
            "exp(",
            to("a", L, l),
            ") / (",
            ...summed(sizes[L], (c) => ["exp(", to("a", L, c), ")"]),
            ")"
          ];
    case "a":
      return [`${mlp.activations[l - 1]}(`, to("z", l, i), ")"];
    case "d":
      return [
        to("e", l, i),
        " × ",
        ...SLOPES[mlp.activations[l - 1]](to("a", l, i), to("z", l, i))
      ];
    case "gw":
      return [...over, to("a", l - 1, i), " ", to("d", l, j)];
    case "gb":
      return [...over, to("d", l, i)];
    case "loss":
      return lossFormula(lossName, L, sizes[L], n);
    case "e":
      return l < L
        ? summed(sizes[l + 1], (k) => [to("d", l + 1, k), " ", to("w", l + 1, i, k)])
        : outputError(lossName, sizes[L], n, to("a", L, i), to("p", i), to("y", i));
    default:
      return [];
  }
}

// dL/da of an output a with its probability p and target y, one of k.
function outputError(lossName, k, n, a, p, y) {
  const mean = n > 1 ? ` / ${n}` : "";
  if (lossName === "mean_squared_error")
    return [k > 1 ? `2/${k} (` : "2 (", a, " − ", y, `)${mean}`];
  const divisor = lossName === "binary_cross_entropy" && k > 1 ? ` / ${k}` : "";
  const difference = [lossName === "half_squared_error" ? a : p, " − ", y];
  return divisor || mean ? ["(", ...difference, `)${divisor}${mean}`] : difference;
}

// The loss of the k outputs of layer L; sign and mean stand around it where it is a mean over n samples.
function lossFormula(lossName, L, k, n) {
  const [sign, mean] = n > 1 ? ["Σ ", ` / ${n}`] : ["", ""];
  const [open, close] = k > 1 ? ["(", ")"] : ["", ""];
  const [y, p] = [(c) => to("y", c), (c) => to("p", c)];
  const squares = summed(k, (c) => ["(", to("a", L, c), " − ", y(c), ")²"]);
  const share = k > 1 ? ` / ${k}` : "";
  switch (lossName) {
    case "mean_squared_error":
      return [sign + open, ...squares, close + share + mean];
    case "half_squared_error":
      return [`${sign}½ ${open}`, ...squares, close + mean];
    case "binary_cross_entropy": {
      const terms = (c) => [y(c), " log ", p(c), " + (1 − ", y(c), ") log(1 − ", p(c), ")"];
      return [`−${sign}(`, ...summed(k, terms), ")" + share + mean];
    }
    default:
      return [`−${sign}(`, ...summed(k, (c) => [y(c), " log ", p(c)]), ")" + mean];
  }
}

export const factorsOf = (parts) => [
  ...new Set(parts.filter((part) => part.ref).map((part) => part.ref))
];

// The value of a formula whose factors are get(ref); undefined where it is a sum over samples or of exponentials.
export function evaluate(mlp, lossName, n, ref, get) {
  const [kind, l, i, j] = split(ref);
  const L = mlp.sizes.length - 1;
  const units = (size) => [...Array(size).keys()];
  const at = (...parts) => get(parts.join("."));
  const phi = () => ACTIVATIONS[mlp.activations[l - 1]];
  switch (kind) {
    case "z":
      return (
        sum(units(mlp.sizes[l - 1]).map((k) => at("w", l, k, i) * at("a", l - 1, k))) +
        (mlp.bias ? at("b", l, i) : 0)
      );
    case "a":
      return phi().value(at("z", l, i));
    case "d":
      return at("e", l, i) * phi().slope(at("z", l, i), at("a", l, i));
    case "gw":
      return n > 1 ? undefined : at("a", l - 1, i) * at("d", l, j);
    case "gb":
      return n > 1 ? undefined : at("d", l, i);
    case "e": {
      if (l < L)
        return sum(units(mlp.sizes[l + 1]).map((k) => at("d", l + 1, k) * at("w", l + 1, i, k)));
      const predicted = /entropy/.test(lossName) ? at("p", i) : at("a", L, i);
      const factor = {
        mean_squared_error: 2 / mlp.sizes[L],
        binary_cross_entropy: 1 / mlp.sizes[L]
      };
      return ((factor[lossName] ?? 1) * (predicted - at("y", i))) / n;
    }
    default:
      return undefined;
  }
}
