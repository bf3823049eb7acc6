// The page's one state, its history, and what is computed from it; every view reads and changes it here.
import { packState, unpackState } from "./address.js";
import { readData } from "./data.js";
import { backprop } from "./engine.js";
import { formulaOf, isParameter, split, stageOf, valueOf } from "./formulas.js";
import { memo } from "./memo.js";
import { MISTAKES } from "./mistakes.js";
import { VIEWS, changed, hiddenRef, initialState, viewsFor } from "./state.js";
import { rulesOf } from "./training.js";
import { refuse } from "./words.js";

export const data = readData(JSON.parse(document.getElementById("data").textContent));
export const initial = initialState(data);

const MAX_UNDO = 1000;
const listeners = [];
let past = [];
let future = [];
let merging = null;
let drawing = false;

/** @type {import("./state.js").State} */
let now = initial;
export const state = () => now;
export const onChange = (listener) => listeners.push(listener);

// The views that this page has for the network on screen.
export const openViews = () => viewsFor(data.views, now);
const settled = (part, from = now) => changed(from, part, { initial, views: data.views });

// Changes some fields as one action that can be undone. Changes with the same `merge` after each other are one action;
// a quiet change (what is pointed at) is none.
export function change(part, { merge = null, quiet = false } = {}) {
  const next = settled(part);
  const alike = Object.keys(next).every((key) => next[key] === now[key]);
  if (alike) return;
  if (!quiet) {
    if (merge === null || merge !== merging) past = [...past, now].slice(-MAX_UNDO);
    merging = merge;
    future = [];
  }
  now = next;
  redraw();
}
export const endMerge = () => {
  merging = null;
};
export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;
export function undo() {
  if (!past.length) return;
  future = [now, ...future];
  now = past.at(-1);
  past = past.slice(0, -1);
  merging = null;
  redraw();
}
export function redo() {
  if (!future.length) return;
  past = [...past, now];
  [now, ...future] = future;
  merging = null;
  redraw();
}
export function reset() {
  if (now === initial) return;
  past = [...past, now].slice(-MAX_UNDO);
  future = [];
  merging = null;
  now = initial;
  redraw();
}

// --- the address

export const code = () => (now === initial ? "" : packState(now, initial));
export function open(fragment) {
  let next = null;
  if (VIEWS.includes(fragment))
    next = data.views.includes(fragment) ? settled({ view: fragment }) : now;
  else if (/^[\w-]*$/.test(fragment)) next = unpackState(fragment, initial);
  if (!next) return;
  // A state from outside goes through the same checks as any change.
  settled(
    { sizes: next.sizes, activations: next.activations, params: next.params, bias: next.bias },
    next
  );
  now = next;
  redraw();
}
export function openAsAction(fragment) {
  const before = now;
  open(fragment);
  if (now === before) return;
  past = [...past, before];
  future = [];
  merging = null;
}

// --- what is computed from the state

export const L = () => now.sizes.length - 1;
const mlpMemo = memo((sizes, activations, bias) => ({ sizes, activations, bias }));
export const mlp = () => mlpMemo(now.sizes, now.activations, now.bias);
const rowsMemo = () => memo((all, scope, sample) => (scope === "sample" ? [all[sample]] : all));
const [inputRows, targetRows] = [rowsMemo(), rowsMemo()];
export const inputs = () => inputRows(now.samples.inputs, now.scope, now.sample);
export const targets = () => targetRows(now.samples.targets, now.scope, now.sample);
export const row = () => (now.scope === "sample" ? 0 : now.sample);
export const numSamples = () => (now.scope === "sample" ? 1 : now.samples.inputs.length);
const rulesMemo = memo(rulesOf);
export const rules = () => rulesMemo(now.broken);

const traced = () =>
  memo((net, params, some, theirs, loss, broken) =>
    backprop(net, params, some, theirs, loss, rulesOf(broken))
  );
const [brokenTrace, rightTrace, wholeTrace] = [traced(), traced(), traced()];
export const right = () => rightTrace(mlp(), now.params, inputs(), targets(), now.loss, null);
export const trace = () =>
  now.broken ? brokenTrace(mlp(), now.params, inputs(), targets(), now.loss, now.broken) : right();
// Both passes of all samples together, as the training sees them.
export const whole = () =>
  now.scope === "all"
    ? trace()
    : wholeTrace(mlp(), now.params, now.samples.inputs, now.samples.targets, now.loss, now.broken);

export const value = (ref) => valueOf(trace(), row(), ref);
export const formula = (ref) =>
  (now.broken ? MISTAKES[now.broken].formula(now, ref) : undefined) ??
  formulaOf(mlp(), now.loss, numSamples(), ref);
export const hidden = () => hiddenRef(now);
export const known = (ref) => stageOf(mlp(), ref) <= now.stage && ref !== hidden();

// Whether jaxbp's own numbers of what is on screen are in the page.
export const isRecorded = () =>
  now.params === initial.params &&
  now.samples === initial.samples &&
  now.sizes === initial.sizes &&
  now.activations === initial.activations &&
  now.loss === initial.loss;

const replaced = (array, index, next) => array.map((old, k) => (k === index ? next : old));

// The part of the state in which one given number (weight, bias, input or target) has another value.
function partWith(ref, number) {
  const [kind, l, i, j] = split(ref);
  const { params, sample, samples } = now;
  if (kind === "a")
    return {
      samples: {
        inputs: replaced(samples.inputs, sample, replaced(samples.inputs[sample], i, number))
      }
    };
  if (kind === "y")
    return {
      samples: {
        targets: replaced(samples.targets, sample, replaced(samples.targets[sample], l, number))
      }
    };
  const layer = params[l - 1];
  const next =
    kind === "w"
      ? { ...layer, weight: replaced(layer.weight, i, replaced(layer.weight[i], j, number)) }
      : { ...layer, bias: replaced(layer.bias, i, number) };
  return { params: replaced(params, l - 1, next) };
}
export function setNumber(ref, number, options) {
  if (!isParameter(ref)) refuse("computed", ref);
  const inside =
    ref.startsWith("y") && /entropy/.test(now.loss) ? Math.min(1, Math.max(0, number)) : number;
  change(partWith(ref, inside), options);
}

// --- drawing

export const wide = matchMedia("(min-width: 1100px)");
export const narrow = matchMedia("(max-width: 799px)");

function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(flush);
}
function flush() {
  drawing = false;
  for (const listener of listeners) listener();
}
