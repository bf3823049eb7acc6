// The number in hand: what it is, its formula with the numbers in it, the line of code, and why the formula holds.
import { rightValue } from "./broken.js";
import { decimalField, make, scrolled, table } from "./dom.js";
import { ACTIVATIONS, LOSSES, forward, loss as lossOf } from "./engine.js";
import { format, formatGiven, parseTyped } from "./format.js";
import { factorsOf, isParameter, nameHtml, split, stageOf, valueOf } from "./formulas.js";
import { hoveredRef, onHover, unitOf } from "./network.js";
import * as page from "./store.js";
import { say } from "./words.js";

// The lines of jaxbp that compute each kind of number.
export const CODE = {
  z: ["dense.py", "dense_forward", "preactivation = inputs @ weight + bias"],
  a: ["dense.py", "dense_forward", "active = activation.value(preactivation)"],
  d: [
    "dense.py",
    "dense_node_error",
    "activation_error * activation.slope(preactivation, activation)"
  ],
  e: ["network.py", "node_errors", "activation_errors.append(node_error @ weight.T)"],
  gw: ["dense.py", "dense_gradient", "weight = inputs.T @ node_error"],
  gb: ["dense.py", "dense_gradient", "bias = node_error.sum(axis=0)"]
};
const MAX_TERMS = 8; // of a sum over samples that is written out
const NUDGE = 0.01;

let head, field, body;

export function build(panel) {
  head = make("div", {
    class: "formula",
    role: "region",
    "aria-label": say("walk.formula"),
    "aria-live": "polite"
  });
  const input = decimalField({
    size: 10,
    onchange: () => {
      const typed = parseTyped(input.value);
      input.setAttribute("aria-invalid", String(!Number.isFinite(typed)));
      if (Number.isFinite(typed)) page.setNumber(input.dataset.ref, typed);
    },
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      input.value = String(page.value(input.dataset.ref));
      input.setAttribute("aria-invalid", "false");
    }
  });
  field = make(
    "p",
    { class: "given", hidden: true },
    make("label", {}, make("span"), " = ", input)
  );
  body = make("div", { class: "why" });
  const symbols = ["a", "z", "w", "b", "y", "L", "e", "d", "phi", "colors"].map((key) =>
    make("li", { html: say(`key.${key}`) })
  );
  const key = make(
    "details",
    { class: "symbols-key", open: true },
    make("summary", {}, say("key.title")),
    make("ul", {}, ...symbols)
  );
  panel.append(head, field, body, key);
}
onHover(render);

const name = (ref) => nameHtml(page.mlp(), ref);

export function render() {
  if (page.state().view !== "walk") return;
  const ref = hoveredRef() ?? page.state().selected;
  field.hidden = true;
  if (!ref) {
    head.replaceChildren(make("p", {}, say(page.state().stage === 0 ? "walk.begin" : "walk.hint")));
    return void body.replaceChildren();
  }
  if (!page.known(ref)) {
    head.replaceChildren(
      make("p", {
        html: ref === page.hidden() ? say("walk.asked", name(ref)) : say("walk.later", name(ref))
      })
    );
    return void body.replaceChildren();
  }
  head.replaceChildren(...describe(ref));
  if (isParameter(ref)) showField(ref);
  body.replaceChildren(...reasons(ref));
}

// What a number is, and its formula with the numbers in it; of a weight or bias, where training began.
export const describe = (ref) => [
  make("p", { class: "what", html: meaning(ref) }),
  ...(isParameter(ref) ? beforeTraining(ref) : formulaLines(ref))
];
function beforeTraining(ref) {
  const { start } = page.state().training;
  if (!start || !/^[wb]/.test(ref)) return [];
  const before = valueOf({ params: start }, 0, ref);
  const moved = format(page.value(ref) - before);
  return [make("p", {}, say("walk.start", format(before), moved))];
}

function meaning(ref) {
  const [kind, l, i, j] = split(ref);
  const mlp = page.mlp();
  const number = (layer, unit) => nameHtml(mlp, `a.${layer}.${unit}`).replace(/\D+/g, "");
  if (kind === "w" || kind === "gw")
    return say(`kind.${kind}`, name(ref), number(l - 1, i), number(l, j));
  if (kind === "loss") return say("kind.loss", name(ref), say(page.state().loss));
  if (kind === "a" && l === 0) return say("kind.input", name(ref), i + 1);
  if (kind === "y" || kind === "p") return say(`kind.${kind}`, name(ref), l + 1);
  return say(`kind.${kind}`, name(ref), number(l, i));
}

// --- the formula

function filledText(parts) {
  return parts
    .map((part, k) => {
      if (!part.ref) return part === " " ? " × " : part.replace(/^ \(1/, " × (1");
      const value = page.value(part.ref);
      const text = isParameter(part.ref) ? formatGiven(value) : format(value, 5);
      const bracketed = String(parts[k - 1] ?? "").endsWith("(");
      return text.startsWith("−") && !bracketed ? `(${text})` : text;
    })
    .join("");
}

function formulaLines(ref) {
  const parts = page.formula(ref);
  const value = page.value(ref);
  const right = rightValue(ref);
  const broken = Math.abs(right - value) > 1e-12 * Math.abs(right);
  const verdict = broken
    ? ` <span class="bad">✗ ${say("walk.should", format(right, 8))}</span>`
    : "";
  const symbols = parts.map((part) => (part.ref ? name(part.ref) : part)).join("");
  const overSamples = /^(g|loss)/.test(ref) && page.numSamples() > 1;
  const filled = overSamples
    ? sampleTerms(ref)
    : factorsOf(parts).length
      ? `= ${filledText(parts)}`
      : "";
  return [
    make("p", { class: "symbols", html: `${name(ref)} = ${symbols}` }),
    ...(filled ? [make("p", { class: "filled", html: filled })] : []),
    make("p", { class: "result", html: `= <strong>${format(value, 8)}</strong>${verdict}` })
  ];
}

// A sum over samples, written out: every term, or the first ones and how many more there are.
function sampleTerms(ref) {
  const [kind, l, i, j] = split(ref);
  const trace = page.trace();
  const terms = page.inputs().map((_, s) => {
    if (kind === "loss") return lossTerm(s);
    const error = trace.nodeErrors[l][s][kind === "gw" ? j : i];
    const text = (x) => (x < 0 ? `(${format(x, 4)})` : format(x, 4));
    return kind === "gw" ? `${text(trace.activations[l - 1][s][i])} × ${text(error)}` : text(error);
  });
  const shown = terms.slice(0, MAX_TERMS).join(" + ");
  const more = terms.length > MAX_TERMS ? ` + … ${say("walk.more", terms.length - MAX_TERMS)}` : "";
  return kind === "loss" ? `= (${shown}${more}) / ${terms.length}` : `= ${shown}${more}`;
}
function lossTerm(s) {
  const { params, loss } = page.state();
  const one = lossOf(
    page.mlp(),
    params,
    [page.inputs()[s]],
    [page.targets()[s]],
    loss,
    page.rules()
  );
  return format(one, 4);
}

function showField(ref) {
  const input = field.querySelector("input");
  field.hidden = false;
  field.querySelector("span").innerHTML = name(ref);
  if (document.activeElement === input && input.dataset.ref === ref) return;
  input.dataset.ref = ref;
  input.value = String(page.value(ref));
  input.setAttribute("aria-invalid", "false");
}

// --- why

function reasons(ref) {
  const [kind, l] = split(ref);
  const given = isParameter(ref);
  const drawn = ["z", "d"].includes(kind) || (kind === "a" && l > 0);
  return [
    originalUnit(ref),
    given ? null : codeLine(kind),
    ...(/^[wb]$/.test(kind) ? effect(ref) : []),
    given && !/^[wb]$/.test(kind) ? make("p", {}, say("walk.drag")) : null,
    drawn ? slopePicture(ref) : null,
    ...(kind === "e" ? errorReasons(ref, l) : []),
    ...(/^g/.test(kind) ? [make("p", {}, say("why.gradient")), multiplications()] : []),
    unitTable(ref)
  ].filter(Boolean);
}
function codeLine(kind) {
  if (!CODE[kind]) return null;
  const [file, function_, line] = CODE[kind];
  return make(
    "p",
    { class: "code" },
    make("code", {}, line),
    make("small", {}, ` ${file}, ${function_}`)
  );
}
const errorReasons = (ref, l) =>
  l === page.L() ? textbookChain(ref) : [make("p", {}, say("why.paths"))];

// A standardized number in the units of the data.
function originalUnit(ref) {
  const { units } = page.state();
  const [kind, l, i] = split(ref);
  if (!units) return null;
  const of =
    kind === "y"
      ? units.targets[l]
      : kind === "a" && l === 0
        ? units.inputs[i]
        : kind === "a" && l === page.L()
          ? units.targets[i]
          : null;
  if (!of) return null;
  return say(
    "walk.units",
    format(page.value(ref) * of.std + of.mean, 5),
    formatGiven(of.mean),
    formatGiven(of.std)
  );
}

// A nudge of a weight or bias, rippling to the loss, beside the product of the local slopes.
function effect(ref) {
  const slope = ref.replace(/^([wb])\./, "g$1.");
  if (!page.known(slope)) return [make("p", {}, say("walk.drag"))];
  const [kind, l, i, j] = split(ref);
  const unit = kind === "w" ? j : i;
  const { params, loss } = page.state();
  const moved = params.map((layer) => ({ ...layer }));
  if (kind === "w")
    moved[l - 1].weight = params[l - 1].weight.map((r, k) =>
      k === i ? r.map((w, c) => (c === j ? w + NUDGE : w)) : r
    );
  else moved[l - 1].bias = params[l - 1].bias.map((b, k) => (k === i ? b + NUDGE : b));
  const after = forward(page.mlp(), moved, page.inputs(), page.rules());
  const before = page.trace();
  const s = page.row();
  const rules = page.rules();
  const change =
    rules.loss(LOSSES[loss], after.activations[page.L()], page.targets()) - before.loss;
  const by = (key) => after[key][l][s][unit] - before[key][l][s][unit];
  const local = kind === "w" ? before.activations[l - 1][s][i] : 1;
  const phi = ACTIVATIONS[page.state().activations[l - 1]];
  const passes = phi.slope(before.preactivations[l][s][unit], before.activations[l][s][unit]);
  const rows = [
    [name(ref), `+${NUDGE}`, ""],
    [name(`z.${l}.${unit}`), format(by("preactivations"), 4), `× ${format(local, 4)}`],
    [name(`a.${l}.${unit}`), format(by("activations"), 4), `× ${format(passes, 4)}`],
    [
      name("loss"),
      format(change, 4),
      page.numSamples() > 1 ? "" : `× ${format(before.activationErrors[l][s][unit], 4)}`
    ]
  ];
  return [
    make("p", {
      html: say(
        "walk.effect",
        name(slope),
        format(page.value(slope)),
        name(ref),
        NUDGE,
        format(NUDGE * page.value(slope))
      )
    }),
    make("h2", {}, say("why.nudge")),
    table([say("why.number"), say("why.moves"), say("why.slope")], rows),
    make("p", {
      html: say("why.product", name(slope), format(change / NUDGE, 4), format(page.value(slope), 4))
    })
  ];
}

// The curve of the activation with the tangent at z: the slope that the node error is multiplied by.
function slopePicture(ref) {
  const [, l, i] = split(ref);
  const activation = page.state().activations[l - 1];
  const phi = ACTIVATIONS[activation];
  const z = page.value(`z.${l}.${i}`);
  const reach = Math.max(4, Math.abs(z) * 1.3);
  const xs = Array.from({ length: 81 }, (_, k) => -reach + (k / 40) * reach);
  const ys = xs.map(phi.value);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const px = (x) => 8 + (164 * (x + reach)) / (2 * reach);
  const py = (y) => 92 - (84 * (y - low)) / (high - low || 1);
  const a = phi.value(z);
  const slope = phi.slope(z, a);
  const span = reach * 0.35;
  const points = xs.map((x, k) => `${px(x).toFixed(1)},${py(ys[k]).toFixed(1)}`).join(" ");
  const picture = make(
    "svg",
    {
      class: "slope",
      viewBox: "0 0 180 100",
      role: "img",
      "aria-label": say("why.curve", activation, format(z, 3), format(slope, 3))
    },
    make("polyline", { class: "curve curve0", points }),
    make("line", {
      class: "tangent",
      x1: px(z - span),
      x2: px(z + span),
      y1: py(a - slope * span),
      y2: py(a + slope * span)
    }),
    make("circle", { class: "dot curve1", cx: px(z), cy: py(a), r: 4 })
  );
  return make(
    "figure",
    {},
    picture,
    make("figcaption", {
      html: say("why.tangent", activation, name(`z.${l}.${i}`), format(slope, 4))
    })
  );
}

// dL/dp and dp/da of the textbooks, whose product is p - y.
function textbookChain(ref) {
  const [, , i] = split(ref);
  const { loss } = page.state();
  if (loss !== "binary_cross_entropy")
    return loss === "softmax_cross_entropy" ? [make("p", { html: say("why.softmax") })] : [];
  const p = page.value(`p.${i}`);
  const share = page.numSamples() * page.state().sizes.at(-1);
  const outer = (p - page.value(`y.${i}`)) / (p * (1 - p)) / share;
  const inner = p * (1 - p);
  return [
    make("p", {
      html: say(
        "why.logit",
        name(`p.${i}`),
        format(outer, 5),
        format(inner, 5),
        format(outer * inner, 5)
      )
    })
  ];
}

// How many multiplications the backward pass takes, and without the node errors that all weights share.
function multiplications() {
  const { sizes } = page.state();
  const L = page.L();
  let [shared, alone] = [0, 0];
  for (let l = L; l > 0; l--) {
    const paths = sizes.slice(l + 1).reduce((product, size) => product * size, 1);
    shared += (l > 1 ? sizes[l - 1] * sizes[l] : 0) + sizes[l] + sizes[l - 1] * sizes[l];
    alone += sizes[l - 1] * sizes[l] * paths * (2 * (L - l) + 2);
  }
  return make("p", {}, say("why.count", shared, alone));
}

// Weights and gradients of a unit whose card has no room for them.
function unitTable(ref) {
  const [kind] = split(ref);
  const unit = unitOf(ref);
  if (!unit || unit[0] === 0 || kind === "w" || kind === "gw") return null;
  const [l, j] = unit;
  if (document.querySelector(`[data-unit="${l}.${j}"] [data-ref="z.${l}.${j}"]`)) return null;
  const line = (weight, slope) => [
    name(weight),
    formatGiven(page.value(weight)),
    page.known(slope) ? format(page.value(slope), 4) : "·"
  ];
  const { sizes, bias } = page.state();
  const rows = Array.from({ length: sizes[l - 1] }, (_, i) =>
    line(`w.${l}.${i}.${j}`, `gw.${l}.${i}.${j}`)
  );
  if (bias) rows.push(line(`b.${l}.${j}`, `gb.${l}.${j}`));
  const others = ["z", "e"].map((k) => `${k}.${l}.${j}`);
  for (const other of others)
    rows.push([
      name(other),
      stageOf(page.mlp(), other) <= page.state().stage && other !== page.hidden()
        ? format(page.value(other), 4)
        : "·",
      ""
    ]);
  return scrolled(say("walk.unit"), table([say("why.number"), say("walk.value"), "∂L/∂"], rows));
}
