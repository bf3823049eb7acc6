// The plane of two inputs: a map inside every unit, the kink lines of every layer, and the sample as a point to move.
"use strict";

views.plane = (() => {
  const { state, say } = page;
  const WIDTH = 320,
    domain = domainOf(page.data.inputs);
  let what = "a",
    maps,
    canvas,
    overlay,
    marker,
    lines,
    dots,
    caption,
    scale,
    whatControl,
    linesControl,
    withLines = true,
    drawn = {},
    cost = 0,
    timer = null;
  const tiles = new Map(); // "l.j" -> {canvas, button, range}

  function build(panel) {
    canvas = make("canvas", { width: 41, height: 41, role: "img" });
    lines = make("g", { class: "kinks" });
    dots = make("g", { class: "samples" });
    overlay = make("svg", { viewBox: `0 0 ${WIDTH} ${WIDTH}`, "aria-hidden": "true" }, lines, dots);
    marker = make("button", { type: "button", class: "marker", onkeydown: nudge });
    const square = make("div", { class: "square" }, canvas, overlay, marker);
    let held = false;
    square.addEventListener("pointerdown", (event) => {
      held = true;
      square.setPointerCapture(event.pointerId);
      const near = nearest(event, square);
      if (near !== null && near !== state.sample) {
        held = false;
        page.change({ sample: near });
      } else moveTo(event, square);
      event.preventDefault();
    });
    square.addEventListener("pointermove", (event) => held && moveTo(event, square));
    for (const end of ["pointerup", "pointercancel"])
      square.addEventListener(end, () => {
        held = false;
      });
    maps = make("div", { class: "tiles", role: "group", "aria-label": say("plane.units"), tabindex: "0" });
    caption = make("p", { class: "caption", role: "status" });
    scale = make(
      "div",
      { class: "scale" },
      make("span"),
      make("canvas", { width: 64, height: 1, "aria-hidden": "true" }),
      make("span"),
    );
    whatControl = choice(
      say("plane.what"),
      { a: say("plane.a"), d: say("plane.d"), error: say("plane.error") },
      what,
      (chosen) => {
        what = chosen;
        drawn = {};
        if (what === "error" && state.unit[0] !== page.L()) page.change({ unit: [page.L(), 0] });
        render(new Set());
      },
    );
    const box = make("input", {
      type: "checkbox",
      checked: true,
      onchange: () => {
        withLines = box.checked;
        drawn = {};
        render(new Set());
      },
    });
    linesControl = make("label", { class: "control" }, box, say("plane.lines"));
    panel.append(
      make("h2", {}, say("view.plane")),
      make("p", { class: "lead" }, say("plane.lead")),
      make("div", { class: "bar" }, whatControl, linesControl),
      make("div", { class: "sides" }, make("figure", {}, square, scale, caption), maps),
    );
  }

  const toPixel = ([x, y]) => [
    ((x - domain.x[0]) / (domain.x[1] - domain.x[0])) * WIDTH,
    ((domain.y[1] - y) / (domain.y[1] - domain.y[0])) * WIDTH,
  ];
  function pointOf(event, square) {
    const box = square.getBoundingClientRect(),
      limit = (share) => Math.min(1, Math.max(0, share));
    const [u, v] = [limit((event.clientX - box.left) / box.width), limit((event.clientY - box.top) / box.height)];
    return [domain.x[0] + u * (domain.x[1] - domain.x[0]), domain.y[1] - v * (domain.y[1] - domain.y[0])];
  }
  function nearest(event, square) {
    const [x, y] = toPixel(pointOf(event, square));
    const distances = state.inputs.map((row) => Math.hypot(toPixel(row)[0] - x, toPixel(row)[1] - y));
    const least = Math.min(...distances);
    return least < 7 ? distances.indexOf(least) : null;
  }
  const moveTo = (event, square) => place(pointOf(event, square));
  const place = (point) =>
    page.change({
      inputs: state.inputs.map((row, s) => (s === state.sample ? point.map((x) => Number(x.toPrecision(4))) : row)),
    });
  function nudge(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!by) return;
    const point = state.inputs[state.sample];
    place([
      point[0] + (by[0] * (domain.x[1] - domain.x[0])) / 50,
      point[1] + (by[1] * (domain.y[1] - domain.y[0])) / 50,
    ]);
    event.preventDefault();
    event.stopPropagation();
  }

  function tile(l, j) {
    const small = make("canvas", { width: 41, height: 41, "aria-hidden": "true" });
    const label = make(
        "span",
        {},
        make("span", { class: "unseen" }, say("unit", "")),
        `${unitNumber(state.mlp, l, j)}`,
      ),
      range = make("small");
    const element = make(
      "button",
      { type: "button", class: "tile", onclick: () => page.change({ unit: [l, j] }) },
      small,
      label,
      range,
    );
    tiles.set(`${l}.${j}`, { canvas: small, element, range });
    return element;
  }

  // Both passes for the selected sample's target at every point of a grid: what the walk would show there.
  function sweep(side) {
    const { mlp, params, lossName } = state,
      points = gridPoints(domain, side),
      rules = page.rules();
    const residuals = forward(mlp, params, points, rules),
      outputs = residuals.activations[mlp.sizes.length - 1];
    const target = state.targets[state.sample],
      share = points.length / page.numSamples();
    const bar = rules
      .outputsBar(
        LOSSES[lossName],
        outputs,
        points.map(() => target),
      )
      .map((row) => row.map((e) => e * share));
    return {
      side,
      points,
      residuals,
      errors: what === "d" ? nodeErrors(mlp, params, residuals, bar, rules).nodeErrors : null,
    };
  }

  function valuesOf({ points, residuals, errors }, l, j) {
    if (what === "d") return errors[l].map((row) => row[j]);
    const values = residuals.activations[l].map((row) => row[j]);
    if (what === "a" || l !== page.L()) return values;
    return values.map((value, p) => {
      // less the target of the nearest sample
      let best = 0,
        least = Infinity;
      state.inputs.forEach(([x, y], s) => {
        const distance = (x - points[p][0]) ** 2 + (y - points[p][1]) ** 2;
        if (distance < least) [best, least] = [s, distance];
      });
      return value - state.targets[best][j];
    });
  }

  function render(changed, passing = false, refining = false) {
    if (passing && drawn.unit === state.unit) return;
    if (drawn.mlp !== state.mlp) {
      tiles.clear();
      maps.replaceChildren(
        ...state.mlp.sizes
          .slice(1)
          .map((size, k) =>
            make(
              "div",
              { class: "tilerow" },
              make("span", { class: "rowname" }, say("layer", k + 1)),
              ...Array.from({ length: size }, (_, j) => tile(k + 1, j)),
            ),
          ),
      );
    }
    const point = state.inputs[state.sample],
      same =
        drawn.params === state.params &&
        drawn.mistake === state.mistake &&
        drawn.target === state.targets[state.sample] &&
        drawn.scope === state.scope &&
        drawn.sample === state.sample &&
        drawn.mlp === state.mlp &&
        drawn.what === what;
    const moved = refining || (what === "error" && drawn.inputs !== state.inputs);
    if (!same || moved) {
      // Under the hand the grid is as fine as time allows; it is refined when the hand rests.
      const begun = performance.now(),
        side = begun - drawn.at < 200 && cost > 8 && !refining ? 21 : 41;
      drawn.sweep = sweep(side);
      if (side === 41) cost = performance.now() - begun;
      clearTimeout(timer);
      if (side < 41) timer = setTimeout(() => page.shown("plane") && render(changed, false, true), 220);
      drawn.at = begun;
    }
    const grid = drawn.sweep;
    if (!same || moved || drawn.unit !== state.unit) {
      for (const [key, { canvas: small, element, range }] of tiles) {
        const [l, j] = key.split(".").map(Number),
          chosen = key === state.unit.join(".");
        element.setAttribute("aria-pressed", String(chosen));
        if (same && !moved && !chosen) continue;
        const values = valuesOf(grid, l, j),
          signed = what === "d" || (what === "error" && l === page.L());
        let low = Math.min(...values),
          high = Math.max(...values);
        const extremes = `${format(low, 2)} … ${format(high, 2)}`;
        if (signed) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
        paint(small, grid.side, values, signed ? "diverging" : "sequential", low, high);
        range.textContent = extremes;
        if (chosen) showLarge(values, signed ? "diverging" : "sequential", low, high, l, j);
      }
    }
    if (!same || refining || drawn.lines !== withLines) {
      lines.replaceChildren(
        ...(withLines
          ? state.mlp.sizes.slice(1, -1).flatMap((size, k) => {
              const d = Array.from({ length: size }, (_, j) =>
                zeroLine(
                  grid.residuals.preactivations[k + 1].map((row) => row[j]),
                  grid.side,
                  WIDTH,
                ),
              ).join("");
              return [make("path", { class: "halo", d }), make("path", { class: `kink${Math.min(k, 3)}`, d })];
            })
          : []),
      );
    }
    if (drawn.inputs !== state.inputs || !same) {
      const outputs = forward(state.mlp, state.params, state.inputs, page.rules()).activations[page.L()];
      const errors = outputs.map((row, s) => row[0] - state.targets[s][0]),
        largest = Math.max(...errors.map(Math.abs), 1e-300);
      const size = state.inputs.length > 40 ? 3 : 6;
      dots.replaceChildren(
        ...state.inputs.map((row, s) => {
          const [cx, cy] = toPixel(row);
          return make("circle", {
            cx,
            cy,
            r: 1.5 + size * Math.sqrt(Math.abs(errors[s]) / largest),
            class: errors[s] > 0 ? "above" : "below",
          });
        }),
      );
      const [u, v] = toPixel(point);
      marker.style.left = `${(100 * u) / WIDTH}%`;
      marker.style.top = `${(100 * v) / WIDTH}%`;
      marker.setAttribute("aria-label", say("plane.marker", formatGiven(point[0]), formatGiven(point[1])));
    }
    drawn = {
      ...drawn,
      mlp: state.mlp,
      params: state.params,
      inputs: state.inputs,
      target: state.targets[state.sample],
      scope: state.scope,
      sample: state.sample,
      mistake: state.mistake,
      unit: state.unit,
      lines: withLines,
      what,
    };
  }

  function showLarge(values, table, low, high, l, j) {
    paint(canvas, drawn.sweep.side, values, table, low, high);
    const name = nameHtml(state.mlp, `${what === "d" ? "d" : "a"}.${l}.${j}`);
    caption.innerHTML = say(
      what === "error" && l === page.L() ? "plane.caption.error" : what === "d" ? "plane.caption.d" : "plane.caption.a",
      name,
    );
    canvas.setAttribute("aria-label", say("plane.map", unitNumber(state.mlp, l, j), format(low, 3), format(high, 3)));
    paintScale(scale.children[1], table);
    scale.children[0].textContent = format(low, 3);
    scale.children[2].textContent = format(high, 3);
  }
  function paintScale(bar, table) {
    const context = bar.getContext("2d"),
      image = context.createImageData(64, 1);
    for (let k = 0; k < 64; k++) image.data.set([...shade(table, k, 0, 63), 255], 4 * k);
    context.putImageData(image, 0, 0);
  }

  // The value of a map at a point: for tests, to compare with the walk there.
  const valueAt = (side, l, j) => valuesOf(sweep(side), l, j);
  const show = (chosen) => {
    what = chosen;
  };
  return { build, render, valueAt, show };
})();
