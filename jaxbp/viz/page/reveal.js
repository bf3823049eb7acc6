// Predict, then reveal: one number is hidden; the reader works it out, and a wrong answer is told what it forgot.
import { isClose, slackOf } from "./closeness.js";
import { button, decimalField, make } from "./dom.js";
import { format, formatGiven, parseTyped } from "./format.js";
import { evaluate, factorsOf, isParameter, nameHtml } from "./formulas.js";
import { slips } from "./slips.js";
import { questionsOf } from "./state.js";
import * as page from "./store.js";
import { say } from "./words.js";

let question, field, feedback, hint, score, progress, givens;
let [solved, tried, asked, counted] = [0, 0, null, false];

export function build(panel) {
  question = make("p", { class: "question" });
  givens = make("p", { class: "givens" });
  field = decimalField({ "aria-label": say("reveal.answer"), class: "answer" });
  feedback = make("div", { class: "verdict", role: "status" });
  hint = make("p", { class: "symbols" });
  score = make("p", { class: "caption" });
  progress = make("p", { class: "caption" });
  const onsubmit = (event) => {
    event.preventDefault();
    answer();
  };
  asked = null;
  panel.append(
    make("p", { class: "lead" }, say("reveal.lead")),
    progress,
    question,
    givens,
    make(
      "form",
      { class: "bar", onsubmit },
      field,
      make("button", { type: "submit", class: "main" }, say("reveal.check"))
    ),
    make(
      "div",
      { class: "bar" },
      button(say("reveal.hint"), showHint),
      button(say("reveal.reveal"), reveal),
      button(say("reveal.next"), next, { class: "next" })
    ),
    hint,
    feedback,
    score
  );
}

const asking = () => questionsOf(page.state())[page.state().quiz.question];
function next() {
  const { quiz } = page.state();
  const number = (quiz.question + 1) % questionsOf(page.state()).length;
  page.change({ quiz: { question: number, solved: false } });
}

const shownText = (ref) =>
  isParameter(ref) ? formatGiven(page.value(ref)) : format(page.value(ref), 5);
// A number as it is shown: its rounded value and half a unit of its last digit.
function shownNumber(ref) {
  const text = shownText(ref).replace(/−/g, "-");
  const [mantissa, exponent] = text.split("e");
  const half = 0.5 * 10 ** (Number(exponent ?? 0) - (mantissa.split(".")[1] ?? "").length);
  const exact = Number(text) === page.value(ref);
  return { rounded: Number(text), half: exact ? 0 : half };
}

// How far the digits on screen leave the answer open; a given number is shown as it is or rounded.
function openness(ref) {
  const formula = (get) => evaluate(page.mlp(), page.state().loss, page.numSamples(), ref, get);
  return slackOf(formula, factorsOf(page.formula(ref)), page.value, shownNumber);
}

function answer() {
  const text = field.value.trim().replace(/[−–]/g, "-").replace(",", ".");
  const typed = parseTyped(field.value);
  const ref = asking();
  const value = page.value(ref);
  if (!Number.isFinite(typed)) return tell("bad", say("reveal.number"));
  if (!counted && !page.state().quiz.solved) tried += 1;
  const first = !counted;
  counted = true;
  if (isClose(typed, text, value, openness(ref))) {
    if (first) solved += 1;
    page.change({ quiz: { solved: true } });
    tell("good", `✓ ${say("reveal.right", nameHtml(page.mlp(), ref), format(value, 8))}`);
  } else {
    const slip = slips(ref).find(
      ([number]) => Number.isFinite(number) && number !== 0 && isClose(typed, text, number)
    );
    const sign = Math.sign(typed) !== Math.sign(value) && value !== 0 ? say("slip.sign") : "";
    tell("bad", `✗ ${slip ? slip[1] : `${say("reveal.wrong")} ${sign}`}`);
  }
  score.textContent = say("reveal.score", solved, tried);
}
function reveal() {
  const ref = asking();
  counted = true;
  showHint();
  page.change({ quiz: { solved: true } });
  tell("good", say("reveal.right", nameHtml(page.mlp(), ref), format(page.value(ref), 8)));
}
function showHint() {
  const parts = page.formula(asking());
  hint.innerHTML = `${nameHtml(page.mlp(), asking())} = ${parts.map((part) => (part.ref ? nameHtml(page.mlp(), part.ref) : part)).join("")}`;
}
function tell(kind, text) {
  feedback.className = `verdict ${kind}`;
  feedback.innerHTML = text;
}

export function render() {
  const ref = asking();
  const key = `${ref} ${page.state().sizes}`;
  if (asked !== key) {
    asked = key;
    counted = page.state().quiz.solved;
    field.value = "";
    hint.replaceChildren();
    feedback.replaceChildren();
    feedback.className = "verdict";
  }
  question.innerHTML = say("reveal.question", nameHtml(page.mlp(), ref));
  // All that the question needs, also what no open card shows.
  const parts = factorsOf(page.formula(ref));
  givens.innerHTML = parts
    .map((part) => `${nameHtml(page.mlp(), part)} = ${shownText(part)}`)
    .join(", ");
  progress.textContent = say(
    "reveal.progress",
    page.state().quiz.question + 1,
    questionsOf(page.state()).length
  );
}
