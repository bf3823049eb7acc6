// The left column: the data, the network, the loss, and how it is trained.
import { DATASETS, MAX_SAMPLES, readTable } from "./datasets.js";
import { button, checkbox, choice, make, numberField } from "./dom.js";
import { ACTIVATIONS, LOSSES } from "./engine.js";
import { MAX_GAUSS_NEWTON, OPTIMIZERS, countParams } from "./optimizers.js";
import { SCHEMES } from "./start.js";
import { LAYER_LIMIT, isCrossEntropy } from "./state.js";
import * as page from "./store.js";
import { has, say } from "./words.js";

const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10];
const COUNTS = [4, 10, 20, 40, 60, 80, 100, 150, 200, 300, 400, MAX_SAMPLES];
const NOISES = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1];
const PENALTIES = [0, 0.0001, 0.001, 0.01, 0.1, 1];
const SHARES = [0, 0.1, 0.2, 0.3, 0.4, 0.5];
const controls = [];
let formula, layers, layersFor, logits, message, sampleNote;

const named = (names) =>
  Object.fromEntries(names.map((name) => [name, has(name) ? say(name) : name.replace("_", " ")]));
// A control that is seen where it has an effect.
const add = (control, isSeen = () => true) => {
  controls.push({
    sync: () => {
      control.sync();
      control.element.hidden = !isSeen();
    }
  });
  return control.element;
};
const SEEDS = [...Array(51).keys()];

// A change that cannot be made says why, and nothing changes.
function attempt(part) {
  try {
    page.change(part);
    message.textContent = "";
  } catch (error) {
    message.textContent = error.message;
    last = [];
    render();
  }
}

const group = (title, ...children) =>
  make("details", { open: true }, make("summary", {}, make("h2", {}, title)), ...children);

function dataGroup() {
  const setData = (key) => (value) => attempt({ data: { [key]: value } });
  const of = (key) => () => page.state().data[key];
  const field = (key, ...limits) =>
    add(
      numberField(say(`data.${key}`), of(key), setData(key), ...limits),
      () => page.state().data.name in DATASETS
    );
  formula = make("input", {
    type: "text",
    "aria-label": say("data.formula"),
    onchange: () => attempt({ data: { name: "formula", formula: formula.value } })
  });
  const pick = choice(
    say("data.name"),
    { given: say("data.given"), ...named(Object.keys(DATASETS)), own: say("data.own") },
    of("name"),
    chooseData,
    (name) => (name === "own" && page.state().data.name !== "own" ? "" : null)
  );
  const pasted = make("textarea", {
    rows: 4,
    placeholder: "x, y, target\n0, 1, 1",
    "aria-label": say("data.paste")
  });
  const paste = make(
    "details",
    { class: "paste" },
    make("summary", {}, say("data.paste")),
    pasted,
    button(say("data.use"), () => useTable(pasted.value))
  );
  for (const kind of ["dragover", "drop"])
    paste.addEventListener(kind, async (event) => {
      event.preventDefault();
      if (kind === "drop") useTable((pasted.value = await event.dataTransfer.files[0].text()));
    });
  return group(
    say("settings.data"),
    add(pick),
    make("p", { class: "control formula-field" }, make("span", {}, "y ="), formula),
    field("number", COUNTS, MAX_SAMPLES, true, 1),
    field("noise", NOISES, 10),
    field("test", SHARES, 0.9),
    field("seed", SEEDS, 2 ** 31, true),
    paste
  );
}

// A data set comes with the number of samples and the loss that suit it.
function chooseData(name) {
  const set = DATASETS[name];
  if (!set) return attempt({ data: { name } });
  const { sizes, loss } = page.state();
  const classes = set.kind === "classes";
  const suits = classes || !isCrossEntropy(loss);
  const outputs = sizes.at(-1) === 1 ? {} : { sizes: [2, ...sizes.slice(1, -1), 1] };
  return attempt({
    data: { name, number: set.number, noise: 0 },
    ...(suits ? {} : { loss: "mean_squared_error" }),
    ...outputs
  });
}

function useTable(text) {
  try {
    const { inputs, targets, classes } = readTable(text);
    const { sizes, loss } = page.state();
    const next = [inputs[0].length, ...sizes.slice(1, -1), targets[0].length];
    const fitting = classes
      ? { loss: classes.length > 2 ? "softmax_cross_entropy" : "binary_cross_entropy" }
      : isCrossEntropy(loss) && targets.some(([t]) => t < 0 || t > 1)
        ? { loss: "mean_squared_error" }
        : {};
    attempt({
      samples: { inputs, targets },
      test: { inputs: [], targets: [] },
      sizes: next,
      units: null,
      ...fitting
    });
  } catch (error) {
    message.textContent = error.message;
  }
}

// --- the network

function setLayer(k, size) {
  const { sizes } = page.state();
  attempt({ sizes: sizes.map((old, l) => (l === k ? size : old)) });
}
function addLayer(by) {
  const { sizes } = page.state();
  const hidden = sizes.slice(1, -1);
  const next = by > 0 ? [...hidden, hidden.at(-1) ?? 4] : hidden.slice(0, -1);
  attempt({ sizes: [sizes[0], ...next, sizes.at(-1)] });
}

function layerRow(k) {
  const last = k === page.L();
  const { element, sync } = choice(
    last ? say("network.output") : say("layer", k),
    named(Object.keys(ACTIVATIONS)),
    () => page.state().activations[k - 1],
    (name) =>
      attempt({
        activations: page.state().activations.map((old, l) => (l === k - 1 ? name : old))
      }),
    (name) =>
      last && isCrossEntropy(page.state().loss) && name !== "identity"
        ? say("network.logits")
        : null
  );
  const count = make("output", {});
  const row = make(
    "div",
    { class: "layer" },
    element,
    last
      ? count
      : make(
          "span",
          { class: "pair" },
          button("−", () => setLayer(k, page.state().sizes[k] - 1), {
            "aria-label": say("network.fewer", k)
          }),
          count,
          button("+", () => setLayer(k, page.state().sizes[k] + 1), {
            "aria-label": say("network.more", k)
          })
        )
  );
  return {
    row,
    sync: () => {
      sync();
      const size = page.state().sizes[k];
      count.textContent = size;
      const [less, more] = row.querySelectorAll(".pair button");
      if (less) [less.disabled, more.disabled] = [size <= 1, size >= LAYER_LIMIT];
    }
  };
}

function networkGroup() {
  logits = make("p", { class: "caption" });
  layers = make("div", { class: "layers" });
  const losses = choice(
    say("loss"),
    named(Object.keys(LOSSES)),
    () => page.state().loss,
    (loss) => attempt({ loss }),
    (name) => {
      const { samples, sizes } = page.state();
      if (name === "softmax_cross_entropy" && sizes.at(-1) < 2) return say("loss.two");
      const fine =
        !isCrossEntropy(name) || samples.targets.every((row) => row.every((t) => t >= 0 && t <= 1));
      return fine ? null : say("loss.classes");
    }
  );
  return group(
    say("settings.network"),
    make(
      "div",
      { class: "bar" },
      make("span", {}, say("network.layers")),
      button("−", () => addLayer(-1), { "aria-label": say("network.layer.fewer"), class: "fewer" }),
      button("+", () => addLayer(1), { "aria-label": say("network.layer.more"), class: "more" })
    ),
    layers,
    add(losses),
    logits,
    add(
      checkbox(
        say("network.bias"),
        () => page.state().bias,
        (bias) => attempt({ bias })
      )
    ),
    add(
      choice(
        say("training.start"),
        { given: say("training.given"), ...named(Object.keys(SCHEMES)) },
        () => page.state().scheme,
        (scheme) => attempt({ scheme }),
        (name) =>
          name === "given" && String(page.state().sizes) !== String(page.initial.sizes) ? "" : null
      )
    ),
    add(
      numberField(
        say("training.seed"),
        () => page.state().seed,
        (seed) => attempt({ seed }),
        SEEDS,
        2 ** 31,
        true
      )
    ),
    add(
      choice(
        say("cards"),
        { numbers: say("cards.numbers"), maps: say("cards.maps") },
        () => page.state().cards,
        (cards) => attempt({ cards }),
        (name) => (name === "maps" && page.state().sizes[0] > 2 ? say("cards.two") : null)
      )
    )
  );
}

function trainingGroup() {
  const set = (key) => (value) => attempt({ training: { [key]: value } });
  const of = (key) => () => page.state().training[key];
  const field = (key, isSeen, ...limits) =>
    add(numberField(say(`training.${key}`), of(key), set(key), ...limits), isSeen);
  const uses = (name) => of("optimizer")() === name;
  return group(
    say("settings.training"),
    add(
      choice(
        say("training.optimizer"),
        named([...Object.keys(OPTIMIZERS), "gauss_newton"]),
        of("optimizer"),
        set("optimizer"),
        (name) =>
          name !== "gauss_newton"
            ? null
            : page.state().broken
              ? say("training.rules")
              : countParams(page.state().params) > MAX_GAUSS_NEWTON
                ? say("training.large", MAX_GAUSS_NEWTON)
                : null
      )
    ),
    field("rate", () => !uses("gauss_newton"), RATES, 1e6),
    field("momentum", () => uses("momentum"), [0, 0.5, 0.8, 0.9, 0.95, 0.99], 0.9999),
    field("batch", () => true, [0, 1, 2, 4, 8, 16, 32, 64, 128], MAX_SAMPLES, true),
    field("l1", () => !uses("gauss_newton"), PENALTIES, 1000),
    field("l2", () => true, PENALTIES, 1000),
    make("p", { class: "caption update-rule" })
  );
}

// --- the sample

function sampleGroup() {
  const move = (by) => () => {
    const { sample, samples } = page.state();
    page.change({ sample: (sample + by + samples.inputs.length) % samples.inputs.length });
  };
  sampleNote = make("output", { class: "of" });
  const picked = numberField(
    say("sample"),
    () => page.state().sample + 1,
    (s) => page.change({ sample: s - 1 }),
    [],
    MAX_SAMPLES,
    true,
    1
  );
  controls.push(picked);
  picked.element
    .querySelector(".pair")
    .replaceChildren(
      button("‹", move(-1), { "aria-label": say("sample.before") }),
      button("›", move(1), { "aria-label": say("sample.after") })
    );
  picked.element.querySelector("label").append(" ", sampleNote);
  const scope = choice(
    say("scope"),
    { sample: say("scope.sample"), all: say("scope.all") },
    () => page.state().scope,
    (chosen) => page.change({ scope: chosen })
  );
  return group(say("settings.sample"), picked.element, add(scope));
}

export function build(panel) {
  message = make("p", { class: "bad message", role: "alert" });
  controls.length = last.length = 0;
  layersFor = null;
  panel.append(message, sampleGroup(), dataGroup(), networkGroup(), trainingGroup());
}

const RULE = {
  descent: "w ← w − η ∂L/∂w",
  momentum: "v ← μ v + ∂L/∂w,  w ← w − η v",
  adam: "m ← 0.9 m + 0.1 g,  v ← 0.999 v + 0.001 g²,  w ← w − η m̂ / (√v̂ + 1e−8)",
  gauss_newton: "(JᵀJ + λ I) d = Jᵀe,  w ← w − d"
};

// What the column shows: all of the state but what training changes at every step.
const shown = () => {
  const { params, training, ...rest } = page.state();
  const { optimizer, rate, momentum, batch, l1, l2 } = training;
  return [countParams(params), ...Object.values(rest), optimizer, rate, momentum, batch, l1, l2];
};
let last = [];

export function render() {
  const now = shown();
  if (now.every((value, k) => value === last[k])) return;
  last = now;
  const { sizes, data, loss, samples, training } = page.state();
  if (layersFor?.length !== sizes.length) {
    const rows = sizes.slice(1).map((_, k) => layerRow(k + 1));
    layersFor = { length: sizes.length, rows };
    layers.replaceChildren(...rows.map(({ row }) => row));
  }
  for (const { sync } of layersFor.rows) sync();
  for (const { sync } of controls) sync();
  sampleNote.textContent = say("sample.of", samples.inputs.length);
  if (document.activeElement !== formula) formula.value = data.formula;
  logits.textContent = has(`logits.${loss}`) ? say(`logits.${loss}`) : "";
  formula.parentElement.hidden = data.name !== "formula";
  const { l1, l2, optimizer } = training;
  const pulls = [l1 && optimizer !== "gauss_newton" && `${l1} sign w`, l2 && `${l2} w`].filter(
    Boolean
  );
  document.querySelector(".update-rule").textContent =
    RULE[optimizer] + (pulls.length ? `  (∂L/∂w + ${pulls.join(" + ")})` : "");
}
