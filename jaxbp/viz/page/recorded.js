// Runs that jaxbp recorded, replayed to the digit side by side.
import { drawCurves } from "./axes.js";
import { button, make, playButton } from "./dom.js";
import { reader } from "./data.js";
import { forward, loss } from "./engine.js";
import { format } from "./format.js";
import { domainOf, gridPoints, paint, shade } from "./maps.js";
import * as page from "./store.js";
import { say } from "./words.js";

const SIDE = 31;
const PACE = 160;
export const runs = Object.entries(page.data.recording).map(([name, run]) => {
  const from = reader(run.params, run.bits);
  return { name, ...run, snapshots: run.steps.map(() => from.layers(run.mlp)) };
});
const marks = [...new Set(runs.flatMap((run) => run.steps))].sort((a, b) => a - b); // the steps of all runs together
let scrub, where, cards, curve, player, timer, drawn;
let at = marks.length - 1;
let followed = 0;

// The last record of a run that is not after a step.
const recordAt = (run, step) => Math.max(0, run.steps.filter((s) => s <= step).length - 1);

export function build(panel) {
  where = make("output", { class: "stage" });
  scrub = make("input", {
    type: "range",
    min: 0,
    max: marks.length - 1,
    "aria-label": say("training.scrub"),
    oninput: () => go(Number(scrub.value))
  });
  player = playButton(toggle, say("training.play"), say("training.pause"));
  cards = runs.map(runCard);
  curve = make("svg", { class: "curves", role: "img", "aria-label": say("training.curves") });
  drawn = null;
  pause();
  panel.append(
    make("h2", {}, say("training.recorded")),
    make(
      "div",
      { class: "bar" },
      button("|◀", () => go(0), { "aria-label": say("training.restart") }),
      player.element,
      button("▶|", () => go(Math.min(marks.length - 1, at + 1)), {
        "aria-label": say("training.next")
      }),
      where
    ),
    scrub,
    make("div", { class: "runs" }, ...cards.map(({ card }) => card)),
    curve
  );
}

function runCard(run, k) {
  const picture = run.mlp.sizes[0] === 2 ? fitPicture(run.name) : "";
  const text = make("p", { class: "numbers" });
  const verdict = make("p", { class: "verdict" });
  const show = button(say("training.follow"), () => {
    followed = k;
    go(at);
  });
  const card = make(
    "div",
    { class: "run" },
    make("h2", { class: `name${k % 4}` }, run.name),
    picture,
    text,
    verdict,
    show
  );
  return { run, picture, text, verdict, card, show };
}

// The output over the plane with the targets of the samples on it, in the same colours: unseen where it fits.
function fitPicture(name) {
  const circles = page.data.inputs.length <= 200 ? page.data.inputs : [];
  const canvas = make("canvas", {
    width: SIDE,
    height: SIDE,
    role: "img",
    "aria-label": say("training.map", name)
  });
  const dots = circles.map(() => make("circle", { r: circles.length > 40 ? 1.3 : 2.6 }));
  return make(
    "div",
    { class: "fit" },
    canvas,
    make("svg", { viewBox: "0 0 100 100", "aria-hidden": "true" }, ...dots)
  );
}
function paintFit(picture, mlp, params) {
  const { inputs, targets } = page.data;
  const domain = domainOf(inputs);
  const values = forward(mlp, params, gridPoints(domain, SIDE))
    .activations.at(-1)
    .map((row) => row[0]);
  const all = targets.map((row) => row[0]);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  paint(picture.firstChild, SIDE, values, "sequential", low, high);
  picture.lastChild.childNodes.forEach((circle, s) => {
    circle.setAttribute("cx", (100 * (inputs[s][0] - domain.x[0])) / (domain.x[1] - domain.x[0]));
    circle.setAttribute("cy", (100 * (domain.y[1] - inputs[s][1])) / (domain.y[1] - domain.y[0]));
    circle.setAttribute("fill", `rgb(${shade("sequential", all[s], low, high)})`);
  });
}

function pause() {
  clearInterval(timer);
  timer = null;
  player.show(false);
}
function toggle() {
  if (timer) return pause();
  player.show(true);
  if (at >= marks.length - 1) go(0);
  timer = setInterval(() => {
    if (at >= marks.length - 1 || page.state().view !== "training") return pause();
    go(at + 1);
  }, PACE);
}

// Hands the parameters of the followed run to the network on screen.
export function go(place, run = followed) {
  at = place;
  followed = run;
  const chosen = runs[run];
  const { sizes, activations, bias } = chosen.mlp;
  page.change(
    {
      sizes,
      activations,
      bias,
      loss: page.data.loss,
      params: chosen.snapshots[recordAt(chosen, marks[at])],
      replay: { run, place }
    },
    { merge: "replay" }
  );
}

export function render() {
  const { replay } = page.state();
  if (replay) [at, followed] = [replay.place, replay.run];
  cards.forEach(({ show }, k) => show.setAttribute("aria-pressed", String(replay?.run === k)));
  if (drawn === at) return;
  drawn = at;
  const step = marks[at];
  scrub.value = at;
  scrub.setAttribute("aria-valuetext", say("training.at", step));
  where.textContent = say("training.at", step);
  for (const card of cards) renderCard(card, step);
  const { inputs, targets, loss: lossName } = page.data;
  const lossAt = (run, k) =>
    run.losses?.[k] ??
    (run.computed ??= run.snapshots.map((p) => loss(run.mlp, p, inputs, targets, lossName)))[k];
  drawCurves(
    curve,
    runs.map((run) => ({
      points: run.steps.map((s, k) => [s, lossAt(run, k)]),
      cursor: [run.steps[recordAt(run, step)], lossAt(run, recordAt(run, step))]
    })),
    { xLabel: say("training.step"), yLabel: say("training.loss") }
  );
}

function renderCard({ run, picture, text, verdict }, step) {
  const { inputs, targets, loss: lossName } = page.data;
  const k = recordAt(run, step);
  const found = loss(run.mlp, run.snapshots[k], inputs, targets, lossName);
  const kept = run.losses?.[k] ?? null;
  text.textContent = say("training.record", run.steps[k], format(found, 10));
  text.dataset.loss = found;
  verdict.hidden = kept === null;
  if (kept !== null) {
    const fine = Math.abs(found - kept) <= (run.bits === 32 ? 1e-5 : 1e-10) * Math.abs(kept);
    verdict.className = `verdict ${fine ? "good" : "bad"}`;
    verdict.textContent = `${fine ? "✓" : "✗"} ${say("training.recordedLoss", format(kept, 10))}`;
  }
  if (picture) paintFit(picture, run.mlp, run.snapshots[k]);
}
