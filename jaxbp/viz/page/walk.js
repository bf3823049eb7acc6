// The walk: a card for each unit with all its numbers, lines for the weights, the formula of the number in hand below.
"use strict";

views.walk = (() => {
  const { state, say } = page;
  const numbers = new Map(); // reference -> {element, text} of what stands in the picture
  let root,
    diagram,
    lines,
    columns,
    legend,
    status,
    formula,
    drawn = null;

  const cardRows = (l) => state.mlp.sizes[l - 1] + 3 + (l === page.L() ? 1 : 0);
  const roomy = () => state.mlp.sizes.slice(1).every((size, k) => size * (cardRows(k + 1) * 20 + 34) <= 800);
  const open = (l, j) => roomy() || (state.unit[0] === l && state.unit[1] === j);

  function build(panel) {
    root = panel;
    status = make("output", { class: "stage", role: "status" });
    lines = make("svg", { class: "lines", "aria-hidden": "true" });
    columns = make("div", { class: "columns" });
    diagram = make(
      "div",
      { class: "diagram", role: "group", "aria-label": say("walk.diagram"), tabindex: "0" },
      lines,
      columns,
    );
    legend = make("p", { class: "legend" });
    formula = make("div", {
      class: "formula",
      role: "region",
      "aria-label": say("walk.formula"),
      "aria-live": "polite",
    });
    const L = () => page.L(),
      go = (stage) => () => page.change({ stage });
    panel.append(
      make("h2", {}, say("view.walk")),
      make("p", { class: "lead" }, say("walk.lead")),
      make(
        "div",
        { class: "bar", role: "group", "aria-label": say("walk.stages") },
        button("|◀", go(0), { "aria-label": say("walk.first") }),
        button("◀", () => step(-1), { "aria-label": say("walk.back") }),
        button("▶", () => step(1), { "aria-label": say("walk.next") }),
        button(say("walk.forward"), () => page.change({ stage: L() + 1 }), { class: "forward" }),
        button(say("walk.step1"), () => page.change({ stage: 2 * L() + 1 }), { class: "step1" }),
        button(say("walk.step2"), () => page.change({ stage: 3 * L() + 1 }), { class: "step2" }),
        status,
      ),
      legend,
      diagram,
      formula,
    );
    addEventListener("keydown", (event) => {
      if (!page.shown("walk") || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.target.closest("input, select, textarea, [role=tab], [role=dialog], .diagram.overflowing:focus"))
        return;
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
      else return;
      event.preventDefault();
    });
  }

  const step = (by) => page.change({ stage: Math.min(3 * page.L() + 1, Math.max(0, state.stage + by)) });

  // One number: a button whose formula is shown, or, of what can be changed, a spin button to drag and to type into.
  function number(ref, label = nameHtml(state.mlp, ref)) {
    const text = make("span", { class: "value" }),
      name = nameOf(state.mlp, ref);
    const key = make("span", { class: "key", html: label });
    const kind = split(ref)[0],
      changeable = isParameter(ref);
    const attributes = changeable ? { role: "spinbutton", "aria-label": name, tabindex: "0" } : { type: "button" };
    const hidden = changeable || label === nameHtml(state.mlp, ref) ? [] : [make("span", { class: "unseen" }, name)];
    if (hidden.length) key.setAttribute("aria-hidden", "true");
    const element = make(
      changeable ? "span" : "button",
      {
        class: `number ${kind}${changeable ? " given" : ""}`,
        "data-ref": ref,
        ...attributes,
        onclick: () => select(ref),
        // Opening a card takes a click: the way through the page by keyboard stays short.
        onfocus: () => (roomy() ? select(ref) : page.change({ number: ref, hovered: null })),
        onpointerenter: () => page.change({ hovered: ref }),
        onpointerleave: () => page.change({ hovered: null }),
      },
      ...hidden,
      key,
      text,
    );
    if (changeable) makeDraggable(element, ref);
    numbers.set(ref, { element, text, shown: null });
    return element;
  }

  function select(ref) {
    const [kind, l, i, j] = split(ref);
    const unit = kind === "loss" || kind === "y" ? state.unit : [l, j ?? i];
    page.change({ number: ref, hovered: null, ...(same(unit, state.unit) || unit[0] === 0 ? {} : { unit }) });
  }
  const same = (a, b) => a[0] === b[0] && a[1] === b[1];

  function makeDraggable(element, ref) {
    let start = null;
    const commit = (value) => page.set(ref, within(ref, Number(value.toPrecision(6))));
    element.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, value: page.value(ref) };
      element.setPointerCapture(event.pointerId);
      element.focus();
      event.preventDefault();
    });
    element.addEventListener("pointermove", (event) => {
      if (!start || Math.abs(event.clientX - start.x) < 2) return;
      const unit = event.shiftKey ? 0.001 : 0.01;
      commit(Math.round(start.value / unit + (event.clientX - start.x)) * unit);
      element.classList.add("dragged");
    });
    for (const end of ["pointerup", "pointercancel"])
      element.addEventListener(end, () => {
        start = null;
        element.classList.remove("dragged");
      });
    element.addEventListener("keydown", (event) => {
      const by = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key];
      if (event.key === "Enter") formula.querySelector("input")?.select();
      if (!by) return;
      commit(page.value(ref) + by * (event.shiftKey ? 0.1 : 1));
      event.preventDefault();
    });
  }
  const within = (ref, value) =>
    ref.startsWith("y") && /entropy/.test(state.lossName) ? Math.min(1, Math.max(0, value)) : value;

  function card(l, j) {
    const { mlp } = state,
      title = unitNumber(mlp, l, j),
      L = page.L();
    const attributes = { class: "unit", role: "group", "aria-label": say("unit", title), "data-unit": `${l}.${j}` };
    if (l === 0) return make("div", { ...attributes, class: "unit input" }, number(`a.0.${j}`));
    const head = button(`${title}`, () => page.change({ unit: [l, j] }), {
      class: "head",
      "aria-label": say("unit.select", title),
    });
    if (!open(l, j)) {
      const closed = make(
        "div",
        { ...attributes, class: "unit closed" },
        head,
        number(`a.${l}.${j}`),
        number(`d.${l}.${j}`),
        ...(l === L ? [number(`y.${j}`)] : []),
      );
      for (const ref of [`a.${l}.${j}`, `d.${l}.${j}`]) numbers.get(ref).short = true;
      return closed;
    }
    const phi = make("span", { class: "phi" }, mlp.activations[l - 1].replace("_", " "));
    const weights = Array.from({ length: mlp.sizes[l - 1] }, (_, i) => [
      number(`w.${l}.${i}.${j}`),
      number(`gw.${l}.${i}.${j}`, "<i>∂</i>"),
    ]).flat();
    return make(
      "div",
      attributes,
      make("div", { class: "title" }, head, phi),
      make(
        "div",
        { class: "grid" },
        ...weights,
        number(`b.${l}.${j}`),
        number(`gb.${l}.${j}`, "<i>∂</i>"),
        number(`z.${l}.${j}`),
        number(`d.${l}.${j}`),
        number(`a.${l}.${j}`),
        number(`e.${l}.${j}`),
        ...(l === L ? [number(`y.${j}`)] : []),
      ),
    );
  }

  function draw() {
    const held = document.activeElement?.closest?.(".diagram .number, .diagram .head");
    const heldRef = held?.dataset.ref,
      heldUnit = held?.closest(".unit")?.dataset.unit;
    numbers.clear();
    columns.replaceChildren(
      ...state.mlp.sizes.map((size, l) =>
        make(
          "div",
          { class: "column", "data-layer": l },
          ...Array.from({ length: size }, (_, j) => card(l, j)),
          ...(l === page.L() ? [make("div", { class: "unit total" }, number("loss"))] : []),
        ),
      ),
    );
    lines.replaceChildren();
    diagram.classList.toggle("many", unitNumber(state.mlp, page.L(), 0) > 9);
    drawn = { mlp: state.mlp, unit: state.unit, roomy: roomy(), width: 0 };
    if (heldRef && numbers.has(heldRef)) numbers.get(heldRef).element.focus({ preventScroll: true });
    else if (heldUnit) columns.querySelector(`[data-unit="${heldUnit}"] .head`)?.focus({ preventScroll: true });
  }

  // Lines end at the row of their weight in an open card, at the middle of a closed one.
  function place() {
    const frame = columns.getBoundingClientRect(),
      middles = new Map();
    const at = (box) => ({
      left: box.left - frame.left,
      right: box.right - frame.left,
      y: (box.top + box.bottom) / 2 - frame.top,
    });
    for (const element of columns.querySelectorAll("[data-unit]"))
      middles.set(element.dataset.unit, at(element.getBoundingClientRect()));
    lines.setAttribute("width", frame.width);
    lines.setAttribute("height", frame.height);
    lines.replaceChildren();
    drawn.lines = [];
    for (let l = 1; l <= page.L(); l++)
      for (let j = 0; j < state.mlp.sizes[l]; j++)
        for (let i = 0; i < state.mlp.sizes[l - 1]; i++) {
          const ref = `w.${l}.${i}.${j}`,
            row = numbers.get(ref)?.element,
            from = middles.get(`${l - 1}.${i}`),
            to = middles.get(`${l}.${j}`);
          const y = row ? at(row.getBoundingClientRect()).y : to.y,
            bend = (to.left - from.right) / 2;
          const d = `M${from.right} ${from.y}C${from.right + bend} ${from.y} ${to.left - bend} ${y} ${to.left} ${y}`;
          const path = make("path", { d });
          lines.append(path);
          drawn.lines.push({ ref, path, l, j });
        }
    drawn.width = frame.width;
    diagram.classList.toggle("overflowing", diagram.scrollWidth > diagram.clientWidth + 1);
  }

  const phase = () => (state.stage <= page.L() + 1 ? "forward" : state.stage <= 2 * page.L() + 1 ? "step1" : "step2");

  // What flows along a line: the weight, the part of the next node error that it carries back, or its gradient.
  function flow({ ref, l, j }) {
    const weight = page.value(ref),
      now = phase();
    if (now === "forward") return weight;
    return now === "step1" ? page.trace().nodeErrors[l][page.row()][j] * weight : page.value(`g${ref}`);
  }
  const reached = ({ l }) => {
    const L = page.L();
    if (phase() === "forward") return l <= state.stage || state.stage === 0;
    return phase() === "step1" ? l >= 2 * L + 2 - state.stage : l >= 3 * L + 2 - state.stage;
  };

  function stageText() {
    const L = page.L(),
      { stage } = state;
    if (stage === 0) return say("stage.start");
    if (stage <= L) return say("stage.forward", stage);
    if (stage === L + 1) return say("stage.loss");
    return stage <= 2 * L + 1 ? say("stage.step1", 2 * L + 2 - stage) : say("stage.step2", 3 * L + 2 - stage);
  }

  function render() {
    if (!drawn || drawn.mlp !== state.mlp || (!drawn.roomy && !same(drawn.unit, state.unit)) || drawn.roomy !== roomy())
      draw();
    const wrong = views.check?.wrongNumbers() ?? { culprits: [], later: [] };
    const culprits = new Set(wrong.culprits),
      later = new Set(wrong.later);
    const active = state.hovered ?? state.number,
      parts = active ? page.formula(active) : [];
    const factors = new Set(active && page.known(active) ? factorsOf(parts) : []);
    for (const [ref, entry] of numbers) {
      const value = page.value(ref);
      const text =
        ref === state.hidden
          ? "?"
          : !page.known(ref)
            ? "·"
            : isParameter(ref)
              ? formatGiven(value)
              : format(value, page.narrow.matches || entry.short ? 3 : 4);
      if (text !== entry.shown) {
        entry.text.textContent = entry.shown = text;
        if (isParameter(ref)) entry.element.setAttribute("aria-valuenow", value);
      }
      const { classList } = entry.element;
      classList.toggle("factor", factors.has(ref));
      classList.toggle("active", ref === active);
      classList.toggle("culprit", culprits.has(ref) && page.known(ref));
      classList.toggle("later", later.has(ref) && page.known(ref));
      classList.toggle("asked", ref === state.hidden);
    }
    for (const element of columns.querySelectorAll("[data-unit]")) {
      element.classList.toggle("selected", element.dataset.unit === state.unit.join("."));
    }
    if (drawn.width !== columns.getBoundingClientRect().width) place();
    const flows = drawn.lines.map((line) => flow(line) || 0).map((x) => (Number.isFinite(x) ? x : 0)),
      widest = flows.length > 100 ? 2.5 : 4,
      largest = Math.max(...flows.map(Math.abs), 1e-300);
    lines.setAttribute("class", `lines ${phase()}`);
    drawn.lines.forEach((line, k) => {
      const carries = reached(line) && flows[k] !== 0;
      const width = carries ? 0.75 + widest * Math.sqrt(Math.abs(flows[k]) / largest) : 0.75;
      line.path.setAttribute("stroke-width", width.toFixed(2));
      const lit = factors.has(line.ref) || active === line.ref || active === line.ref.replace("w", "gw");
      line.path.setAttribute(
        "class",
        [flows[k] < 0 ? "negative" : "", lit ? "lit" : "", carries ? "" : "waiting"].join(" ").trim(),
      );
    });
    const text = stageText();
    if (status.textContent !== text) status.textContent = text;
    legend.textContent = say(`walk.legend.${phase()}`);
    for (const name of ["forward", "step1", "step2"]) {
      root.querySelector(`.bar .${name}`).setAttribute("aria-pressed", String(name === phase()));
    }
    showFormula(active, parts);
  }

  function showFormula(ref, parts) {
    if (!ref) return void formula.replaceChildren(make("p", {}, say("walk.hint")));
    const { mlp } = state,
      value = page.value(ref),
      name = nameHtml(mlp, ref);
    if (!page.known(ref)) {
      return void formula.replaceChildren(
        make("p", { html: ref === state.hidden ? say("walk.asked", name) : say("walk.later", name) }),
      );
    }
    if (isParameter(ref)) {
      let field = formula.querySelector(`input[data-ref="${ref}"]`);
      if (!field || formula.dataset.ref !== ref) {
        field = make("input", {
          type: "number",
          step: "any",
          "data-ref": ref,
          onchange: () => {
            if (field.value !== "" && Number.isFinite(Number(field.value)))
              page.set(ref, within(ref, Number(field.value)));
          },
        });
        formula.replaceChildren(make("label", { html: `${name} = ` }, field), make("p", { class: "effect" }));
        formula.dataset.ref = ref;
      }
      if (document.activeElement !== field) field.value = Number.isFinite(value) ? value : "";
      const slope = ref.replace(/^([wb])\./, "g$1.");
      formula.querySelector(".effect").innerHTML =
        /^[wb]/.test(ref) && page.known(slope)
          ? say("walk.effect", nameHtml(mlp, slope), format(page.value(slope)), name, format(0.01 * page.value(slope)))
          : say("walk.drag");
      return;
    }
    delete formula.dataset.ref;
    const symbols = parts.map((part) => (part.ref ? nameHtml(mlp, part.ref) : part)).join("");
    const filled = parts
      .map((part, k) => {
        if (!part.ref) return part === " " ? " × " : part.replace(/^ \(1/, " × (1");
        const text = format(page.value(part.ref), 5);
        const bracketed = String(parts[k - 1] ?? "").endsWith("(");
        return text.startsWith("−") && !bracketed ? `(${text})` : text;
      })
      .join("");
    const part = /^(g|loss)/.test(ref) && page.numSamples() > 1 ? ` ${say("walk.sum", page.numSamples())}` : "";
    const right = valueOf(page.right(), page.row(), ref);
    const broken = Math.abs(right - value) > 1e-12 * Math.abs(right);
    const verdict = broken ? ` <span class="bad">✗ ${say("walk.should", format(right, 10))}</span>` : "";
    formula.replaceChildren(
      make("p", { class: "symbols", html: `${name} = ${symbols}` }),
      factorsOf(parts).length ? make("p", { class: "filled" }, `= ${filled}${part}`) : "",
      make("p", { class: "result", html: `= <strong>${format(value, 10)}</strong>${verdict}` }),
    );
  }

  return { build, render, numbers };
})();
