// The depth: the norms of the node errors of each layer, and the factors that make them vanish or explode.
import { BOX, HEIGHT, WIDTH, label, logAxis } from "./axes.js";
import { choice, make, numberField, scrolled, table } from "./dom.js";
import { ACTIVATIONS, backprop, mapParams, sum } from "./engine.js";
import { formatShare } from "./format.js";
import { SCHEMES, generator, init, normal } from "./start.js";
import * as page from "./store.js";
import { memo } from "./memo.js";
import { say } from "./words.js";

// The network of this view is its own: equal layers, random samples.
const UNITS = 8;
const SAMPLES = 16;
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
  const values = layers.filter(shown).map(({ errors }) => errors);
  const names = [say("depth.layer"), say("depth.axis")];
  const { parts, py } = logAxis(values.length ? values : [1], ...names, 2);
  const across = WIDTH - BOX.left - BOX.right;
  const px = (l) => BOX.left + (across * (l - 0.5)) / L;
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
        : label(px(l), bottom - 4, errors === 0 ? "0" : "∞", "middle")
    );
    if (L <= 12 || l % 5 === 0 || l === 1) parts.push(label(px(l), bottom + 15, `${l}`, "middle"));
  }
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
