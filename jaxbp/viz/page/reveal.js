// Predict, then reveal: one number is hidden; the reader works it out, and a wrong answer is told what it forgot.
"use strict";

views.reveal = (() => {
  const { state, say } = page;
  let question,
    field,
    feedback,
    hint,
    score,
    progress,
    questions = [],
    current = -1,
    solved = 0,
    tried = 0,
    asked = null;

  function build(panel) {
    question = make("p", { class: "question" });
    field = make("input", {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      "aria-label": say("reveal.answer"),
      class: "answer",
    });
    feedback = make("div", { class: "verdict", role: "status" });
    hint = make("p", { class: "symbols" });
    score = make("p", { class: "caption" });
    progress = make("p", { class: "caption" });
    const form = make(
      "form",
      {
        class: "bar",
        onsubmit: (event) => {
          event.preventDefault();
          answer();
        },
      },
      field,
      make("button", { type: "submit" }, say("reveal.check")),
      button(say("reveal.hint"), showHint),
      button(say("reveal.reveal"), reveal),
      button(say("reveal.next"), next),
    );
    panel.append(
      make("h2", {}, say("view.reveal")),
      make("p", { class: "lead" }, say("reveal.lead")),
      progress,
      question,
      form,
      hint,
      feedback,
      score,
    );
  }

  // One number of each sort, from the first layer forward and back to the first: eight or so, of units chosen in turn.
  function plan() {
    const { sizes } = state.mlp,
      L = page.L(),
      pick = (size, k) => k % size,
      refs = [];
    refs.push(`z.1.${pick(sizes[1], 0)}`, `a.1.${pick(sizes[1], 1)}`);
    if (L > 1) refs.push(`z.${L}.0`);
    refs.push(`e.${L}.${pick(sizes[L], 0)}`, `d.${L}.${pick(sizes[L], 0)}`);
    if (L > 1) refs.push(`e.${L - 1}.0`, `d.${L - 1}.0`);
    refs.push(`gw.${L}.${pick(sizes[L - 1], 1)}.0`, `gb.${L}.0`);
    if (L > 1) refs.push(`gw.1.0.${pick(sizes[1], 0)}`);
    return refs;
  }

  function begin() {
    questions = plan();
    current = -1;
    solved = tried = 0;
    next();
  }
  function next() {
    current = (current + 1) % questions.length;
    const ref = questions[current],
      [, l, i, j] = split(ref);
    asked = { ref, mlp: state.mlp, revealed: false, counted: false };
    field.value = "";
    feedback.replaceChildren();
    feedback.className = "verdict";
    hint.replaceChildren();
    const unit = [l, j ?? i];
    page.change({ hidden: ref, stage: stageOf(state.mlp, ref), number: ref, mistake: null, unit });
  }

  // What a wrong answer may have forgotten: [its value, what to say].
  function slips(ref) {
    const { mlp, params } = state,
      trace = page.trace(),
      row = page.row(),
      [kind, l, i, j] = split(ref),
      L = page.L(),
      n = page.numSamples();
    const value = page.value(ref),
      v = (...parts) => page.value(parts.join(".")),
      name = (...parts) => nameHtml(mlp, parts.join("."));
    const found = [];
    const add = (number, key, ...values) => found.push([number, say(key, ...values)]);
    const paths = (size, term, label) => {
      for (let k = 0; size > 1 && k < size; k++) add(value - term(k), "slip.path", label(k));
      for (let k = 0; size > 1 && k < size; k++) add(term(k), "slip.only", label(k));
    };
    if (kind === "z") {
      add(value - v("b", l, i), "slip.bias", name("b", l, i));
      paths(
        mlp.sizes[l - 1],
        (k) => v("w", l, k, i) * v("a", l - 1, k),
        (k) => `${name("w", l, k, i)} ${name("a", l - 1, k)}`,
      );
      add(v("a", l, i), "slip.activated", name("a", l, i));
    }
    if (kind === "a") {
      add(v("z", l, i), "slip.activation", mlp.activations[l - 1], name("z", l, i));
      add(slopeAt(l, i), "slip.slope.instead");
    }
    if (kind === "e" && l === L) {
      add(2 * value, "slip.twice");
      add(value / 2, "slip.half");
      add(v("a", l, i), "slip.target", name("y", i));
      if (n > 1) add(value * n, "slip.mean", n);
    }
    if (kind === "e" && l < L) {
      const term = (k) => v("d", l + 1, k) * v("w", l + 1, i, k);
      paths(mlp.sizes[l + 1], term, (k) => `${name("d", l + 1, k)} ${name("w", l + 1, i, k)}`);
      add(sum(params[l].bias.map((_, k) => v("e", l + 1, k) * v("w", l + 1, i, k))), "slip.e");
      add(sum(params[l].weight[i]), "slip.upstream");
      add(value * slopeAt(l, i), "slip.slope.early", name("d", l, i));
    }
    if (kind === "d") {
      add(v("e", l, i), "slip.slope", name("z", l, i));
      add(slopeAt(l, i), "slip.factor", name("e", l, i));
      add(
        v("e", l, i) * ACTIVATIONS[mlp.activations[l - 1]].slope(v("z", l, i), v("z", l, i)),
        "slip.argument",
        name("z", l, i),
        name("a", l, i),
      );
      add(v("e", l, i) * v("a", l, i), "slip.value", name("a", l, i));
    }
    if (kind === "gw") {
      add(v("d", l, j), "slip.factor", name("a", l - 1, i));
      add(v("a", l - 1, i), "slip.factor", name("d", l, j));
      add(v("a", l - 1, i) * v("e", l, j), "slip.error", name("d", l, j), name("e", l, j));
      add(v("w", l, i, j) * v("d", l, j), "slip.weight", name("a", l - 1, i), name("w", l, i, j));
      if (l > 1) add(v("z", l - 1, i) * v("d", l, j), "slip.before", name("a", l - 1, i), name("z", l - 1, i));
      if (n > 1) add(trace.activations[l - 1][row][i] * trace.nodeErrors[l][row][j], "slip.samples", n);
    }
    if (kind === "gb") {
      add(v("e", l, i), "slip.error", name("d", l, i), name("e", l, i));
      add(v("b", l, i) * v("d", l, i), "slip.input", name("b", l, i));
      if (n > 1) add(trace.nodeErrors[l][row][i], "slip.samples", n);
    }
    return [
      ...found,
      [-value, say("slip.sign")],
      ...found.map(([number, text]) => [-number, `${say("slip.sign")} ${text}`]),
    ];
  }
  function slopeAt(l, i) {
    const trace = page.trace(),
      row = page.row();
    return ACTIVATIONS[state.mlp.activations[l - 1]].slope(
      trace.preactivations[l][row][i],
      trace.activations[l][row][i],
    );
  }

  // Right within one per cent, or within the rounding of the digits typed, if there are two of them.
  function close(typed, text, value) {
    const decimals = (text.split(/[eE]/)[0].split(".")[1] ?? "").length,
      power = Number(text.split(/[eE]/)[1] ?? 0);
    const digits = text.split(/[eE]/)[0].replace(/^[-0.]+|\D/g, "").length;
    const rounding = digits >= 2 ? 0.500001 * 10 ** (power - decimals) : 0;
    return (
      Math.abs(typed - value) <= Math.max(0.01 * Math.abs(value), Math.abs(value) > rounding ? rounding : 0, 1e-12)
    );
  }

  function answer() {
    const text = field.value.trim().replace(/[−–]/g, "-").replace(",", "."),
      typed = Number(text),
      value = page.value(asked.ref);
    if (text === "" || !Number.isFinite(typed)) return tell("bad", say("reveal.number"));
    const first = !asked.counted && !asked.revealed;
    if (first) {
      asked.counted = true;
      tried += 1;
    }
    if (close(typed, text, value)) {
      if (first) solved += 1;
      tell("good", `✓ ${say("reveal.right", nameHtml(state.mlp, asked.ref), format(value, 8))}`);
      page.change({ hidden: null });
    } else {
      const slip = slips(asked.ref).find(
        ([number]) => Number.isFinite(number) && number !== 0 && close(typed, text, number),
      );
      const sign = Math.sign(typed) !== Math.sign(value) && value !== 0 ? say("slip.sign") : "";
      tell("bad", `✗ ${slip ? slip[1] : `${say("reveal.wrong")} ${sign}`}`);
    }
    score.textContent = say("reveal.score", solved, tried);
  }
  function reveal() {
    asked.revealed = true;
    showHint();
    page.change({ hidden: null });
    tell("good", say("reveal.is", nameHtml(state.mlp, asked.ref), format(page.value(asked.ref), 8)));
  }
  function showHint() {
    const { mlp } = state,
      parts = page.formula(asked.ref);
    hint.innerHTML =
      `${nameHtml(mlp, asked.ref)} = ${parts.map((part) => (part.ref ? nameHtml(mlp, part.ref) : part)).join("")}<br>` +
      factorsOf(parts)
        .map(
          (ref) =>
            `${nameHtml(mlp, ref)} = ${isParameter(ref) ? formatGiven(page.value(ref)) : format(page.value(ref), 5)}`,
        )
        .join(", ");
  }
  function tell(kind, text) {
    feedback.className = `verdict ${kind}`;
    feedback.innerHTML = text;
  }

  function render(changed) {
    if (state.view !== "reveal") return;
    if (!asked || asked.mlp !== state.mlp) return begin();
    if (changed.has("view") && !state.hidden && !asked.revealed && !asked.counted)
      page.change({ hidden: asked.ref, number: asked.ref });
    question.innerHTML = say("reveal.question", nameHtml(state.mlp, asked.ref));
    progress.textContent = say("reveal.progress", current + 1, questions.length);
  }

  return {
    build,
    render,
    slips,
    ask: (ref) => {
      questions = [ref];
      current = -1;
      next();
    },
  };
})();
