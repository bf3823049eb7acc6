// The opening: one question about a network of three units, an answer that one can be wrong about, and two surprises.
import { rightValue } from "./broken.js";
import { button, make, refill } from "./dom.js";
import { format } from "./format.js";
import { nameHtml } from "./formulas.js";
import { lastStage } from "./state.js";
import * as page from "./store.js";
import { trained } from "./training.js";
import { say } from "./words.js";

const CANDIDATES = ["w.1.0.0", "w.2.0.0"];
const STEPS = 25;
let question, options, answer, after;

export function build(panel) {
  question = make("div");
  options = make("div", { class: "bar" });
  answer = make("div", { class: "verdict", role: "status" });
  after = make("div", { class: "next-steps" });
  panel.append(question, options, answer, after);
}

const isAsked = () => String(page.state().sizes) === "1,1,1";
const slopeOf = (ref) => Math.abs(rightValue(`g${ref}`));

function guess(ref) {
  page.change({ guess: ref, stage: lastStage(page.state()), selected: `g${ref}` });
}

export function render() {
  const { guess: chosen, broken, training } = page.state();
  const mlp = page.mlp();
  if (!isAsked()) {
    question.replaceChildren(make("p", {}, say("opening.other")));
    options.replaceChildren();
    answer.replaceChildren();
    return void after.replaceChildren(...ways());
  }
  const [out, target] = [page.value("a.2.0"), page.value("y.0")];
  question.replaceChildren(
    make("h2", {}, say("opening.question")),
    make("p", {}, say("opening.lead")),
    make("p", {
      html: say(
        "opening.now",
        nameHtml(mlp, "a.2.0"),
        format(out),
        nameHtml(mlp, "y.0"),
        format(target),
        format(page.trace().loss)
      )
    }),
    make("p", {}, say("opening.drag"))
  );
  refill(
    options,
    ...CANDIDATES.map((ref) => {
      const one = button("", () => guess(ref), {
        "aria-pressed": String(chosen === ref),
        "data-guess": ref
      });
      one.innerHTML = nameHtml(mlp, ref);
      return one;
    })
  );
  const steeper = slopeOf(CANDIDATES[0]) > slopeOf(CANDIDATES[1]) ? CANDIDATES[0] : CANDIDATES[1];
  const text = chosen
    ? say(
        chosen === steeper ? "opening.right" : "opening.wrong",
        nameHtml(mlp, steeper),
        ...CANDIDATES.flatMap((ref) => [nameHtml(mlp, `g${ref}`), format(rightValue(`g${ref}`))])
      )
    : "";
  answer.className = `verdict ${chosen === steeper ? "good" : "bad"}`;
  if (answer.dataset.text !== text) answer.innerHTML = answer.dataset.text = text;
  refill(after, ...(chosen ? [...surprises(broken, training), ...ways()] : []));
}

function surprises(broken, training) {
  const [first] = training.history;
  const told = training.step
    ? say(
        training.diverged ? "opening.diverged" : "opening.trained",
        training.step,
        format(first[1]),
        format(page.trace().loss)
      )
    : "";
  return [
    make("p", {}, say("opening.follow")),
    make(
      "div",
      { class: "bar" },
      button(say("opening.steps", STEPS), () => page.change(trained(page.state(), STEPS)), {
        class: "main"
      }),
      button(
        say(broken ? "opening.repair" : "opening.break"),
        () => page.change({ broken: broken ? null : "upstream" }),
        {
          "aria-pressed": String(Boolean(broken))
        }
      )
    ),
    make("p", { class: "numbers" }, told),
    make("p", { class: broken ? "bad" : "" }, broken ? say("opening.broken") : "")
  ];
}

// Where to go from here.
function ways() {
  const has = (view) => page.openViews().includes(view);
  const links = [];
  if (has("walk"))
    links.push(
      button(say("opening.walk"), () => page.change({ view: "walk", stage: 0, broken: null }))
    );
  if (has("training")) links.push(button(say("opening.build"), buildOwn));
  return [make("h2", {}, say("opening.ways")), make("div", { class: "bar" }, ...links)];
}

function buildOwn() {
  page.change({
    sizes: [2, 8, 8, 1],
    activations: ["tanh", "tanh", "identity"],
    bias: true,
    loss: "binary_cross_entropy",
    data: { name: "spirals", number: 120, noise: 0.02, test: 0.2, seed: 0 },
    seed: 0,
    scheme: "glorot",
    cards: "maps",
    scope: "all",
    view: "training",
    broken: null,
    stage: 10,
    sample: 0,
    selected: null,
    training: { optimizer: "adam", rate: 0.03, batch: 0, l1: 0, l2: 0, speed: 1 }
  });
}
