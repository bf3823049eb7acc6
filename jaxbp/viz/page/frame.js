// The frame: title, badge, the choice of the sample, and the tabs of the views.
"use strict";

const frame = (() => {
  const { data, state, say } = page;
  let badge, picker, scope, subtitle, judged;

  function build() {
    const root = document.getElementById("frame");
    badge = document.getElementById("badge");
    subtitle = make("p", { class: "subtitle" });
    picker = make("select", {
      onchange: () => page.change({ sample: Number(picker.value) }),
      "aria-label": say("sample"),
    });
    data.inputs.forEach((_, s) =>
      picker.append(make("option", { value: s }, say("sample.of", s + 1, data.inputs.length))),
    );
    const move = (by) => () => page.change({ sample: (state.sample + by + state.inputs.length) % state.inputs.length });
    scope = choice(
      say("scope"),
      { sample: say("scope.sample"), all: say("scope.all", data.inputs.length) },
      state.scope,
      (chosen) => page.change({ scope: chosen }),
    );
    const several = data.inputs.length > 1;
    root.append(
      make("div", { class: "heading" }, make("h1", {}, data.title), subtitle),
      make(
        "div",
        { class: "bar", role: "group", "aria-label": say("frame.controls") },
        ...(several
          ? [
              button("‹", move(-1), { "aria-label": say("sample.before") }),
              picker,
              button("›", move(1), { "aria-label": say("sample.after") }),
            ]
          : []),
        button(say("reset"), reset),
        button(say("tour"), () => tour.begin(), { id: "tour-start" }),
        ...(several ? [scope] : []),
      ),
    );
    const tabs = document.getElementById("tabs");
    tabs.setAttribute("aria-label", say("views"));
    tabs.hidden = data.views.length === 1;
    for (const name of data.views) {
      tabs.append(
        button(say(`view.${name}`), () => page.change({ view: name }), {
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": `panel-${name}`,
        }),
      );
    }
    tabs.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const open = [...tabs.children].filter((tab) => tab.offsetParent);
      const next = open[(open.indexOf(document.activeElement) + by + open.length) % open.length];
      next.click();
      next.focus();
      event.preventDefault();
    });
  }

  // Back to the numbers that jaxbp wrote into the page.
  function reset() {
    const { mlp, params, inputs, targets } = data;
    page.change({ mlp, params, inputs, targets, mistake: null, hidden: null, stage: 3 * (mlp.sizes.length - 1) + 1 });
  }

  function render() {
    const { mlp } = state,
      names = [...new Set(mlp.activations.map((name) => name.replace("_", " ")))];
    subtitle.textContent = `${mlp.sizes.join("-")} · ${names.join(", ")} · ${say(state.lossName)}`;
    picker.value = state.sample;
    scope.querySelector("select").value = state.scope;
    const key = `${state.mistake} ${state.scope}`;
    if (judged === key) return;
    judged = key;
    const { count, worst, first } = judge(page.rules());
    badge.className = `badge ${first ? "bad" : "good"}`;
    badge.innerHTML = first
      ? `✗ ${say("badge.bad", nameHtml(data.mlp, first.ref), ...formatApart(first.found, first.expected))}`
      : `✓ ${worst ? say("badge.good", count, formatShare(worst)) : say("badge.exact", count)}`;
    badge.dataset.count = count;
    badge.dataset.worst = worst;
    badge.dataset.first = first ? nameOf(data.mlp, first.ref) : "";
  }

  return { build, render };
})();
