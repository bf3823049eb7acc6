// The plane of two inputs: a large map of the selected unit, the samples on it, the lines where units change sides.
import { classOf, decided, isClassified } from "./classes.js";
import { button, checkbox, choice, make } from "./dom.js";
import { LOSSES, forward, nodeErrors, probabilitiesOf } from "./engine.js";
import { format, formatGiven } from "./format.js";
import { nameHtml, unitNumber } from "./formulas.js";
import { paint, shade, zeroLine } from "./maps.js";
import { memo } from "./memo.js";
import { SIDE, gridOver, sweep, unitOf } from "./network.js";
import { isCrossEntropy } from "./state.js";
import * as page from "./store.js";
import { say } from "./words.js";

const WIDTH = 320;
const CLASSES = ["#0b3fb0", "#e66100", "#00694d", "#7a3fa0", "#8a6d00", "#b3261e"];
let canvas, lines, dots, marker, caption, scale, square, controls, classBar, legend;

const settings = () => page.state().plane;
const set = (part) => page.change({ plane: part });
const unit = () => {
  const own = unitOf(page.state().selected);
  return own && own[0] > 0 && settings().what !== "error" ? own : [page.L(), 0];
};
// The plane stays where it is while a sample is dragged.
let fixed = null;
const grid = () => {
  const { data, samples } = page.state();
  const given = page.initial.sizes[0] === 2 && data.name === "given";
  return fixed ?? gridOver(given ? page.initial.samples.inputs : samples.inputs);
};
const area = () => grid().domain;

const toPixel = (/** @type {number[]} */ [x, y]) => {
  const { x: h, y: v } = area();
  return [((x - h[0]) / (h[1] - h[0])) * WIDTH, ((v[1] - y) / (v[1] - v[0])) * WIDTH];
};
function pointOf(event) {
  const box = square.getBoundingClientRect();
  const inside = (share) => Math.min(1, Math.max(0, share));
  const u = inside((event.clientX - box.left) / box.width);
  const v = inside((event.clientY - box.top) / box.height);
  const { x: h, y: w } = area();
  return [h[0] + u * (h[1] - h[0]), w[1] - v * (w[1] - w[0])].map((x) => Number(x.toPrecision(3)));
}
function nearest(event) {
  const [x, y] = toPixel(pointOf(event));
  const far = page
    .state()
    .samples.inputs.map((row) => Math.hypot(toPixel(row)[0] - x, toPixel(row)[1] - y));
  const least = Math.min(...far);
  return least < 14 ? far.indexOf(least) : null;
}

export function build(panel) {
  canvas = make("canvas", { width: SIDE, height: SIDE, role: "img" });
  lines = make("g", { class: "kinks" });
  dots = make("g", { class: "samples" });
  marker = make("button", { type: "button", class: "marker", onkeydown: nudge });
  const overlay = make(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${WIDTH}`, "aria-hidden": "true" },
    lines,
    dots
  );
  square = make("div", { class: "square" }, canvas, overlay, marker);
  addPointer();
  caption = make("p", { class: "caption", role: "status" });
  scale = make(
    "div",
    { class: "scale" },
    make("span"),
    make("canvas", { width: 64, height: 1, "aria-hidden": "true" }),
    make("span")
  );
  legend = make("p", { class: "caption legend" });
  classBar = make(
    "div",
    { class: "bar" },
    button(say("plane.add0"), () => set({ add: 0 }), { class: "add0" }),
    button(say("plane.add1"), () => set({ add: 1 }), { class: "add1" }),
    button(say("plane.delete"), remove, { class: "delete" })
  );
  controls = [
    choice(
      say("plane.what"),
      { a: say("plane.a"), d: say("plane.d"), error: say("plane.error") },
      () => settings().what,
      (what) => set({ what })
    ),
    checkbox(
      say("plane.lines"),
      () => settings().lines,
      (on) => set({ lines: on })
    ),
    checkbox(
      say("plane.edit"),
      () => settings().edit,
      (edit) => set({ edit })
    )
  ];
  panel.append(
    ...controls.map(({ element }) => element),
    make("figure", {}, square, scale, caption),
    classBar,
    legend
  );
}

// A click selects the nearest sample. Only while editing, a drag moves it, and a click elsewhere adds one.
function addPointer() {
  let held = null;
  let gestures = 0;
  square.addEventListener("pointerdown", (event) => {
    const near = nearest(event);
    event.preventDefault();
    marker.focus({ preventScroll: true });
    if (!settings().edit)
      return near === null ? undefined : page.change({ sample: near }, { quiet: true });
    fixed = grid();
    held = `plane ${++gestures}`;
    square.setPointerCapture(event.pointerId);
    if (near !== null) return page.change({ sample: near }, { quiet: true });
    return insert(pointOf(event));
  });
  square.addEventListener("pointermove", (event) => held && move(pointOf(event), held));
  for (const end of ["pointerup", "pointercancel"])
    square.addEventListener(end, () => {
      held = fixed = null;
      page.endMerge();
    });
}
function move(point, merge) {
  const { samples, sample } = page.state();
  page.change(
    { samples: { inputs: samples.inputs.map((row, s) => (s === sample ? point : row)) } },
    { merge }
  );
}
function insert(point) {
  const { samples, sizes } = page.state();
  const target =
    sizes.at(-1) === 1
      ? [settings().add]
      : Array.from({ length: sizes.at(-1) }, (_, j) => Number(j === settings().add));
  page.change({
    samples: { inputs: [...samples.inputs, point], targets: [...samples.targets, target] },
    sample: samples.inputs.length
  });
}
function remove() {
  const { samples, sample } = page.state();
  if (samples.inputs.length < 2) return;
  const keep = (_, s) => s !== sample;
  page.change({
    samples: { inputs: samples.inputs.filter(keep), targets: samples.targets.filter(keep) },
    sample: Math.max(0, sample - 1)
  });
}
function nudge(event) {
  if (settings().edit && /^(Delete|Backspace)$/.test(event.key)) remove();
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[
    event.key
  ];
  if (!by) return;
  const { samples, sample } = page.state();
  event.preventDefault();
  event.stopPropagation();
  if (!settings().edit)
    return page.change(
      { sample: (sample + (by[0] || by[1]) + samples.inputs.length) % samples.inputs.length },
      { quiet: true }
    );
  const { x: h, y: v } = area();
  const [x, y] = samples.inputs[sample];
  const moved = [x + (by[0] * (h[1] - h[0])) / 50, y + (by[1] * (v[1] - v[0])) / 50];
  return move(
    moved.map((c) => Number(c.toPrecision(3))),
    "plane keys"
  );
}

// Both passes for the selected sample's target at every point of a grid: what the walk would show there.
const errorsOver = memo((residuals, params, lossName, target, share) => {
  const rules = page.rules();
  const outputs = residuals.activations.at(-1);
  const targets = outputs.map(() => target);
  const bar = rules
    .outputsBar(LOSSES[lossName], outputs, targets)
    .map((row) => row.map((e) => (e * outputs.length) / share));
  return nodeErrors(page.mlp(), params, residuals, bar, rules).nodeErrors;
});
const swept = () => sweep(page.mlp(), page.state().params, grid(), page.state().broken);

function valuesOf(what, l, j) {
  const residuals = swept();
  const { loss, params, sample, samples } = page.state();
  if (what === "d")
    return errorsOver(residuals, params, loss, samples.targets[sample], page.numSamples())[l].map(
      (row) => row[j]
    );
  const outputs = l === page.L() && isCrossEntropy(loss);
  const values = residuals.activations[l].map((row) =>
    outputs ? probabilitiesOf(loss, row)[j] : row[j]
  );
  if (what === "a") return values;
  return values.map((value, p) => value - samples.targets[nearestTo(grid().points[p])][j]);
}
function nearestTo(/** @type {number[]} */ [x, y]) {
  let [best, least] = [0, Infinity];
  page.state().samples.inputs.forEach((row, s) => {
    const distance = (row[0] - x) ** 2 + (row[1] - y) ** 2;
    if (distance < least) [best, least] = [s, distance];
  });
  return best;
}

const range = (values) => {
  const finite = values.filter(Number.isFinite);
  return finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
};

export function render() {
  const { what, edit, add } = settings();
  const { samples, sample, loss } = page.state();
  for (const { sync } of controls) sync();
  classBar.hidden = !edit;
  classBar
    .querySelectorAll("[class^=add]")
    .forEach((one, k) => one.setAttribute("aria-pressed", String(k === add)));
  const [l, j] = unit();
  const values = valuesOf(what, l, j);
  const probability = what === "a" && l === page.L() && isCrossEntropy(loss);
  let [low, high] = range(values);
  const classes = what === "a" && l === page.L() && isClassified(page.state());
  if (classes) [low, high] = [0, 1];
  else [low, high] = [-Math.max(-low, high, 1e-12), Math.max(-low, high, 1e-12)];
  paint(canvas, SIDE, values, "diverging", low, high);
  showScale(low, high);
  const name = nameHtml(
    page.mlp(),
    `${what === "d" ? "d" : probability ? "p" : "a"}.${probability ? j : `${l}.${j}`}`
  );
  const kind = what === "a" && probability ? "p" : what;
  caption.innerHTML = say(`plane.caption.${kind}`, name);
  canvas.setAttribute(
    "aria-label",
    say("plane.map", unitNumber(page.mlp(), l, j), format(low, 3), format(high, 3))
  );
  drawLines();
  drawDots();
  const [u, v] = toPixel(samples.inputs[sample]);
  marker.style.left = `${(100 * u) / WIDTH}%`;
  marker.style.top = `${(100 * v) / WIDTH}%`;
  marker.setAttribute(
    "aria-label",
    say(edit ? "plane.marker" : "plane.marker.look", ...samples.inputs[sample].map(formatGiven))
  );
  square.classList.toggle("editing", edit);
  legend.innerHTML = say(isClassified(page.state()) ? "plane.legend.classes" : "plane.legend");
}

function showScale(low, high) {
  const context = scale.children[1].getContext("2d");
  const image = context.createImageData(64, 1);
  for (let k = 0; k < 64; k++) image.data.set([...shade("diverging", k, 0, 63), 255], 4 * k);
  context.putImageData(image, 0, 0);
  scale.children[0].textContent = format(low, 3);
  scale.children[2].textContent = format(high, 3);
}

// Where units have z = 0, and, for classes, where the network decides between them.
function drawLines() {
  const { sizes, loss } = page.state();
  const residuals = swept();
  const parts = [];
  const add = (kind, rows, read) => parts.push([kind, zeroLine(rows.map(read), SIDE, WIDTH)]);
  if (settings().lines)
    for (let l = 1; l < page.L(); l++)
      for (let j = 0; j < sizes[l]; j++)
        add(`kink${Math.min(l, 3)}`, residuals.preactivations[l], (row) => row[j]);
  if (isClassified(page.state())) {
    const outputs = residuals.activations[page.L()].map((row) => decided(loss, row));
    const others = (row, c) => (row.length > 1 ? Math.max(...row.toSpliced(c, 1)) : 0.5);
    for (let c = 0; c < sizes.at(-1); c++)
      add("decision", outputs, (row) => row[c] - others(row, c));
  }
  lines.replaceChildren(
    ...parts
      .filter(([, d]) => d)
      .flatMap(([kind, d]) => [
        make("path", { class: "halo", d }),
        make("path", { class: kind, d })
      ])
  );
}

// Samples in the colour of their class or of the sign of their error, sized by their loss; held-out ones are hollow.
function drawDots() {
  const { samples, test, params, loss } = page.state();
  const classified = isClassified(page.state());
  const all = [
    ...samples.inputs.map((input, s) => ({ input, target: samples.targets[s], held: false })),
    ...test.inputs.map((input, s) => ({ input, target: test.targets[s], held: true }))
  ];
  const outputs = forward(
    page.mlp(),
    params,
    all.map(({ input }) => input),
    page.rules()
  ).activations[page.L()];
  const losses = outputs.map((o, s) => LOSSES[loss].value(o, all[s].target));
  const largest = Math.max(...losses.filter(Number.isFinite), 1e-300);
  const size = all.length > 60 ? 3.5 : 6;
  dots.replaceChildren(
    ...all.map(({ input, target, held }, s) => {
      const [cx, cy] = toPixel(input);
      const kind = classified ? classOf(target) : Number(outputs[s][0] > target[0]);
      const share = Number.isFinite(losses[s]) ? Math.sqrt(losses[s] / largest) : 1;
      const colour = CLASSES[kind % CLASSES.length];
      const look = held ? { fill: "#ffffff", stroke: colour, "stroke-width": 2 } : { fill: colour };
      return make("circle", { cx, cy, r: 2.2 + size * share, "data-loss": losses[s], ...look });
    })
  );
}
