// Whether numbers are right: traces compared number by number, and a trace compared with central differences.
import { RULES, backprop, centralDifference, loss } from "./engine.js";
import { computedRefs, split, valueOf } from "./formulas.js";
import { UNIT, rounding } from "./rounding.js";

// Compares two traces number by number, in the order of the passes, each with the largest of its kind in its layer.
// bounds() says what rounding may do to each, if it may do more than that.
export function compare(mlp, row, found, expected, bounds = null) {
  const refs = computedRefs(mlp),
    largest = {},
    wrong = [];
  const leaf = (ref) => ref.split(".").slice(0, 2).join(".");
  for (const ref of refs)
    largest[leaf(ref)] = Math.max(largest[leaf(ref)] ?? 0, Math.abs(valueOf(expected, row, ref)));
  let worst = 0;
  for (const ref of refs) {
    const difference = Math.abs(valueOf(found, row, ref) - valueOf(expected, row, ref));
    const relative = difference === 0 ? 0 : difference / largest[leaf(ref)];
    worst = Math.max(worst, Number.isNaN(relative) ? Infinity : relative);
    if (!(relative <= 1e-12) && !(bounds && difference <= UNIT * valueOf(bounds(), row, ref)))
      wrong.push(ref);
  }
  return { count: refs.length, worst, wrong };
}

// Compares the engine with the numbers that jaxbp wrote into the page: each sample by itself, and all together.
export function judgeEngine(data, rules = RULES) {
  const { mlp, params, inputs, targets, loss: lossName } = data;
  const result = { count: 0, worst: 0, first: null };
  const passes = (some, theirs) => {
    let bounds = null;
    const found = backprop(mlp, params, some, theirs, lossName, rules);
    const right = () => (bounds ??= rounding(backprop(mlp, params, some, theirs, lossName), some));
    return { found, bounds: right };
  };
  const look = (expected, row, { found, bounds }) => {
    const { count, worst, wrong } = compare(mlp, row, found, expected, bounds);
    result.count += count;
    result.worst = Math.max(result.worst, worst);
    result.first ??= wrong[0] ?? null;
  };
  data.traces.forEach((expected, s) => look(expected, 0, passes([inputs[s]], [targets[s]])));
  const all = passes(inputs, targets);
  data.traces.forEach((_, s) => look(data.batch, s, all));
  return result;
}

// A derivative without a backward pass: of a parameter, or of something added to a number on its way.
export function numericDerivative({ mlp, params, inputs, targets, lossName, row, rules }, ref) {
  const [kind, l, i, j] = split(ref);
  const kinked = mlp.activations.some((name) => /relu/.test(name));
  if (kind === "e" || kind === "d") {
    const shift = { kind: kind === "e" ? "a" : "z", layer: l, row, unit: i };
    const moved = (by) => loss(mlp, params, inputs, targets, lossName, rules, { ...shift, by });
    return centralDifference(moved, 0, kinked);
  }
  const changed = params.map((layer) => ({ ...layer }));
  const place = kind === "gw" ? [...params[l - 1].weight[i]] : [...params[l - 1].bias];
  const at = kind === "gw" ? j : i;
  if (kind === "gw")
    changed[l - 1].weight = params[l - 1].weight.map((r, k) => (k === i ? place : r));
  else changed[l - 1].bias = place;
  return centralDifference(
    (x) => {
      place[at] = x;
      return loss(mlp, changed, inputs, targets, lossName, rules);
    },
    place[at],
    kinked
  );
}

// What a difference of this loss cannot resolve.
export const tolerance = (largest, size) => 1e-7 * largest + 1e-9 * Math.max(1, Math.abs(size));

// Compares derivatives with central differences, at most `limit` of them, evenly chosen: {count, of, worst, wrong}.
export function judgeByDifferences(setting, trace, limit) {
  const refs = computedRefs(setting.mlp).filter((ref) => /^[edg]/.test(ref));
  const chosen = refs.filter(
    (_, k) =>
      refs.length <= limit ||
      Math.floor((k * limit) / refs.length) !== Math.floor(((k - 1) * limit) / refs.length)
  );
  const pairs = chosen.map((ref) => ({
    ref,
    hand: valueOf(trace, setting.row, ref),
    numeric: numericDerivative(setting, ref)
  }));
  const largest = Math.max(...pairs.map(({ numeric }) => Math.abs(numeric)), 0);
  const apart = ({ hand, numeric }) => Math.abs(hand - numeric);
  const wrong = pairs.filter((pair) => !(apart(pair) <= tolerance(largest, trace.loss)));
  const worst = largest
    ? Math.max(...pairs.map(apart)) / largest
    : Math.max(...pairs.map(apart), 0);
  return { count: pairs.length, of: refs.length, worst, wrong: wrong.map(({ ref }) => ref) };
}
