// The network: a card for each unit with its numbers or its map, and lines for the weights.
import { wrongNumbers } from "./broken.js";
import { decided, isClassified } from "./classes.js";
import { button, make } from "./dom.js";
import { ACTIVATIONS, forward } from "./engine.js";
import { format, formatGiven, parseTyped } from "./format.js";
import { factorsOf, isParameter, nameHtml, nameOf, split, unitNumber } from "./formulas.js";
import { gridOf, paint, paintCurve } from "./maps.js";
import { memo } from "./memo.js";
import { isCrossEntropy } from "./state.js";
import * as page from "./store.js";
import { say } from "./words.js";

export const SIDE = 31; // points of the map of a unit
const LEVELS = { full: 0, selected: 1, short: 2 };
const numbers = new Map(); // reference -> {element, text, shown, short}
let root, diagram, stack, lines, columns, legend, drawn;
let hovered = null;

export const hoveredRef = () => hovered;
const same = (a, b) => a === b || (a && b && a[0] === b[0] && a[1] === b[1]);

// The unit that a reference belongs to, as [layer, unit].
export function unitOf(ref) {
  if (!ref || ref === "loss") return null;
  const [kind, l, i, j] = split(ref);
  if (kind === "y" || kind === "p") return [page.L(), l];
  return [l, j ?? i];
}

const resized = new ResizeObserver(() => {
  if (drawn) drawn.level = null;
  render();
});

export function build(panel) {
  root = panel;
  lines = make("svg", { class: "lines", "aria-hidden": "true" });
  columns = make("div", { class: "columns" });
  stack = make("div", { class: "stack" }, lines, columns);
  legend = make("p", { class: "legend" });
  diagram = make(
    "div",
    { class: "diagram", role: "group", "aria-label": say("network.label"), onkeydown: walk },
    stack
  );
  root.append(diagram, legend);
  drawn = null;
  resized.disconnect();
  resized.observe(diagram);
}

// Arrow keys go from number to number inside the diagram, which is one stop of the Tab key.
function walk(event) {
  const here = event.target.closest?.("[data-stop]");
  if (!here || event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey) return;
  const stops = [...columns.querySelectorAll("[data-stop]")];
  const at = stops.indexOf(here);
  let next;
  if (event.key === "ArrowRight") next = stops[at + 1];
  else if (event.key === "ArrowLeft") next = stops[at - 1];
  else if (event.key === "Home") next = stops[0];
  else if (event.key === "End") next = stops.at(-1);
  else if (/^Arrow(Up|Down)$/.test(event.key) && here.getAttribute("role") !== "spinbutton")
    next = nearestAcross(stops, here, event.key === "ArrowDown" ? 1 : -1);
  else return;
  event.preventDefault();
  event.stopPropagation();
  next?.focus();
}
function nearestAcross(stops, here, sign) {
  const box = here.getBoundingClientRect();
  const ahead = stops
    .map((stop) => [stop, stop.getBoundingClientRect()])
    .filter(([, b]) => sign * (b.top - box.top) > 4 && Math.abs(b.left - box.left) < 60);
  ahead.sort(([, a], [, b]) => sign * (a.top - b.top));
  return ahead[0]?.[0];
}

// --- numbers

// One number: a button whose formula is shown or, of what can be changed, a spin button to drag and to type into.
function number(ref, label = nameHtml(page.mlp(), ref), short = false) {
  const name = nameOf(page.mlp(), ref);
  const text = make("span", { class: "value" });
  const key = make("span", { class: "key", html: label, "aria-hidden": "true" });
  const given = isParameter(ref);
  const element = make(
    given ? "span" : "button",
    {
      class: `number ${split(ref)[0]}${given ? " given" : ""}`,
      "data-ref": ref,
      "data-stop": true,
      tabindex: -1,
      ...(given ? { role: "spinbutton", "aria-label": name } : { type: "button" }),
      onclick: () => select(ref),
      onfocus: () => {
        stopAt(element);
        if (drawn.level === LEVELS.full) select(ref);
      },
      onpointerenter: () => hover(ref),
      onpointerleave: () => hover(null)
    },
    ...(given ? [] : [make("span", { class: "unseen" }, name)]),
    key,
    text
  );
  if (given) makeChangeable(element, text, ref);
  numbers.set(ref, { element, text, shown: null, short, plain: element.className, look: "" });
  return element;
}

const select = (ref) => page.change({ selected: ref }, { quiet: true });
function hover(ref) {
  hovered = ref;
  render();
  for (const listener of hoverListeners) listener();
}
const hoverListeners = [];
export const onHover = (listener) => hoverListeners.push(listener);

// The one stop of the Tab key.
function stopAt(element) {
  for (const other of columns.querySelectorAll("[data-stop][tabindex='0']")) other.tabIndex = -1;
  element.tabIndex = 0;
}

const decimal = (value) => Number(value.toPrecision(6)) || 0;
let gestures = 0;
function makeChangeable(element, text, ref) {
  let start = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.target.tagName === "INPUT") return;
    start = { x: event.clientX, value: page.value(ref), merge: `drag ${++gestures}` };
    element.setPointerCapture(event.pointerId);
    element.focus();
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (!start || Math.abs(event.clientX - start.x) < 2) return;
    const unit = event.shiftKey ? 0.001 : 0.01;
    const moved = Math.round(start.value / unit + (event.clientX - start.x)) * unit;
    page.setNumber(ref, decimal(moved), { merge: start.merge });
    element.classList.add("dragged");
  });
  for (const end of ["pointerup", "pointercancel"])
    element.addEventListener(end, () => {
      start = null;
      page.endMerge();
      element.classList.remove("dragged");
    });
  element.addEventListener("dblclick", () => type(element, text, ref, null));
  element.addEventListener("keydown", (event) => {
    if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
    if (by)
      page.setNumber(ref, decimal(page.value(ref) + by * (event.shiftKey ? 0.1 : 1)), {
        merge: `keys ${ref}`
      });
    else if (event.key === "Enter") type(element, text, ref, null);
    else if (/^[-−.\d]$/.test(event.key)) type(element, text, ref, event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

// Replaces the text of a number by a field; Enter keeps what was typed, Escape leaves it as it was.
function type(element, text, ref, first) {
  if (element.querySelector("input")) return;
  const field = make("input", {
    class: "typed",
    inputmode: "decimal",
    "aria-label": nameOf(page.mlp(), ref),
    value: first ?? String(page.value(ref))
  });
  let done = false;
  const close = (keep) => {
    if (done) return;
    const typed = parseTyped(field.value);
    if (keep && !Number.isFinite(typed)) return field.setAttribute("aria-invalid", "true");
    done = true;
    field.replaceWith(text);
    element.focus();
    if (keep) page.setNumber(ref, typed);
  };
  field.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") close(true);
    if (event.key === "Escape") close(false);
  });
  field.addEventListener("blur", () => close(Number.isFinite(parseTyped(field.value))));
  text.replaceWith(field);
  field.focus();
  if (first === null) field.select();
  else field.setSelectionRange(first.length, first.length);
}

// --- cards

const probabilities = () => isCrossEntropy(page.state().loss);
const output = (l) => l === page.L();

function card(l, j, level, maps) {
  const { sizes, activations, bias } = page.state();
  const title = unitNumber(page.mlp(), l, j);
  const attributes = {
    class: "unit",
    role: "group",
    "aria-label": say("unit", title),
    "data-unit": `${l}.${j}`
  };
  if (l === 0)
    return make(
      "div",
      { ...attributes, class: "unit input" },
      number(`a.0.${j}`),
      number(`e.0.${j}`)
    );
  const head = button(`${title}`, () => select(`a.${l}.${j}`), {
    class: "head",
    "aria-label": say("unit.select", title),
    "data-stop": true,
    tabindex: -1
  });
  const own = [
    ...(output(l) && probabilities() ? [number(`p.${j}`)] : []),
    ...(output(l) ? [number(`y.${j}`)] : [])
  ];
  const open =
    level === LEVELS.full ||
    (level === LEVELS.selected && same(unitOf(page.state().selected), [l, j]));
  if (!open) {
    const short = ["a", "d"].map((kind) => number(`${kind}.${l}.${j}`, undefined, true));
    if (!maps) return make("div", { ...attributes, class: "unit closed" }, head, ...short, ...own);
    const canvas = make("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    const side = make("div", {}, ...short, ...own);
    return make("div", { ...attributes, class: "unit mapped" }, head, canvas, side);
  }
  const phi = make("span", { class: "phi" }, activations[l - 1].replace("_", " "));
  const weights = Array.from({ length: sizes[l - 1] }, (_, i) => [
    number(`w.${l}.${i}.${j}`),
    number(`gw.${l}.${i}.${j}`, "<i>∂</i>")
  ]).flat();
  return make(
    "div",
    attributes,
    make("div", { class: "title" }, head, make("span", { class: "note" }), phi),
    make(
      "div",
      { class: "grid" },
      ...weights,
      ...(bias ? [number(`b.${l}.${j}`), number(`gb.${l}.${j}`, "<i>∂</i>")] : []),
      number(`z.${l}.${j}`),
      number(`d.${l}.${j}`),
      number(`a.${l}.${j}`),
      number(`e.${l}.${j}`),
      ...own
    )
  );
}

const maps = () => page.state().cards === "maps" && page.state().sizes[0] <= 2;

function compose(level) {
  numbers.clear();
  columns.classList.toggle("many", unitNumber(page.mlp(), page.L(), 0) > 9);
  columns.replaceChildren(
    ...page
      .state()
      .sizes.map((size, l) =>
        make(
          "div",
          { class: "column", "data-layer": l },
          ...Array.from({ length: size }, (_, j) => card(l, j, level, maps())),
          ...(output(l)
            ? [make("div", { class: "unit total" }, make("small", { class: "of" }), number("loss"))]
            : [])
        )
      )
  );
}

// The most detailed cards that fit into the room there is, scaled to it.
function draw() {
  /** @type {any} */
  const held = document.activeElement?.closest?.(".diagram [data-stop]");
  const heldPlace = held && [held.dataset.ref, held.closest(".unit").dataset.unit];
  const { level, scale } = fit();
  columns.style.width = `${Math.max(columns.offsetWidth, room().width / scale)}px`;
  if (isFixed())
    columns.style.height = `${Math.max(columns.offsetHeight, room().height / scale)}px`;
  stack.style.transform = scale === 1 ? "none" : `scale(${scale})`;
  diagram.style.height = isFixed() ? "" : `${columns.offsetHeight * scale + 10}px`;
  const { sizes, bias, cards, selected, activations, loss } = page.state();
  drawn = { sizes, bias, cards, activations, loss, unit: unitOf(selected), level };
  place();
  const first = columns.querySelector("[data-stop]");
  if (first) first.tabIndex = 0;
  if (heldPlace) focusAgain(...heldPlace);
}
function focusAgain(ref, unit) {
  const again =
    numbers.get(ref)?.element ?? columns.querySelector(`[data-unit="${unit}"] [data-stop]`);
  again?.focus({ preventScroll: true });
}

function fit() {
  const least = maps() ? LEVELS.short : LEVELS.full;
  const legible = page.wide.matches ? 0.85 : 0.78;
  stack.style.transform = "none";
  columns.style.width = columns.style.height = "auto";
  let scale = 1;
  let level = least;
  for (; level <= LEVELS.short; level++) {
    compose(level);
    for (const { text, short } of numbers.values()) text.textContent = short ? "" : "−0.00000";
    scale = Math.min(room().width / columns.offsetWidth, room().height / columns.offsetHeight);
    if (scale >= legible) break;
  }
  const smallest = page.narrow.matches ? 0.6 : 0.45;
  return { level: Math.min(level, LEVELS.short), scale: Math.min(1.35, Math.max(smallest, scale)) };
}
// In a large window the room is what the other parts leave; else the diagram is as high as it needs.
const isFixed = () => document.body.classList.contains("whole");
const room = () => ({
  width: diagram.clientWidth - 8,
  height: isFixed() ? diagram.clientHeight - 8 : Infinity
});

const stale = () => {
  if (!drawn || drawn.level === null) return true;
  const now = page.state();
  if (["sizes", "bias", "cards", "activations", "loss"].some((key) => drawn[key] !== now[key]))
    return true;
  return drawn.level === LEVELS.selected && !same(drawn.unit, unitOf(now.selected));
};

// Lines end at the row of their weight in an open card, at the middle of a closed one.
function place() {
  const at = (element) => {
    let [x, y, up] = [0, 0, element];
    for (; up && up !== columns; up = up.offsetParent)
      [x, y] = [x + up.offsetLeft, y + up.offsetTop];
    return { left: x, right: x + element.offsetWidth, y: y + element.offsetHeight / 2 };
  };
  const middles = new Map();
  for (const element of columns.querySelectorAll("[data-unit]"))
    middles.set(element.dataset.unit, at(element));
  lines.setAttribute("width", columns.offsetWidth);
  lines.setAttribute("height", columns.offsetHeight);
  lines.replaceChildren();
  drawn.lines = [];
  const { sizes } = page.state();
  for (let l = 1; l < sizes.length; l++)
    for (let j = 0; j < sizes[l]; j++)
      for (let i = 0; i < sizes[l - 1]; i++) {
        const ref = `w.${l}.${i}.${j}`;
        const own = numbers.get(ref)?.element;
        const [from, to] = [middles.get(`${l - 1}.${i}`), middles.get(`${l}.${j}`)];
        const y = own ? at(own).y : to.y;
        const bend = (to.left - from.right) / 2;
        const d = `M${from.right} ${from.y}C${from.right + bend} ${from.y} ${to.left - bend} ${y} ${to.left} ${y}`;
        const path = make("path", { d });
        lines.append(path);
        drawn.lines.push({ ref, path, l, j });
      }
}

// --- drawing

const phase = () => {
  const { stage } = page.state();
  return stage <= page.L() + 1 ? "forward" : stage <= 2 * page.L() + 1 ? "step1" : "step2";
};

// What flows along a line: the weight, the part of the next node error that it carries back, or its gradient.
function flow({ ref, l, j }) {
  const weight = page.value(ref);
  const now = phase();
  if (now === "forward") return weight;
  return now === "step1"
    ? page.trace().nodeErrors[l][page.row()][j] * weight
    : page.value(`g${ref}`);
}
const reached = ({ l }) => {
  const { stage } = page.state();
  if (phase() === "forward") return l <= stage || stage === 0;
  return phase() === "step1" ? l >= 2 * page.L() + 2 - stage : l >= 3 * page.L() + 2 - stage;
};

function textOf(ref, value, short) {
  if (ref === page.hidden()) return "?";
  if (!page.known(ref)) return "·";
  const digits = !page.wide.matches || short ? 3 : 4;
  return isParameter(ref) ? formatGiven(value, digits) : format(value, digits);
}

function drawNumbers(active, factors) {
  const { culprits, later } = wrongNumbers();
  const wrong = new Map([
    ...later.map((ref) => [ref, " later"]),
    ...culprits.map((ref) => [ref, " culprit"])
  ]);
  for (const [ref, entry] of numbers) {
    const value = page.value(ref);
    const text = textOf(ref, value, entry.short);
    if (text !== entry.shown) {
      entry.text.textContent = entry.shown = text;
      if (isParameter(ref)) entry.element.setAttribute("aria-valuenow", value);
    }
    const look = [
      factors.has(ref) ? " factor" : "",
      ref === active ? " active" : "",
      ref === page.hidden() ? " asked" : "",
      page.known(ref) ? (wrong.get(ref) ?? "") : ""
    ].join("");
    if (look !== entry.look) entry.element.className = entry.plain + (entry.look = look);
  }
}

export function render() {
  if (!diagram.clientWidth) return;
  if (stale()) draw();
  const active = hovered ?? page.state().selected;
  const factors = new Set(active && page.known(active) ? factorsOf(page.formula(active)) : []);
  drawNumbers(active, factors);
  const unit = unitOf(page.state().selected)?.join(".");
  for (const element of columns.querySelectorAll("[data-unit]")) {
    element.classList.toggle("selected", element.dataset.unit === unit);
    const note = element.querySelector(".note");
    if (note) note.textContent = noteOf(...element.dataset.unit.split(".").map(Number));
  }
  const { sample } = page.state();
  columns.querySelector(".total .of").textContent =
    page.numSamples() > 1 ? say("loss.all", page.numSamples()) : say("loss.one", sample + 1);
  drawLines(active, factors);
  if (maps()) drawMaps();
  legend.textContent = say(`network.legend.${phase()}`);
  root.dataset.stage = page.state().stage;
}

function drawLines(active, factors) {
  const flows = drawn.lines.map((line) => flow(line) || 0).map((x) => (Number.isFinite(x) ? x : 0));
  const many = flows.length > 100;
  const largest = Math.max(...flows.map(Math.abs), 1e-300);
  lines.setAttribute("class", `lines ${phase()}`);
  drawn.lines.forEach((line, k) => {
    const carries = reached(line) && flows[k] !== 0;
    const share = Math.sqrt(Math.abs(flows[k]) / largest);
    const width = carries ? 0.75 + (many ? 2 : 4) * share : 0.75;
    line.path.setAttribute("stroke-width", width.toFixed(2));
    line.path.setAttribute(
      "stroke-opacity",
      many ? (carries ? 0.12 + 0.8 * share : 0.1).toFixed(2) : "1"
    );
    const lit =
      factors.has(line.ref) || active === line.ref || active === line.ref.replace("w", "gw");
    line.path.setAttribute(
      "class",
      [flows[k] < 0 ? "negative" : "", lit ? "lit" : "", carries ? "" : "waiting"].join(" ").trim()
    );
  });
}

// Units through which nothing passes, and units that cannot become different.
const slopeAt = (trace, l, row, j) =>
  ACTIVATIONS[page.state().activations[l - 1]].slope(
    trace.preactivations[l][row][j],
    trace.activations[l][row][j]
  );
function noteOf(l, j) {
  if (l === 0 || page.state().stage < l) return "";
  const { params, sizes } = page.state();
  const whole = page.whole();
  if (whole.preactivations[l].every((_, s) => slopeAt(whole, l, s, j) === 0))
    return say("unit.dead");
  if (slopeAt(page.trace(), l, page.row(), j) === 0) return say("unit.dead.here");
  const alike = (k) =>
    k !== j &&
    params[l - 1].weight.every((w) => w[k] === w[j]) &&
    params[l - 1].bias?.[k] === params[l - 1].bias?.[j] &&
    (l === page.L() || JSON.stringify(params[l].weight[k]) === JSON.stringify(params[l].weight[j]));
  const twin = l < page.L() ? [...Array(sizes[l]).keys()].find(alike) : undefined;
  return twin === undefined ? "" : say("unit.twin", unitNumber(page.mlp(), l, twin));
}

// --- maps

export const gridOver = memo((inputs) => gridOf(inputs, SIDE));
export const sweep = memo((mlp, params, grid, _broken) =>
  forward(mlp, params, grid.points, page.rules())
);
function drawMaps() {
  const { samples, params, sizes, loss, broken } = page.state();
  const swept = sweep(page.mlp(), params, gridOver(samples.inputs), broken).activations;
  for (const canvas of columns.querySelectorAll(".mapped canvas")) {
    const [l, j] = canvas.closest("[data-unit]").dataset.unit.split(".").map(Number);
    let values = swept[l].map((row) => row[j]);
    const classes = output(l) && isClassified(page.state());
    if (classes) values = swept[l].map((row) => decided(loss, row)[j]);
    const size = values.reduce(
      (most, x) => (Math.abs(x) < Infinity ? Math.max(most, Math.abs(x)) : most),
      1e-12
    );
    if (sizes[0] === 1) paintCurve(canvas, values);
    else if (classes) paint(canvas, SIDE, values, "diverging", 0, 1);
    else paint(canvas, SIDE, values, "diverging", -size, size);
  }
}
