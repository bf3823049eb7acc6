// The check: one rule is replaced by a mistake that a document really has, and the wrong numbers are found and named.
"use strict";

views.check = (() => {
  const { state, say } = page;
  let list,
    rule,
    verdict,
    table,
    known = null,
    timer = null;

  // The numbers that come out wrong here: culprits, whose own rule was replaced, and what was computed from them later.
  function wrongNumbers() {
    if (!state.mistake) return { culprits: [], later: [], all: [] };
    const trace = page.trace();
    if (known?.trace !== trace) {
      const { wrong } = compare(state.mlp, page.row(), trace, page.right());
      const own = (ref) => MISTAKES[state.mistake].formula(state, ref) !== undefined;
      known = { trace, all: wrong, culprits: wrong.filter(own), later: wrong.filter((ref) => !own(ref)) };
    }
    return known;
  }

  function choose(name) {
    const all = name && MISTAKES[name].all;
    page.change({ mistake: name, stage: 3 * page.L() + 1, ...(all ? { scope: "all" } : {}) });
  }

  function build(panel) {
    list = make("fieldset", { class: "mistakes" }, make("legend", {}, say("check.choose")));
    const option = (name, title, source) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: "mistake",
          value: name ?? "",
          checked: state.mistake === name,
          onchange: () => choose(name),
        }),
        make("span", {}, title),
        make("small", {}, source),
      );
    list.append(
      option(null, say("check.none"), say("check.none.source")),
      ...Object.keys(MISTAKES).map((name) => option(name, say(`${name}.title`), say(`${name}.source`))),
    );
    rule = make("div", { class: "rule" });
    verdict = make("div", { class: "verdict", role: "status" });
    table = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("check.table") });
    panel.append(
      make("h2", {}, say("view.check")),
      make("p", { class: "lead" }, say("check.lead")),
      make("div", { class: "sides" }, list, make("div", {}, rule, verdict, table)),
    );
  }

  function render(changed, passing) {
    if (passing) return;
    for (const input of list.querySelectorAll("input")) {
      const reason = input.value ? MISTAKES[input.value].applies(state) : null;
      input.checked = input.value === (state.mistake ?? "");
      input.disabled = reason !== null;
      const note = input.parentElement.querySelector("small");
      note.textContent = input.value
        ? [say(`${input.value}.source`), reason && say(reason)].filter(Boolean).join(": ")
        : say("check.none.source");
    }
    rule.replaceChildren(
      ...(state.mistake
        ? [
            make("p", {}, say("check.right"), " ", make("code", { class: "good" }, say(`${state.mistake}.right`))),
            make("p", {}, say("check.printed"), " ", make("code", { class: "bad" }, say(`${state.mistake}.wrong`))),
            make("p", {}, say(`${state.mistake}.why`)),
          ]
        : []),
    );
    const first = wrongNumbers().all[0],
      name = first && nameHtml(state.mlp, first);
    const text = !state.mistake
      ? say("check.fine")
      : first
        ? say(
            "check.first",
            name,
            ...formatApart(page.value(first), valueOf(page.right(), page.row(), first)),
            wrongNumbers().all.length,
          )
        : say("check.unseen");
    if (verdict.dataset.text !== text) verdict.innerHTML = verdict.dataset.text = text;
    verdict.className = `verdict ${first ? "bad" : "good"}`;
    // The differences take two forward passes for each number: after a drag, not during it.
    clearTimeout(timer);
    if (changed.size && page.trace() !== table.trace) timer = setTimeout(compareNumerically, 120);
    else if (page.trace() !== table.trace) compareNumerically();
  }

  // Hand against central differences, a row for each array; and one for each of the first wrong numbers.
  function compareNumerically() {
    const trace = (table.trace = page.trace()),
      groups = new Map(),
      row = page.row();
    const refs = computedRefs(state.mlp).filter((ref) => /^[edg]/.test(ref));
    for (const ref of refs) {
      const key = ref.split(".").slice(0, 2).join(".");
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push({ ref, hand: valueOf(trace, row, ref), numeric: page.numeric(ref) });
    }
    const cells = (...texts) =>
      make(
        "tr",
        {},
        ...texts.map((text, k) => make(k ? "td" : "th", k ? { html: text } : { scope: "row", html: text })),
      );
    const head = (...titles) =>
      make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title))));
    let disagree = 0;
    const rows = [...groups].map(([key, numbers]) => {
      const [kind, l] = key.split("."),
        largest = Math.max(...numbers.map(({ numeric }) => Math.abs(numeric)));
      const worst = Math.max(...numbers.map(({ hand, numeric }) => Math.abs(hand - numeric)));
      const fine = worst <= 1e-8 * largest + 2e-10 * Math.max(1, Math.abs(trace.loss));
      if (!fine) disagree++;
      const relative = largest ? worst / largest : worst;
      return cells(
        `<i>${LETTERS[kind] ?? kind}</i>, ${say("layer", l)}`,
        `${numbers.length}`,
        formatShare(relative),
        fine
          ? `<span class="good">✓ ${say("check.agree")}</span>`
          : `<span class="bad">✗ ${say("check.differ")}</span>`,
      );
    });
    const wrong = wrongNumbers(),
      numeric = (ref) => (/^[edg]/.test(ref) ? format(page.numeric(ref), 6) : "");
    const details = wrong.all
      .slice(0, 10)
      .map((ref) =>
        cells(
          nameHtml(state.mlp, ref),
          ...formatApart(page.value(ref), valueOf(page.right(), row, ref)),
          numeric(ref),
          wrong.culprits.includes(ref)
            ? `<span class="bad">✗ ${say("check.culprit")}</span>`
            : `<span class="after">↪ ${say("check.later")}</span>`,
        ),
      );
    const blind = wrong.all.length && !disagree ? [make("p", { class: "after" }, say("check.blind"))] : [];
    table.replaceChildren(
      make("h3", {}, say("check.differences")),
      make(
        "table",
        {},
        head(say("check.array"), say("check.count"), say("check.relative"), say("check.verdict")),
        make("tbody", {}, ...rows),
      ),
      ...blind,
      ...(details.length
        ? [
            make("h3", {}, say("check.firsts")),
            make(
              "table",
              {},
              head(
                say("check.number"),
                say("check.here"),
                say("check.correct"),
                say("check.central"),
                say("check.verdict"),
              ),
              make("tbody", {}, ...details),
            ),
          ]
        : []),
    );
  }

  return { build, render, wrongNumbers };
})();
