// The timeline below the network: forward, loss, node errors layer by layer, gradient, update.
import { button, make, playButton, targetOf } from "./dom.js";
import { lastStage } from "./state.js";
import * as page from "./store.js";
import { trained } from "./training.js";
import { say } from "./words.js";

const PACE = 1100; // milliseconds a stage while playing
let slider, status, player, marks, drawnFor;
let timer = null;

function stageText() {
  const L = page.L();
  const { stage } = page.state();
  if (stage === 0) return say("stage.start");
  if (stage <= L) return say("stage.forward", stage);
  if (stage === L + 1) return say("stage.loss");
  return stage <= 2 * L + 1
    ? say("stage.step1", 2 * L + 2 - stage)
    : say("stage.step2", 3 * L + 2 - stage);
}

export function go(stage) {
  const inside = Math.min(lastStage(page.state()), Math.max(0, stage));
  page.change({ stage: inside }, { merge: "stage" });
}
const step = (by) => go(page.state().stage + by);

function pause() {
  clearInterval(timer);
  timer = null;
  player.show(false);
}
function toggle() {
  if (timer) return pause();
  if (page.state().stage >= lastStage(page.state())) go(0);
  player.show(true);
  timer = setInterval(() => {
    step(1);
    if (page.state().stage >= lastStage(page.state())) pause();
  }, PACE);
}

export function build(panel) {
  status = make("output", { class: "stage", role: "status" });
  slider = make("input", {
    type: "range",
    min: 0,
    step: 1,
    "aria-label": say("timeline.label"),
    oninput: () => go(Number(slider.value))
  });
  marks = make("div", { class: "marks" });
  player = playButton(toggle, say("timeline.play"), say("training.pause"));
  drawnFor = null;
  pause();
  panel.append(
    make(
      "div",
      { class: "bar" },
      button("|◀", () => go(0), { "aria-label": say("timeline.first") }),
      button("◀", () => step(-1), { "aria-label": say("timeline.back") }),
      player.element,
      button("▶|", () => step(1), { "aria-label": say("timeline.next") })
    ),
    make("div", { class: "track" }, marks, slider),
    make(
      "div",
      { class: "bar" },
      status,
      button(say("timeline.update"), () => page.change(trained(page.state(), 1)), {
        title: say("timeline.update.title"),
        class: "update"
      })
    )
  );
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (
    targetOf(event).closest?.(
      "input, select, textarea, [role=tab], [role=dialog], [data-stop], .scroll"
    )
  )
    return;
  if (event.key === "ArrowRight") step(1);
  else if (event.key === "ArrowLeft") step(-1);
  else return;
  event.preventDefault();
});

// Buttons above the track, each as wide as its stages.
function drawMarks(L) {
  const part = (key, stage, width) =>
    button(say(`timeline.${key}`), () => go(stage), { class: key, style: `flex: ${width} 1 auto` });
  marks.replaceChildren(
    part("forward", L + 1, L + 1.5),
    part("step1", 2 * L + 1, L),
    part("step2", 3 * L + 1, L + 0.5)
  );
}

export function render() {
  const L = page.L();
  const { stage } = page.state();
  if (drawnFor !== L) drawMarks((drawnFor = L));
  slider.max = 3 * L + 1;
  slider.value = stage;
  const text = stageText();
  slider.setAttribute("aria-valuetext", text);
  if (status.textContent !== text) status.textContent = text;
  const now =
    stage === 0 ? "" : stage <= L + 1 ? "forward" : stage <= 2 * L + 1 ? "step1" : "step2";
  for (const mark of marks.children)
    mark.setAttribute("aria-pressed", String(mark.className === now));
}
