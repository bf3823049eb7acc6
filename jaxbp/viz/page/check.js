// The check: one rule is replaced by a published mistake, and the wrong numbers are found and named.
import { rightValue, wrongNumbers } from "./broken.js";
import { make, scrolled, table } from "./dom.js";
import { format, formatApart, formatShare } from "./format.js";
import { LETTERS, computedRefs, nameHtml, valueOf } from "./formulas.js";
import { numericDerivative, tolerance } from "./judge.js";
import { MISTAKES } from "./mistakes.js";
import { lastStage } from "./state.js";
import * as page from "./store.js";
import { say } from "./words.js";

const REST = 120; // milliseconds without a change before the differences are computed
const WORK = 4e7; // multiplications that they may take
const SHOWN = 10; // wrong numbers in the table
let list, rule, verdict, results, shown, timer;

function choose(broken) {
  page.change({ broken, stage: lastStage(page.state()) });
}

export function build(panel) {
  list = make("fieldset", { class: "mistakes" }, make("legend", {}, say("check.choose")));
  const option = (name, title, source) =>
    make(
      "label",
      {},
      make("input", {
        type: "radio",
        name: "mistake",
        value: name ?? "",
        onchange: () => choose(name)
      }),
      make("span", {}, title),
      make("small", {}, source)
    );
  list.append(
    option(null, say("check.none"), ""),
    ...Object.keys(MISTAKES).map((name) =>
      option(name, say(`${name}.title`), say(`${name}.source`))
    )
  );
  rule = make("div", { class: "rule" });
  verdict = make("div", { class: "verdict", role: "status" });
  results = scrolled(say("check.table"));
  panel.append(make("p", { class: "lead" }, say("check.lead")), verdict, rule, list, results);
}

export function render() {
  const now = page.state();
  for (const input of list.querySelectorAll("input")) {
    const reason = input.value ? MISTAKES[input.value].applies(now) : null;
    input.checked = input.value === (now.broken ?? "");
    input.disabled = reason !== null;
    const source = input.value ? say(`${input.value}.source`) : "";
    input.parentElement.querySelector("small").textContent = [source, reason && say(reason)]
      .filter(Boolean)
      .join(": ");
  }
  rule.replaceChildren(...(now.broken ? ruleLines(now.broken) : []));
  const [first] = wrongNumbers().all;
  const text = !now.broken
    ? say("check.fine")
    : first
      ? say(
          "check.first",
          nameHtml(page.mlp(), first),
          ...formatApart(page.value(first), rightValue(first)),
          wrongNumbers().all.length
        )
      : say("check.unseen");
  if (verdict.dataset.text !== text) verdict.innerHTML = verdict.dataset.text = text;
  verdict.className = `verdict ${now.broken ? "bad" : "good"}`;
  // The differences take two forward passes for each number: after a drag, not during it.
  clearTimeout(timer);
  if (page.trace() !== shown) timer = setTimeout(compareNumerically, REST);
}

const ruleLines = (name) => [
  make("p", {}, say("check.right"), " ", make("code", { class: "good" }, say(`${name}.right`))),
  make("p", {}, say("check.printed"), " ", make("code", { class: "bad" }, say(`${name}.wrong`))),
  make("p", {}, say(`${name}.why`))
];

// Hand against central differences: a row for each array, and one for each of the first wrong numbers.
function compareNumerically() {
  const { params, loss } = page.state();
  const trace = (shown = page.trace());
  const setting = {
    mlp: page.mlp(),
    params,
    inputs: page.inputs(),
    targets: page.targets(),
    lossName: loss,
    row: page.row(),
    rules: page.rules()
  };
  const refs = computedRefs(setting.mlp).filter((ref) => /^[edg]/.test(ref));
  const size = page
    .state()
    .sizes.slice(1)
    .reduce((total, n, k) => total + n * page.state().sizes[k], 0);
  const every = Math.max(1, Math.ceil((refs.length * size * setting.inputs.length * 4) / WORK));
  const groups = new Map();
  refs.forEach((ref, k) => {
    if (k % every) return;
    const key = ref.split(".").slice(0, 2).join(".");
    if (!groups.has(key)) groups.set(key, []);
    groups
      .get(key)
      .push({ hand: valueOf(trace, setting.row, ref), numeric: numericDerivative(setting, ref) });
  });
  let disagree = 0;
  const rows = [...groups].map(([key, numbers]) => {
    const [kind, l] = key.split(".");
    const largest = Math.max(...numbers.map(({ numeric }) => Math.abs(numeric)));
    const worst = Math.max(...numbers.map(({ hand, numeric }) => Math.abs(hand - numeric)));
    const fine = worst <= tolerance(largest, trace.loss);
    if (!fine) disagree++;
    return [
      `<i>${LETTERS[kind] ?? kind}</i>, ${say("layer", l)}`,
      `${numbers.length}`,
      formatShare(largest ? worst / largest : worst),
      fine
        ? `<span class="good">✓ ${say("check.agree")}</span>`
        : `<span class="bad">✗ ${say("check.differ")}</span>`
    ];
  });
  results.replaceChildren(
    make("h2", {}, say("check.differences")),
    table(
      [say("check.array"), say("check.count"), say("check.relative"), say("check.verdict")],
      rows
    ),
    ...(wrongNumbers().all.length && !disagree
      ? [make("p", { class: "after" }, say("check.blind"))]
      : []),
    ...firstWrong(setting)
  );
}

function firstWrong(setting) {
  const wrong = wrongNumbers();
  if (!wrong.all.length) return [];
  const rows = wrong.all
    .slice(0, SHOWN)
    .map((ref) => [
      nameHtml(page.mlp(), ref),
      ...formatApart(page.value(ref), rightValue(ref)),
      /^[edg]/.test(ref) ? format(numericDerivative(setting, ref), 6) : "",
      wrong.culprits.includes(ref)
        ? `<span class="bad">✗ ${say("check.culprit")}</span>`
        : `<span class="after">↪ ${say("check.later")}</span>`
    ]);
  const head = ["why.number", "check.here", "check.correct", "check.central", "check.verdict"].map(
    (key) => say(key)
  );
  return [make("h2", {}, say("check.firsts")), table(head, rows)];
}
