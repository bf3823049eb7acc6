// A guided tour in seven steps: each sets the page, points at a part of it and says what to do there.
"use strict";

const tour = (() => {
  const { state, say } = page;
  const L = () => page.L(),
    has = (name) => page.data.views.includes(name);
  const see = (name) =>
    has(name) ? { view: page.wide.matches && name === "walk" && state.view !== "walk" ? state.view : name } : {};
  const lastUnit = () => [L(), 0],
    firstUnit = () => [1, 0];
  const steps = [
    {
      key: "numbers",
      at: ".columns",
      change: () => ({ ...see("walk"), stage: 3 * L() + 1, mistake: null, number: "w.1.0.0", unit: firstUnit() }),
    },
    {
      key: "forward",
      at: ".bar .forward",
      change: () => ({ ...see("walk"), stage: 1, number: "z.1.0", unit: firstUnit() }),
    },
    { key: "loss", at: ".total", change: () => ({ ...see("walk"), stage: L() + 1, number: "loss", unit: lastUnit() }) },
    {
      key: "step1",
      at: ".bar .step1",
      change: () => ({
        ...see("walk"),
        stage: 2 * L() + 1,
        number: L() > 1 ? `e.${L() - 1}.0` : `d.${L()}.0`,
        unit: [Math.max(1, L() - 1), 0],
      }),
    },
    {
      key: "step2",
      at: ".bar .step2",
      change: () => ({ ...see("walk"), stage: 3 * L() + 1, number: "gw.1.0.0", unit: firstUnit() }),
    },
    {
      key: "break",
      at: "#badge",
      change: () => ({
        ...see("check"),
        stage: 3 * L() + 1,
        mistake: "upstream",
        number: `d.${L()}.0`,
        unit: lastUnit(),
      }),
    },
    { key: "train", at: "#panel-training .bar", change: () => ({ ...see("training"), mistake: null, number: null }) },
  ];
  let panel = null,
    place = 0,
    opener = null;

  function begin() {
    opener = document.activeElement;
    if (!panel) {
      panel = make("section", {
        class: "tour",
        role: "dialog",
        "aria-label": say("tour"),
        tabindex: "-1",
        onkeydown: (event) => {
          if (event.key === "Escape") end();
          if (event.key === "ArrowRight") show(place + 1);
          if (event.key === "ArrowLeft") show(place - 1);
        },
      });
      document.body.append(panel);
    }
    panel.hidden = false;
    show(0);
    panel.focus();
  }
  function end() {
    panel.hidden = true;
    document.querySelector(".pointed")?.classList.remove("pointed");
    page.change({ mistake: null });
    opener?.focus();
  }
  function show(next) {
    if (next < 0) return;
    if (next >= steps.length) return end();
    place = next;
    const { key, at, change } = steps[place];
    page.change(change());
    page.flush();
    document.querySelector(".pointed")?.classList.remove("pointed");
    const target = document.querySelector(at);
    target?.classList.add("pointed");
    target?.scrollIntoView({ block: "nearest", behavior: page.still.matches ? "auto" : "smooth" });
    panel.replaceChildren(
      make("p", { class: "caption" }, say("tour.place", place + 1, steps.length)),
      make(
        "div",
        { "aria-live": "polite" },
        make("h2", {}, say(`tour.${key}.title`)),
        make("p", {}, say(`tour.${key}.text`)),
      ),
      make(
        "div",
        { class: "bar" },
        button(say("tour.back"), () => show(place - 1), { disabled: place === 0 }),
        button(say(place + 1 < steps.length ? "tour.next" : "tour.end"), () => show(place + 1), { class: "main" }),
        button(say("tour.close"), end),
      ),
    );
  }

  return { begin, show, end, steps };
})();
