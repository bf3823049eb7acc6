// Training in the page: played, stepped, rewound; the curve of its losses.
import { drawCurves } from "./axes.js";
import { button, choice, make, playButton } from "./dom.js";
import { accuracyOf } from "./classes.js";
import { format } from "./format.js";
import { isCrossEntropy } from "./state.js";
import * as page from "./store.js";
import { lossesOf, rewound, trained } from "./training.js";
import { say } from "./words.js";

const FRAME = 8; // milliseconds of steps in a frame at full speed
let counter, curve, legend, note, player, speed;
let playing = null; // {merge} while playing
let sessions = 0;
let owed = 0;

export const isPlaying = () => playing !== null;

export function pause() {
  playing = null;
  page.endMerge();
  player.show(false);
}
export function play() {
  if (playing) return pause();
  playing = { merge: `play ${++sessions}` };
  player.show(true);
  requestAnimationFrame(frame);
}
function frame() {
  if (!playing) return;
  const { speed: pace } = page.state().training;
  const begun = performance.now();
  owed += pace || 1;
  const steps = Math.floor(owed);
  owed -= steps;
  let part = steps ? trained(page.state(), steps) : null;
  while (!pace && !part.training.diverged && performance.now() - begun < FRAME)
    part = trained({ ...page.state(), ...part }, 1);
  if (part) page.change(part, { merge: playing.merge });
  if (part?.training.diverged) return pause();
  requestAnimationFrame(frame);
}

export function build(panel) {
  playing = null;
  const step = (count) => () => {
    pause();
    page.change(trained(page.state(), count));
  };
  speed = choice(
    say("training.speed"),
    { 0.1: say("speed.slow"), 1: say("speed.frame"), 10: say("speed.ten"), 0: say("speed.full") },
    () => String(page.state().training.speed),
    (value) => page.change({ training: { speed: Number(value) } })
  );
  player = playButton(play, say("training.play"), say("training.pause"));
  counter = make("p", { class: "numbers", role: "status" });
  note = make("p", { class: "verdict bad", role: "alert" });
  legend = make("p", { class: "caption" });
  curve = make("svg", { class: "curves", role: "img", "aria-label": say("training.curves") });
  panel.append(
    make(
      "div",
      { class: "bar" },
      button("|◀", () => (pause(), page.change(rewound(page.state()))), {
        "aria-label": say("training.restart"),
        class: "rewind"
      }),
      player.element,
      button("▶|", step(1), { "aria-label": say("training.next"), class: "one" }),
      button("+100", step(100), { "aria-label": say("training.hundred") })
    ),
    speed.element,
    counter,
    note,
    curve,
    legend
  );
}

// Whether the loss is much larger than where the training began.
const astray = (history, now) => history.length > 3 && now > 3 * history[0][1];

export function render() {
  const now = page.state();
  const { training, test, loss } = now;
  speed.sync();
  const [train, held] = lossesOf(now, page.mlp(), now.params, page.rules());
  const texts = [say("training.counter", training.step, format(train, 6))];
  if (test.inputs.length) texts.push(say("training.held", format(held, 6)));
  const accuracy = accuracyOf(now);
  if (accuracy) {
    texts.push(say("training.accuracy", accuracy.train));
    if (accuracy.test) texts.push(say("training.accuracy.test", accuracy.test));
  }
  counter.textContent = texts.join(" ");
  note.textContent = training.diverged
    ? say("training.diverged", training.step + 1)
    : astray(training.history, train)
      ? say("training.astray", format(training.history[0][1], 3), format(train, 3))
      : now.broken
        ? say("training.broken", say(`${now.broken}.title`))
        : "";
  note.hidden = !note.textContent;
  const points = (column, last) => [
    ...training.history.map((row) => [row[0], row[column]]),
    [training.step, last]
  ];
  const curves = [{ points: points(1, train) }];
  if (test.inputs.length) curves.push({ points: points(2, held) });
  drawCurves(curve, curves, {
    xLabel: say("training.step"),
    yLabel: say(isCrossEntropy(loss) ? loss : "training.loss")
  });
  legend.innerHTML = test.inputs.length ? say("training.legend") : "";
}
