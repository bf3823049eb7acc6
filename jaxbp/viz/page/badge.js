// The badge: whether the numbers on screen are right, and against what they were judged.
import { rightValue, wrongNumbers } from "./broken.js";
import { make } from "./dom.js";
import { RULES } from "./engine.js";
import { formatApart, formatShare } from "./format.js";
import { nameHtml, nameOf } from "./formulas.js";
import { judgeByDifferences, judgeEngine } from "./judge.js";
import * as page from "./store.js";
import { say } from "./words.js";

const LIMIT = 60; // numbers that are compared with differences
const WORK = 2e7; // multiplications that those may take; fewer numbers of a larger network
const REST = 180; // milliseconds without a change before they are
let badge = null;
let timer = null;
let judged = null; // {trace, verdict} of the last comparison with differences
const engine = judgeEngine(page.data);

export function build() {
  badge = make("p", { id: "badge", class: "badge", role: "status" });
  return badge;
}

function differences() {
  const { params, loss, sizes } = page.state();
  const mlp = page.mlp();
  const cost =
    sizes.slice(1).reduce((total, size, k) => total + size * sizes[k], 0) *
    page.inputs().length *
    4;
  const limit = Math.max(4, Math.min(LIMIT, Math.floor(WORK / cost)));
  const setting = {
    mlp,
    params,
    inputs: page.inputs(),
    targets: page.targets(),
    lossName: loss,
    row: page.row(),
    rules: RULES
  };
  return judgeByDifferences(setting, page.trace(), limit);
}

const called = (ref) => (ref ? nameOf(page.mlp(), ref) : "");

// {kind: "good" | "bad" | "wait", against, text, count, worst, first} of what is on screen.
function verdict() {
  const { broken } = page.state();
  if (broken) {
    const { all } = wrongNumbers();
    if (!all.length) return { kind: "bad", against: "rules", text: say("badge.unseen"), first: "" };
    // The quiz's own answer is never given away: a broken rule closes the quiz.
    const apart = formatApart(page.value(all[0]), rightValue(all[0]));
    const text = say("badge.broken", nameHtml(page.mlp(), all[0]), ...apart, all.length);
    return { kind: "bad", against: "rules", text, first: called(all[0]) };
  }
  if (page.isRecorded()) {
    const { count, worst, first } = engine;
    const text = first
      ? say("badge.engine", nameHtml(page.mlp(), first))
      : worst
        ? say("badge.good", count, formatShare(worst))
        : say("badge.exact", count);
    return {
      kind: first ? "bad" : "good",
      against: "jaxbp",
      text,
      count,
      worst,
      first: called(first)
    };
  }
  if (judged?.trace !== page.trace())
    return { kind: "wait", against: "differences", text: say("badge.wait"), first: "" };
  const { count, of, worst, wrong } = judged.verdict;
  const text = wrong[0]
    ? say("badge.differ", nameHtml(page.mlp(), wrong[0]))
    : say(count === of ? "badge.differences" : "badge.some", count, formatShare(worst), of);
  const kind = wrong[0] ? "bad" : "good";
  return { kind, against: "differences", text, count, worst, first: called(wrong[0]) };
}

export function render() {
  const found = verdict();
  clearTimeout(timer);
  if (found.kind === "wait")
    timer = setTimeout(() => {
      judged = { trace: page.trace(), verdict: differences() };
      render();
    }, REST);
  const mark = { good: "✓ ", bad: "✗ ", wait: "" }[found.kind];
  badge.className = `badge ${found.kind}`;
  if (badge.dataset.text !== found.text) badge.innerHTML = mark + found.text;
  Object.assign(badge.dataset, { text: found.text, against: found.against, first: found.first });
  badge.dataset.count = found.count ?? "";
  badge.dataset.worst = found.worst ?? "";
  badge.title = say("badge.title", engine.count, engine.worst ? formatShare(engine.worst) : "0");
}
