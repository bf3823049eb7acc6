// The training: runs that jaxbp recorded, replayed to the digit, or descent in the browser on the page's samples.
"use strict";

views.training = (() => {
  const { data, state, say } = page;
  const SIDE = 31;
  const runs = Object.entries(data.recording).map(([name, run]) => {
    const from = reader(run.params, run.bits);
    return { name, ...run, snapshots: run.steps.map(() => from.layers(run.mlp)) };
  });
  const marks = [...new Set(runs.flatMap((run) => run.steps))].sort((a, b) => a - b); // the steps of all runs together
  const live = { rate: 0.1, optimizer: "descent", start: "given", seed: 0, step: 0, memory: null, history: [] };
  let drawn = null,
    mode = runs.length ? "recorded" : "live",
    playing = false,
    at = Math.max(0, marks.length - 1),
    followed = 0;
  let root,
    bodies,
    modeBar,
    playButton,
    scrub,
    where,
    cards,
    curve,
    liveCurve,
    livePicture = null,
    activationChoice = null,
    counter,
    walkNote;

  const lossOf = (mlp, params) => loss(mlp, params, state.inputs, state.targets, state.lossName, page.rules());
  // The last record of a run that is not after a step.
  const recordAt = (run, step) => Math.max(0, run.steps.filter((s) => s <= step).length - 1);

  function build(panel) {
    root = panel;
    playButton = button("▶", toggle, { "aria-label": say("training.play") });
    modeBar = make(
      "div",
      { class: "bar" },
      ...(runs.length
        ? [
            choice(
              say("training.mode"),
              { recorded: say("training.recorded"), live: say("training.live") },
              mode,
              (chosen) => {
                mode = chosen;
                pause();
                render(new Set(["mode"]));
              },
            ),
          ]
        : []),
      button("|◀", restart, { "aria-label": say("training.restart") }),
      button("◀", () => move(-1), { "aria-label": say("training.back"), class: "back" }),
      playButton,
      button("▶|", () => move(1), { "aria-label": say("training.next") }),
    );
    walkNote = make("p", { class: "caption" });
    bodies = { recorded: make("div"), live: make("div") };
    panel.append(
      make("h2", {}, say("view.training")),
      make("p", { class: "lead" }, say("training.lead")),
      modeBar,
      bodies.recorded,
      bodies.live,
      walkNote,
    );
    if (runs.length) buildRecorded(bodies.recorded);
    buildLive(bodies.live);
  }

  function buildRecorded(body) {
    where = make("output", { class: "stage" });
    scrub = make("input", {
      type: "range",
      min: 0,
      max: marks.length - 1,
      value: at,
      "aria-label": say("training.scrub"),
      oninput: () => go(Number(scrub.value)),
    });
    cards = runs.map((run, k) => {
      const picture = run.mlp.sizes[0] === 2 ? fitPicture(run.name) : "";
      const text = make("p", { class: "numbers" }),
        verdict = make("p", { class: "verdict" });
      const radio = make("input", {
        type: "radio",
        name: "followed",
        checked: k === followed,
        onchange: () => {
          followed = k;
          follow();
        },
      });
      const card = make(
        "div",
        { class: "run" },
        make("h3", { class: `name${k % 4}` }, run.name),
        picture,
        text,
        verdict,
        make("label", { class: "control" }, radio, say("training.follow")),
      );
      return { run, picture, text, verdict, card };
    });
    curve = make("svg", { class: "curves", role: "img", "aria-label": say("training.curves") });
    body.append(
      make("div", { class: "bar" }, scrub, where),
      make("div", { class: "runs" }, ...cards.map(({ card }) => card)),
      curve,
    );
  }

  // The output over the plane with the targets of the samples on it, in the same colours: unseen where it fits.
  function fitPicture(name) {
    const circles = data.inputs.length <= 200 ? data.inputs : [];
    const canvas = make("canvas", { width: SIDE, height: SIDE, role: "img", "aria-label": say("training.map", name) });
    return make(
      "div",
      { class: "fit" },
      canvas,
      make(
        "svg",
        { viewBox: "0 0 100 100", "aria-hidden": "true" },
        ...circles.map(() => make("circle", { r: circles.length > 40 ? 1.3 : 2.6 })),
      ),
    );
  }
  function paintFit(picture, mlp, params, inputs, targets) {
    const domain = domainOf(data.inputs),
      values = forward(mlp, params, gridPoints(domain, SIDE), page.rules())
        .activations.at(-1)
        .map((row) => row[0]);
    const all = targets.map((row) => row[0]),
      low = Math.min(...all),
      high = Math.max(...all);
    paint(picture.firstChild, SIDE, values, "sequential", low, high);
    picture.lastChild.childNodes.forEach((circle, s) => {
      circle.setAttribute("cx", (100 * (inputs[s][0] - domain.x[0])) / (domain.x[1] - domain.x[0]));
      circle.setAttribute("cy", (100 * (domain.y[1] - inputs[s][1])) / (domain.y[1] - domain.y[0]));
      circle.setAttribute("fill", `rgb(${shade("sequential", all[s], low, high)})`);
    });
  }

  function buildLive(body) {
    const again = (key) => (value) => {
      live[key] = value;
      if (key !== "rate") restart();
    };
    const hidden = [...new Set(data.mlp.activations.slice(0, -1))];
    const options = (names) => Object.fromEntries(names.map((name) => [name, name.replace("_", " ")]));
    counter = make("p", { class: "numbers", role: "status" });
    liveCurve = make("svg", { class: "curves", role: "img", "aria-label": say("training.curves") });
    body.append(
      make(
        "div",
        { class: "bar" },
        slider(
          say("training.rate"),
          { min: -4, max: 1, step: 0.1 },
          Math.log10(live.rate),
          (x) => {
            live.rate = 10 ** x;
          },
          (x) => formatGiven(Number((10 ** x).toPrecision(2))),
        ),
        choice(
          say("training.optimizer"),
          { descent: say("training.descent"), adam: "Adam" },
          live.optimizer,
          again("optimizer"),
        ),
        ...(hidden.length
          ? [
              (activationChoice = choice(
                say("training.activation"),
                options(Object.keys(ACTIVATIONS)),
                hidden[0],
                (name) => {
                  const { mlp } = state;
                  page.change({
                    mlp: {
                      ...mlp,
                      activations: mlp.activations.map((old, k) => (k < mlp.activations.length - 1 ? name : old)),
                    },
                  });
                  restart();
                },
              )),
            ]
          : []),
        choice(
          say("training.start"),
          { given: say("training.given"), ...options(Object.keys(SCHEMES)) },
          live.start,
          again("start"),
        ),
        slider(say("training.seed"), { min: 0, max: 20, step: 1 }, 0, again("seed")),
      ),
      counter,
      make(
        "div",
        { class: "runs" },
        ...(data.mlp.sizes[0] === 2 ? [(livePicture = fitPicture(say("training.live")))] : []),
        liveCurve,
      ),
    );
  }

  function pause() {
    playing = false;
    playButton.textContent = "▶";
    playButton.setAttribute("aria-label", say("training.play"));
  }
  function toggle() {
    if (playing) return pause();
    playing = true;
    playButton.textContent = "❚❚";
    playButton.setAttribute("aria-label", say("training.pause"));
    if (mode === "recorded" && at === marks.length - 1) go(0);
    frameOf(0);
  }

  let due = 0;
  function frameOf(now) {
    if (!playing) return;
    if (!page.shown("training")) return pause();
    if (mode === "live") {
      const begun = performance.now();
      do advance();
      while (performance.now() - begun < 8 && !page.still.matches && playing);
      show();
    } else if (now >= due) {
      due = now + (page.still.matches ? 1000 : 160);
      if (at >= marks.length - 1) return pause();
      go(at + 1);
    }
    requestAnimationFrame(frameOf);
  }

  function move(by) {
    pause();
    if (mode === "recorded") return go(Math.min(marks.length - 1, Math.max(0, at + by)));
    if (by > 0) advance();
    show();
  }
  function restart() {
    pause();
    if (mode === "recorded") return go(0);
    const params = live.start === "given" ? data.params : init(state.mlp, live.seed, live.start);
    Object.assign(live, { step: 0, memory: null, history: [[0, lossOf(state.mlp, params)]] });
    page.change({ params });
    render(new Set(["params"]));
  }
  function go(place) {
    at = place;
    follow();
  }
  // Hands the parameters of the followed run to all views.
  function follow() {
    const run = runs[followed],
      params = run.snapshots[recordAt(run, marks[at])];
    const same = JSON.stringify(run.mlp) === JSON.stringify(state.mlp);
    page.change({ ...(same ? {} : { mlp: run.mlp }), params, place: at });
    render(new Set(["params"]));
  }

  // One step of the optimizer on all samples, with the rules as they are: a broken rule trains too.
  let moving = null;
  function advance() {
    const params = moving ?? state.params,
      found = backprop(state.mlp, params, state.inputs, state.targets, state.lossName, page.rules());
    if (!live.history.length) live.history.push([live.step, found.loss]);
    const next = OPTIMIZERS[live.optimizer](params, found.gradient, live.memory, live.rate);
    Object.assign(live, { memory: next.state, step: live.step + 1 });
    moving = next.params;
    if (live.history.length < 400 || live.step % 2 ** Math.floor(Math.log2(live.step / 200)) === 0)
      live.history.push([live.step, lossOf(state.mlp, moving)]);
    if (!Number.isFinite(found.loss)) pause();
  }
  function show() {
    const params = moving ?? state.params;
    moving = null;
    page.change({ params, live: live.step });
  }

  function render(changed, passing = false) {
    if (passing) return;
    for (const name of ["recorded", "live"]) bodies[name].hidden = name !== mode;
    modeBar.querySelector(".back").disabled = mode === "live";
    walkNote.textContent = state.mistake ? say("training.broken", say(`${state.mistake}.title`)) : "";
    if (mode === "live") {
      if (state.params === data.params && !playing && live.step)
        Object.assign(live, { step: 0, memory: null, history: [] });
      if (activationChoice) activationChoice.querySelector("select").value = state.mlp.activations[0];
      const now = lossOf(state.mlp, state.params);
      counter.textContent = say("training.counter", live.step, format(now, 8));
      if (livePicture) paintFit(livePicture, state.mlp, state.params, state.inputs, state.targets);
      drawCurves(liveCurve, [{ points: [...live.history, [live.step, now]] }], {
        xLabel: say("training.step"),
        yLabel: say("training.loss"),
      });
      return;
    }
    if (drawn === `${at} ${state.mistake}`) return; // the records do not change when the walk does
    drawn = `${at} ${state.mistake}`;
    const step = marks[at];
    scrub.value = at;
    scrub.setAttribute("aria-valuetext", say("training.at", step));
    where.textContent = say("training.at", step);
    for (const { run, picture, text, verdict } of cards) {
      const k = recordAt(run, step),
        params = run.snapshots[k];
      const found = loss(run.mlp, params, data.inputs, data.targets, data.loss),
        recorded = run.losses?.[k];
      text.textContent = say("training.record", run.steps[k], format(found, 10));
      text.dataset.loss = found;
      if (recorded !== undefined && recorded !== null) {
        const share = Math.abs(found - recorded) / Math.abs(recorded),
          fine = share <= (run.bits === 32 ? 1e-5 : 1e-10);
        verdict.className = `verdict ${fine ? "good" : "bad"}`;
        verdict.textContent = `${fine ? "✓" : "✗"} ${say("training.recordedLoss", format(recorded, 10))}`;
      }
      verdict.hidden = recorded === undefined || recorded === null;
      if (picture) paintFit(picture, run.mlp, params, data.inputs, data.targets);
    }
    const lossAt = (run, k) =>
      run.losses?.[k] ??
      (run.computed ??= run.snapshots.map((p) => loss(run.mlp, p, data.inputs, data.targets, data.loss)))[k];
    drawCurves(
      curve,
      runs.map((run) => ({
        points: run.steps.map((s, k) => [s, lossAt(run, k)]),
        cursor: [run.steps[recordAt(run, step)], lossAt(run, recordAt(run, step))],
      })),
      { xLabel: say("training.step"), yLabel: say("training.loss") },
    );
  }

  return {
    build,
    render,
    runs,
    live,
    advance: (count) => {
      for (let k = 0; k < count; k++) advance();
      show();
    },
    go,
  };
})();
