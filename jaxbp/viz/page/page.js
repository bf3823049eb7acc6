// What the views share: one network, one sample, one stage, one selected number and unit; and how they are redrawn.
"use strict";

const views = {}; // each view file adds {build(root), render(changed)}; build runs once, render after every change

// Reads numbers that were written as their bytes: exact, and half as long as digits.
function reader(base64, bits = 64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const numbers = bits === 32 ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
  let next = 0;
  const row = (size) => Array.from(numbers.subarray(next, (next += size)));
  const rows = (count, size) => Array.from({ length: count }, () => row(size));
  const layers = ({ sizes }) => sizes.slice(1).map((size, k) => ({ weight: rows(sizes[k], size), bias: row(size) }));
  return { row, rows, layers };
}

// What jaxbp wrote into the page, its numbers unpacked; its traces look like those of the engine.
function readData() {
  const data = JSON.parse(document.getElementById("data").textContent),
    { mlp, numSamples } = data,
    { sizes } = mlp;
  const readTrace = (packed, count) => {
    const from = reader(packed),
      each = () => [null, ...sizes.slice(1).map((size) => from.rows(count, size))];
    return {
      preactivations: each(),
      activations: each(),
      activationErrors: each(),
      nodeErrors: each(),
      gradient: from.layers(mlp),
      loss: from.row(1)[0],
    };
  };
  return {
    ...data,
    params: reader(data.params).layers(mlp),
    inputs: reader(data.inputs).rows(numSamples, sizes[0]),
    targets: reader(data.targets).rows(numSamples, sizes.at(-1)),
    traces: data.traces.map((packed) => readTrace(packed, 1)),
    batch: readTrace(data.batch, data.traces.length),
  };
}

const page = (() => {
  const data = readData(),
    words = JSON.parse(document.getElementById("words").textContent);
  const L = () => state.mlp.sizes.length - 1;
  const wide = matchMedia("(min-width: 1100px)"),
    narrow = matchMedia("(max-width: 700px)"),
    still = matchMedia("(prefers-reduced-motion: reduce)");

  const PASSING = ["number", "hovered", "unit", "stage", "hidden"]; // what changes no number
  const state = {
    mlp: data.mlp,
    params: data.params,
    inputs: data.inputs,
    targets: data.targets,
    lossName: data.loss,
    sample: 0,
    scope: "sample",
    stage: 3 * (data.mlp.sizes.length - 1) + 1,
    number: null,
    hovered: null,
    unit: [data.mlp.sizes.length - 1, 0],
    mistake: null,
    hidden: null,
    view: data.views[0],
  };

  function say(key, ...values) {
    if (!(key in words)) throw new Error(`words.json lacks ${key}`);
    return words[key].replace(/\{(\d)\}/g, (_, k) => values[k]);
  }

  // The samples that the loss is a mean over, and the row of the selected one among them.
  const rows = (all) => (state.scope === "sample" ? [all[state.sample]] : all);
  const row = () => (state.scope === "sample" ? 0 : state.sample);
  const numSamples = () => (state.scope === "sample" ? 1 : state.inputs.length);
  const rules = () => ({ ...RULES, ...(state.mistake ? MISTAKES[state.mistake].rules : {}) });

  let traces = {};
  function traceWith(name, chosen) {
    traces[name] ??= backprop(state.mlp, state.params, rows(state.inputs), rows(state.targets), state.lossName, chosen);
    return traces[name];
  }
  const trace = () => traceWith("current", rules());
  const right = () => (state.mistake ? traceWith("right", RULES) : trace());

  const value = (ref) => valueOf(trace(), row(), ref);
  const formula = (ref) =>
    MISTAKES[state.mistake]?.formula?.(state, ref) ?? formulaOf(state.mlp, state.lossName, numSamples(), ref);
  const known = (ref) => stageOf(state.mlp, ref) <= state.stage && ref !== state.hidden;

  // The same derivative without a backward pass: of a parameter, or of something added to a number on its way.
  function numeric(ref) {
    const [kind, l, i, j] = split(ref);
    const { mlp, lossName } = state,
      inputs = rows(state.inputs),
      targets = rows(state.targets),
      chosen = rules(),
      kinked = mlp.activations.some((name) => /relu/.test(name));
    if (kind === "e" || kind === "d") {
      const shift = { kind: kind === "e" ? "a" : "z", layer: l, row: row(), unit: i };
      const moved = (by) => loss(mlp, state.params, inputs, targets, lossName, chosen, { ...shift, by });
      return centralDifference(moved, 0, kinked);
    }
    const moved = state.params.map((layer) => ({ ...layer }));
    const place = kind === "gw" ? [...state.params[l - 1].weight[i]] : [...state.params[l - 1].bias];
    const at = kind === "gw" ? j : i;
    if (kind === "gw") moved[l - 1].weight = state.params[l - 1].weight.map((r, k) => (k === i ? place : r));
    else moved[l - 1].bias = place;
    return centralDifference((x) => {
      place[at] = x;
      return loss(mlp, moved, inputs, targets, lossName, chosen);
    }, place[at], kinked);
  }

  // Parameters, inputs and targets are replaced, never written to, so that a view sees by identity what changed.
  const replaced = (array, index, value) => array.map((old, k) => (k === index ? value : old));
  function set(ref, value) {
    const [kind, l, i, j] = split(ref),
      { params, sample } = state;
    if (kind === "a")
      return change({ inputs: replaced(state.inputs, sample, replaced(state.inputs[sample], i, value)) });
    if (kind === "y")
      return change({ targets: replaced(state.targets, sample, replaced(state.targets[sample], l, value)) });
    const layer = params[l - 1];
    const next =
      kind === "w"
        ? { ...layer, weight: replaced(layer.weight, i, replaced(layer.weight[i], j, value)) }
        : { ...layer, bias: replaced(layer.bias, i, value) };
    return change({ params: replaced(params, l - 1, next) });
  }

  let pending = null;
  function change(some) {
    const keys = Object.keys(some).filter((key) => state[key] !== some[key]);
    if (!keys.length) return;
    if (keys.includes("mlp") && !("unit" in some))
      some = { ...some, unit: [some.mlp.sizes.length - 1, 0], number: null };
    if (keys.includes("mlp"))
      some = { ...some, hovered: null, hidden: null, stage: 3 * (some.mlp.sizes.length - 1) + 1 };
    if (keys.includes("view") && !["walk", "reveal"].includes(some.view)) some = { hidden: null, ...some };
    Object.assign(state, some);
    if (!keys.every((key) => PASSING.includes(key))) traces = {};
    if (!pending) {
      pending = new Set();
      requestAnimationFrame(flush);
    }
    Object.keys(some).forEach((key) => pending.add(key));
  }

  const shown = (name) => data.views.includes(name) && (state.view === name || (name === "walk" && wide.matches));
  function flush() {
    const changed = pending ?? new Set();
    pending = null;
    for (const name of data.views) {
      const panel = document.getElementById(`panel-${name}`),
        tab = document.getElementById(`tab-${name}`);
      panel.hidden = !shown(name);
      tab.setAttribute("aria-selected", String(state.view === name));
      tab.tabIndex = state.view === name ? 0 : -1;
      if (shown(name))
        views[name].render(changed, [...changed].every((key) => PASSING.includes(key)) && changed.size > 0);
    }
    document.getElementById("views").classList.toggle("pair", data.views.filter(shown).length > 1);
    frame.render();
  }

  function start() {
    const asked = location.hash.slice(1);
    if (data.views.includes(asked)) state.view = asked;
    frame.build();
    for (const name of data.views) views[name].build(document.getElementById(`panel-${name}`));
    const settle = () => {
      if (wide.matches && state.view === "walk" && data.views.length > 1)
        state.view = data.views.find((v) => v !== "walk");
      flush();
    };
    wide.addEventListener("change", settle);
    addEventListener("resize", () => change({ width: innerWidth }));
    settle();
  }

  return {
    data,
    state,
    say,
    L,
    rows,
    row,
    numSamples,
    trace,
    right,
    rules,
    value,
    formula,
    known,
    numeric,
    set,
    change,
    flush,
    start,
    shown,
    wide,
    narrow,
    still,
  };
})();

// The namespace of SVG, from the browser itself: the page holds no address, not even that one.
const SVG = (() => {
  const holder = document.createElement("div");
  holder.innerHTML = "<svg></svg>";
  return holder.firstChild.namespaceURI;
})();

// Makes an element: make("button", {class: "number", onclick: f}, child, ...).
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "rect", "text", "g", "polyline"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "html") element.innerHTML = value;
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// A labelled control: a slider with its value, or a list of choices given as {value: label}.
function slider(label, range, value, oninput, show = (x) => formatGiven(x)) {
  const output = make("output", {}, show(value));
  const input = make("input", {
    type: "range",
    ...range,
    value,
    oninput: () => {
      output.textContent = show(Number(input.value));
      oninput(Number(input.value));
    },
  });
  return make("label", { class: "control" }, make("span", {}, label), input, output);
}
function choice(label, options, value, onchange) {
  const list = make(
    "select",
    { onchange: () => onchange(list.value) },
    ...Object.entries(options).map(([key, text]) => make("option", { value: key, selected: key === value }, text)),
  );
  return make("label", { class: "control" }, make("span", {}, label), list);
}
const button = (label, onclick, attributes = {}) => make("button", { type: "button", ...attributes, onclick }, label);
