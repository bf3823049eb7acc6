// The depth: how long the node errors of each layer are, and the factors that make them so.
"use strict";

views.depth = (() => {
  const { say } = page;
  // The network of this view is its own: nothing that happens elsewhere changes it.
  const WIDTH = 8,
    SAMPLES = 16,
    now = { depth: 12, activation: "sigmoid", scheme: "glorot", gain: 1, seed: 0 };
  let chart, sentence, table;

  function build(panel) {
    const set = (key) => (value) => {
      now[key] = value;
      draw();
    };
    const options = (names) => Object.fromEntries(names.map((name) => [name, name.replace("_", " ")]));
    chart = make("svg", { class: "bars", role: "img", viewBox: "0 0 560 260" });
    sentence = make("p", { class: "verdict", role: "status" });
    table = make("div", { class: "scroll short", tabindex: "0", role: "region", "aria-label": say("depth.table") });
    panel.append(
      make("h2", {}, say("view.depth")),
      make("p", { class: "lead" }, say("depth.lead", WIDTH, SAMPLES)),
      make(
        "div",
        { class: "bar" },
        slider(say("depth.depth"), { min: 1, max: 30, step: 1 }, now.depth, set("depth")),
        choice(say("depth.activation"), options(Object.keys(ACTIVATIONS)), now.activation, set("activation")),
        choice(say("depth.start"), options(Object.keys(SCHEMES)), now.scheme, set("scheme")),
        slider(say("depth.gain"), { min: 0.2, max: 3, step: 0.1 }, now.gain, set("gain")),
        slider(say("depth.seed"), { min: 0, max: 20, step: 1 }, now.seed, set("seed")),
      ),
      chart,
      sentence,
      table,
    );
  }

  // A network of equal layers and random samples; the norms of its errors, and the two factors of each layer.
  function measure({ depth, activation, scheme, gain, seed }) {
    const mlp = { sizes: new Array(depth + 1).fill(WIDTH), activations: new Array(depth).fill(activation) };
    const params = mapParams((p) => gain * p, init(mlp, seed, scheme)),
      uniform = generator(seed + 1000);
    const rows = () => Array.from({ length: SAMPLES }, () => Array.from({ length: WIDTH }, () => normal(uniform)));
    const trace = backprop(mlp, params, rows(), rows(), "mean_squared_error");
    const norm = (matrix) => Math.sqrt(sum(matrix.flat().map((x) => x * x)));
    return Array.from({ length: depth }, (_, k) => {
      const l = k + 1,
        errors = norm(trace.nodeErrors[l]),
        arriving = norm(trace.activationErrors[l]);
      return {
        l,
        errors,
        slope: errors / arriving,
        weight: l < depth ? arriving / norm(trace.nodeErrors[l + 1]) : null,
      };
    });
  }

  const render = () => chart.childNodes.length || draw();

  function draw() {
    const layers = measure(now),
      L = layers.length;
    const finite = layers.map(({ errors }) => errors).filter((x) => x > 0 && Number.isFinite(x));
    const high = finite.length ? Math.ceil(Math.log10(Math.max(...finite)) + 0.01) : 1;
    const low = Math.min(high - 2, finite.length ? Math.floor(Math.log10(Math.min(...finite)) - 0.01) : 0);
    const left = 56,
      right = 8,
      top = 34,
      bottom = 38,
      width = 560,
      height = 260;
    const px = (l) => left + ((width - left - right) * (l - 0.5)) / L,
      py = (x) => top + ((height - top - bottom) * (high - Math.log10(x))) / (high - low);
    const parts = [],
      every = Math.max(1, Math.ceil((high - low) / 6));
    for (let d = low; d <= high; d += every)
      parts.push(
        make("line", { class: "rule", x1: left, x2: width - right, y1: py(10 ** d), y2: py(10 ** d) }),
        make(
          "text",
          { x: left - 6, y: py(10 ** d) + 4, "text-anchor": "end" },
          Math.abs(d) < 4 ? `${Number((10 ** d).toFixed(3))}` : `1e${d}`.replace("-", "−"),
        ),
      );
    for (const { l, errors } of layers) {
      if (errors > 0 && Number.isFinite(errors))
        parts.push(
          make("rect", {
            class: "bar",
            x: px(l) - (0.35 * (width - left - right)) / L,
            y: py(errors),
            width: (0.7 * (width - left - right)) / L,
            height: Math.max(1, height - bottom - py(errors)),
          }),
        );
      else
        parts.push(
          make("text", { x: px(l), y: height - bottom - 4, "text-anchor": "middle" }, errors === 0 ? "0" : "∞"),
        );
      if (L <= 15 || l % 5 === 0 || l === 1)
        parts.push(make("text", { x: px(l), y: height - bottom + 16, "text-anchor": "middle" }, `${l}`));
    }
    parts.push(
      make("text", { x: 4, y: 15 }, say("depth.axis")),
      make("text", { x: width - right, y: height - 3, "text-anchor": "end" }, say("depth.layer")),
    );
    chart.replaceChildren(...parts);
    const product = (key, some) => some.reduce((total, layer) => total * (layer[key] ?? 1), 1);
    const before = layers.slice(0, -1),
      ratio = layers[0].errors / layers[L - 1].errors;
    chart.setAttribute(
      "aria-label",
      say("depth.picture", formatShare(layers[0].errors), formatShare(layers[L - 1].errors)),
    );
    sentence.className = `verdict ${ratio > 0.01 && ratio < 100 ? "good" : "bad"}`;
    sentence.textContent =
      L === 1
        ? say("depth.single")
        : say(
            "depth.sentence",
            L,
            formatShare(ratio),
            formatShare(product("weight", before)),
            formatShare(product("slope", before)),
            L - 1,
          );
    const cells = (tag, texts) =>
      make(
        "tr",
        {},
        ...texts.map((text, k) =>
          make(k ? tag : "th", { scope: k ? null : "row", ...(tag === "th" ? { scope: "col" } : {}) }, text),
        ),
      );
    let total = 1;
    table.replaceChildren(
      make(
        "table",
        {},
        make("thead", {}, cells("th", [say("depth.layer"), "‖δ‖", "‖e‖ / ‖δ‖ →", "‖δ‖ / ‖e‖", say("depth.product")])),
        make(
          "tbody",
          {},
          ...[...layers].reverse().map(({ l, errors, slope, weight }) => {
            if (l < L) total *= slope * weight;
            return cells("td", [
              `${l}`,
              formatShare(errors),
              weight === null ? "" : formatShare(weight),
              formatShare(slope),
              l === L ? "1" : formatShare(total),
            ]);
          }),
        ),
      ),
    );
  }

  return { build, render, measure };
})();
