// Every number of both passes has a name, a place in a trace and a formula.
//
// A reference is text: "a.l.j" activation (layer 0: input), "z.l.j" preactivation, "e.l.j" activation error, "d.l.j"
// node error, "w.l.i.j" weight from unit i to unit j of layer l, "b.l.j" bias, "gw.l.i.j" and "gb.l.j" their
// derivatives, "y.j" target, "loss". Units are numbered through the layers, inputs first: w84 leads from 4 to 8.
"use strict";

const isParameter = (ref) => /^(w|b|y|a\.0)\./.test(ref);

function split(ref) {
  const [kind, ...indices] = ref.split(".");
  return [kind, ...indices.map(Number)];
}

// All computed numbers, in the order in which the passes reach them.
function computedRefs(mlp) {
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
      refs.push(`gb.${l}.${j}`);
    }
  return refs;
}

// The stage at which a number is known: 0 at the start, 1..L forward, L + 1 loss, then step 1 and step 2 from layer L.
function stageOf(mlp, ref) {
  const [kind, l] = split(ref),
    L = mlp.sizes.length - 1;
  if (isParameter(ref)) return 0;
  if (kind === "loss") return L + 1;
  if (kind === "z" || kind === "a") return l;
  return kind === "e" || kind === "d" ? 2 * L + 2 - l : 3 * L + 2 - l;
}

function valueOf(trace, row, ref) {
  const [kind, l, i, j] = split(ref);
  switch (kind) {
    case "loss":
      return trace.loss;
    case "y":
      return trace.targets[row][l];
    case "w":
      return trace.params[l - 1].weight[i][j];
    case "b":
      return trace.params[l - 1].bias[i];
    case "gw":
      return trace.gradient[l - 1].weight[i][j];
    case "gb":
      return trace.gradient[l - 1].bias[i];
    case "z":
      return trace.preactivations[l][row][i];
    case "a":
      return trace.activations[l][row][i];
    case "e":
      return trace.activationErrors[l][row][i];
    default:
      return trace.nodeErrors[l][row][i];
  }
}

const unitNumber = (mlp, layer, unit) => sum(mlp.sizes.slice(0, layer)) + unit + 1;

function subscript(mlp, ref) {
  const [kind, l, i, j] = split(ref);
  if (kind === "loss") return "";
  if (kind === "y") return `${l + 1}`;
  if (j === undefined) return `${unitNumber(mlp, l, i)}`;
  const to = unitNumber(mlp, l, j),
    from = unitNumber(mlp, l - 1, i);
  return to < 10 ? `${to}${from}` : `${to},${from}`;
}

const LETTERS = { d: "δ", gw: "∂L/∂w", gb: "∂L/∂b", loss: "L" };
const letter = (ref) => LETTERS[split(ref)[0]] ?? split(ref)[0];
const nameOf = (mlp, ref) => `${letter(ref)}${subscript(mlp, ref)}`;
const nameHtml = (mlp, ref) => `<i>${letter(ref)}</i><sub>${subscript(mlp, ref)}</sub>`;

// About four significant digits in at most eight characters; what was given is written as it was given.
function format(number, digits = 4) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  let text = "0";
  if (size >= 10 ** (digits + 1) || (size > 0 && size < 1e-3)) text = number.toExponential(Math.max(1, digits - 3));
  else if (size > 0)
    text = number.toFixed(Math.min(digits + 1, Math.max(0, digits - 1 - Math.floor(Math.log10(size)))));
  return text.replace(/-/g, "−").replace("e+", "e");
}
const formatGiven = (number) => {
  const short = String(number);
  return short.length <= 7 ? short.replace("-", "−") : format(number);
};
// Two numbers with as many digits as it takes to tell them apart.
function formatApart(one, other) {
  for (let digits = 5; digits < 17; digits++) {
    const texts = [format(one, digits), format(other, digits)];
    if (texts[0] !== texts[1]) return texts;
  }
  return [String(one), String(other)];
}
const formatShare = (share) =>
  share >= 0.01 || share === 0 ? String(Number(share.toPrecision(2))) : share.toExponential(1).replace("-", "−");

const SLOPES = {
  identity: () => ["1"],
  relu: (a) => ["[", a, " > 0]"],
  leaky_relu: (a) => ["(1 if ", a, ` ≥ 0, ${LEAK} if not)`],
  sigmoid: (a) => [a, " (1 − ", a, ")"],
  tanh: (a) => ["(1 − ", a, "²)"],
  softplus: (a) => ["(1 − exp(−", a, "))"],
  silu: (a, z) => ["silu′(", z, ")"],
  gelu: (a, z) => ["gelu′(", z, ")"],
  sine: (a, z) => ["cos ", z],
};

const joined = (terms, between) => terms.flatMap((term, k) => (k ? [between, ...term] : term));

// The formula of a number: text and references (as {ref}) in turn. n is how many samples the loss is a mean over.
function formulaOf(mlp, lossName, n, ref) {
  const [kind, l, i, j] = split(ref),
    { sizes } = mlp,
    L = sizes.length - 1;
  const r = (...parts) => ({ ref: parts.join(".") });
  const each = (size, term) => [...Array(size).keys()].map(term);
  const mean = n > 1 ? ` / ${n}` : "";
  const slope = () => SLOPES[mlp.activations[l - 1]](r("a", l, i), r("z", l, i));
  switch (kind) {
    case "z":
      return [
        ...joined(
          each(sizes[l - 1], (k) => [r("w", l, k, i), " ", r("a", l - 1, k)]),
          " + ",
        ),
        " + ",
        r("b", l, i),
      ];
    case "a":
      return [`${mlp.activations[l - 1]}(`, r("z", l, i), ")"];
    case "d":
      return [r("e", l, i), " × ", ...slope()];
    case "gw":
      return n > 1 ? ["Σ ", r("a", l - 1, i), " ", r("d", l, j)] : [r("a", l - 1, i), " ", r("d", l, j)];
    case "gb":
      return n > 1 ? ["Σ ", r("d", l, i)] : [r("d", l, i)];
    case "loss":
      return lossFormula(
        lossName,
        sizes[L],
        n > 1 ? "Σ " : "",
        mean,
        (j) => r("a", L, j),
        (j) => r("y", j),
      );
    case "e": {
      if (l < L)
        return joined(
          each(sizes[l + 1], (k) => [r("d", l + 1, k), " ", r("w", l + 1, i, k)]),
          " + ",
        );
      const a = r("a", L, i),
        y = r("y", i),
        k = sizes[L];
      if (lossName === "mean_squared_error") return [k > 1 ? `2/${k} (` : "2 (", a, " − ", y, `)${mean}`];
      if (lossName === "half_squared_error") return mean ? ["(", a, " − ", y, `)${mean}`] : [a, " − ", y];
      if (lossName === "binary_cross_entropy") return ["(sigmoid(", a, ") − ", y, `)${k > 1 ? ` / ${k}` : ""}${mean}`];
      const powers = joined(
        each(k, (c) => ["exp(", r("a", L, c), ")"]),
        " + ",
      );
      return [mean ? "(exp(" : "exp(", a, ") / (", ...powers, ") − ", y, mean ? `)${mean}` : ""];
    }
    default:
      return [];
  }
}

// The loss of k outputs a(j) and targets y(j); sign and mean stand around it where it is a mean over samples.
function lossFormula(lossName, k, sign, mean, a, y) {
  const sumOver = (term) => joined([...Array(k).keys()].map(term), " + ");
  const squares = sumOver((j) => ["(", a(j), " − ", y(j), ")²"]);
  const [open, close] = k > 1 ? ["(", ")"] : ["", ""];
  switch (lossName) {
    case "mean_squared_error":
      return [sign + open, ...squares, close + (k > 1 ? ` / ${k}` : "") + mean];
    case "half_squared_error":
      return [`${sign}½ ${open}`, ...squares, close + mean];
    case "binary_cross_entropy": {
      const terms = sumOver((j) => ["log(1 + exp(", a(j), ")) − ", y(j), " ", a(j)]);
      return [`${sign}(`, ...terms, ")" + (k > 1 ? ` / ${k}` : "") + mean];
    }
    default: {
      const chosen = sumOver((j) => [y(j), " ", a(j)]);
      return [`${sign}(log(`, ...sumOver((j) => ["exp(", a(j), ")"]), ") − (", ...chosen, "))" + mean];
    }
  }
}

const factorsOf = (parts) => [...new Set(parts.filter((part) => part.ref).map((part) => part.ref))];
