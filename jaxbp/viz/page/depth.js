// The depth: the norms of the node errors of each layer, and the factors that make them vanish or explode.
import { decadesOf } from "./axes.js";
import { choice, make, numberField, scrolled, table } from "./dom.js";
import { ACTIVATIONS, backprop, mapParams, sum } from "./engine.js";
import { formatPower, formatShare } from "./format.js";
import { SCHEMES, generator, init, normal } from "./start.js";
import * as page from "./store.js";
import { memo } from "./memo.js";
import { say } from "./words.js";

// The network of this view is its own: equal layers, random samples.
const UNITS = 8;
const SAMPLES = 16;
const [WIDTH, HEIGHT] = [340, 200];
const BOX = { left: 46, right: 6, top: 22, bottom: 34 };
let chart, sentence, factors, controls;

export function build(panel) {
  const set = (key) => (value) => page.change({ depth: { ...page.state().depth, [key]: value } });
  const of = (key) => () => page.state().depth[key];
  const named = (names) => Object.fromEntries(names.map((name) => [name, name.replace("_", " ")]));
  const field = (key, ...limits) => numberField(say(`depth.${key}`), of(key), set(key), ...limits);
  controls = [
    field("depth", [...Array(31).keys()], 30, true, 1),
    choice(
      say("depth.activation"),
      named(Object.keys(ACTIVATIONS)),
      of("activation"),
      set("activation")
    ),
    choice(say("depth.start"), named(Object.keys(SCHEMES)), of("scheme"), set("scheme")),
    field("gain", [0.2, 0.5, 0.8, 1, 1.2, 1.5, 2, 3], 10),
    field("seed", [...Array(51).keys()], 2 ** 31, true)
  ];
  chart = make("svg", { class: "bars", role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  sentence = make("p", { class: "verdict", role: "status" });
  factors = scrolled(say("depth.table"));
  panel.append(
    make("p", { class: "lead" }, say("depth.lead", UNITS, SAMPLES)),
    sentence,
    chart,
    ...controls.map(({ element }) => element),
    factors
  );
}

// The norms of the node errors, and the two factors of each layer.
function measure({ depth, activation, scheme, gain, seed }) {
  const sizes = new Array(depth + 1).fill(UNITS);
  const mlp = { sizes, activations: new Array(depth).fill(activation), bias: true };
  const params = mapParams((p) => gain * p, init(sizes, seed, scheme));
  const uniform = generator(seed + 1000);
  const rows = () =>
    Array.from({ length: SAMPLES }, () => Array.from({ length: UNITS }, () => normal(uniform)));
  const trace = backprop(mlp, params, rows(), rows(), "mean_squared_error");
  const norm = (matrix) => Math.sqrt(sum(matrix.flat().map((x) => x * x)));
  return Array.from({ length: depth }, (_, k) => {
    const l = k + 1;
    const errors = norm(trace.nodeErrors[l]);
    const arriving = norm(trace.activationErrors[l]);
    return {
      l,
      errors,
      slope: errors / arriving,
      weight: l < depth ? arriving / norm(trace.nodeErrors[l + 1]) : null
    };
  });
}

const draw = memo((settings) => {
  const layers = measure(settings);
  drawBars(layers);
  describe(layers);
  drawTable(layers);
});
export function render() {
  for (const { sync } of controls) sync();
  draw(page.state().depth);
}

function drawBars(layers) {
  const L = layers.length;
  const shown = ({ errors }) => errors > 0 && Number.isFinite(errors);
  const { low, high, ticks } = decadesOf(
    layers
      .filter(shown)
      .map(({ errors }) => errors)
      .concat(layers.some(shown) ? [] : [1]),
    6
  );
  const floor = Math.min(low, high - 2);
  const across = WIDTH - BOX.left - BOX.right;
  const px = (l) => BOX.left + (across * (l - 0.5)) / L;
  const py = (x) =>
    BOX.top + ((HEIGHT - BOX.top - BOX.bottom) * (high - Math.log10(x))) / (high - floor);
  const text = (x, y, anchor, words) => make("text", { x, y, "text-anchor": anchor }, words);
  const parts = ticks.flatMap((power) => [
    make("line", {
      class: "rule",
      x1: BOX.left,
      x2: WIDTH - BOX.right,
      y1: py(10 ** power),
      y2: py(10 ** power)
    }),
    text(BOX.left - 5, py(10 ** power) + 4, "end", formatPower(power))
  ]);
  for (const layer of layers) {
    const { l, errors } = layer;
    const bottom = HEIGHT - BOX.bottom;
    parts.push(
      shown(layer)
        ? make("rect", {
            class: "bar",
            x: px(l) - (0.35 * across) / L,
            y: py(errors),
            width: (0.7 * across) / L,
            height: Math.max(1, bottom - py(errors))
          })
        : text(px(l), bottom - 4, "middle", errors === 0 ? "0" : "∞")
    );
    if (L <= 12 || l % 5 === 0 || l === 1) parts.push(text(px(l), bottom + 15, "middle", `${l}`));
  }
  parts.push(
    text(2, 12, "start", say("depth.axis")),
    text(WIDTH - 2, HEIGHT - 3, "end", say("depth.layer"))
  );
  chart.replaceChildren(...parts);
  chart.setAttribute(
    "aria-label",
    say("depth.picture", formatShare(layers[0].errors), formatShare(layers[L - 1].errors))
  );
}

function describe(layers) {
  const L = layers.length;
  const product = (key) =>
    layers.slice(0, -1).reduce((total, layer) => total * (layer[key] ?? 1), 1);
  const ratio = layers[0].errors / layers[L - 1].errors;
  const fate = ratio < 0.01 ? "vanish" : ratio > 100 ? "explode" : "keep";
  sentence.className = `verdict ${fate === "keep" ? "good" : "bad"}`;
  sentence.textContent =
    L === 1
      ? say("depth.single")
      : `${say(`depth.${fate}`)} ${say("depth.sentence", L, formatShare(ratio), formatShare(product("weight")), formatShare(product("slope")), L - 1)}`;
}

function drawTable(layers) {
  const L = layers.length;
  let total = 1;
  const rows = [...layers].reverse().map(({ l, errors, slope, weight }) => {
    if (l < L) total *= slope * weight;
    const shares = [errors, weight, slope].map((x) => (x === null ? "" : formatShare(x)));
    return [`${l}`, ...shares, l === L ? "1" : formatShare(total)];
  });
  const head = [
    say("depth.layer"),
    "‖δ‖",
    say("depth.weights"),
    say("depth.slopes"),
    say("depth.product")
  ];
  factors.replaceChildren(table(head, rows));
}
