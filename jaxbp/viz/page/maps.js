// Maps over the plane of two inputs, and curves: shared by the plane and the training.
"use strict";

// Colours at equal distances, dark to light for what has one sign or none, blue to red around zero.
const SEQUENTIAL = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"];
const DIVERGING = ["#053061", "#2166ac", "#4393c3", "#92c5de", "#f7f7f7", "#f4a582", "#d6604d", "#b2182b", "#67001f"];

const channels = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
function colourTable(stops) {
  const table = new Uint8ClampedArray(3 * 256),
    parts = stops.map(channels);
  for (let k = 0; k < 256; k++) {
    const place = (k / 255) * (stops.length - 1),
      left = Math.min(stops.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++)
      table[3 * k + c] = parts[left][c] + (place - left) * (parts[left + 1][c] - parts[left][c]);
  }
  return table;
}
const TABLES = { sequential: colourTable(SEQUENTIAL), diverging: colourTable(DIVERGING) };

function shade(table, value, low, high) {
  const k = high > low ? Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low)))) : 128;
  return [...TABLES[table].subarray(3 * k, 3 * k + 3)];
}

// The plane that the samples lie in, with a margin: {x: [low, high], y: [low, high]}.
function domainOf(inputs) {
  const span = (c) => {
    const values = inputs.map((row) => row[c]),
      low = Math.min(...values),
      high = Math.max(...values);
    const margin = high > low ? 0.2 * (high - low) : 2;
    return [low - margin, high + margin];
  };
  return { x: span(0), y: span(1) };
}

// side x side points, rows from the top: what a canvas of that size shows.
function gridPoints({ x, y }, side) {
  const points = [],
    at = ([low, high], k) => low + ((high - low) * k) / (side - 1);
  for (let r = 0; r < side; r++) for (let c = 0; c < side; c++) points.push([at(x, c), at(y, side - 1 - r)]);
  return points;
}

// Paints values over a grid; what is not a number stays transparent.
function paint(canvas, side, values, table, low, high) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"),
    image = context.createImageData(side, side),
    colours = TABLES[table];
  const scale = high > low ? 255 / (high - low) : 0;
  for (let p = 0; p < values.length; p++) {
    const value = values[p],
      k = scale ? Math.round(Math.min(255, Math.max(0, (value - low) * scale))) : 128;
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = colours[3 * k + c];
    image.data[4 * p + 3] = Number.isNaN(value) ? 0 : 255;
  }
  context.putImageData(image, 0, 0);
}

// The line on which values over a grid are 0, as an SVG path in a square of the given width.
function zeroLine(values, side, width) {
  const step = width / (side - 1),
    parts = [];
  for (let r = 0; r + 1 < side; r++)
    for (let c = 0; c + 1 < side; c++) {
      const corners = [
          [r, c],
          [r, c + 1],
          [r + 1, c + 1],
          [r + 1, c],
        ],
        cuts = [];
      for (let k = 0; k < 4; k++) {
        const [from, to] = [corners[k], corners[(k + 1) % 4]],
          u = values[from[0] * side + from[1]],
          v = values[to[0] * side + to[1]];
        if (u > 0 === v > 0) continue;
        const share = u / (u - v);
        cuts.push([(from[1] + share * (to[1] - from[1])) * step, (from[0] + share * (to[0] - from[0])) * step]);
      }
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        parts.push(`M${cuts[k].map((n) => n.toFixed(1)).join(" ")}L${cuts[k + 1].map((n) => n.toFixed(1)).join(" ")}`);
      }
    }
  return parts.join("");
}

// Draws curves {name, points: [[x, y], ...], cursor} over logarithmic axes, named where they end.
function drawCurves(svg, curves, { xLabel, yLabel, logX = true }) {
  const width = 520,
    height = 230,
    box = { left: 58, right: 22, top: 30, bottom: 38 };
  const positive = curves.flatMap(({ points }) => points.filter(([, y]) => y > 0 && Number.isFinite(y)));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (!positive.length) return void svg.replaceChildren();
  const xOf = (x) => (logX ? Math.log10(x + 1) : x);
  const decades = positive.map(([, y]) => Math.log10(y));
  const [low, high] = [Math.floor(Math.min(...decades) - 0.01), Math.ceil(Math.max(...decades) + 0.01)];
  const last = Math.max(1, ...positive.map(([x]) => x)),
    span = xOf(last);
  const px = (x) => box.left + ((width - box.left - box.right) * xOf(x)) / span;
  const py = (y) => box.top + ((height - box.top - box.bottom) * (high - Math.log10(y))) / (high - low);
  const label = (x, y, text, anchor) => make("text", { x, y, "text-anchor": anchor }, text);
  const parts = [];
  const every = Math.ceil((high - low) / 6);
  for (let d = low; d <= high; d += every) {
    parts.push(
      make("line", { class: "rule", x1: box.left, x2: width - box.right, y1: py(10 ** d), y2: py(10 ** d) }),
      label(
        box.left - 6,
        py(10 ** d) + 4,
        d >= -3 && d <= 3 ? String(Number((10 ** d).toFixed(3))) : `1e${d}`.replace("-", "−"),
        "end",
      ),
    );
  }
  const marks = logX ? [1, 10, 100, 1000, 10000, 100000].filter((x) => x <= last) : [0, last];
  for (const x of [0, ...marks.filter((x) => x > 0 && (x > 1 || span < 1.5))])
    // In the middle, but for a long number at the border, which would not be whole.
    parts.push(
      px(x) > width - box.right - 4 && x >= 1000
        ? label(width, height - box.bottom + 16, `${x}`, "end")
        : label(px(x), height - box.bottom + 16, `${x}`, "middle"),
    );
  parts.push(label(width - box.right, height - 4, xLabel, "end"), label(4, 14, yLabel, "start"));
  curves.forEach(({ points, cursor }, k) => {
    const kept = points.filter(([, y]) => y > 0 && Number.isFinite(y));
    parts.push(
      make("polyline", {
        class: `curve curve${k % 4}`,
        points: kept.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" "),
      }),
    );
    const at = cursor ?? kept.at(-1);
    if (at && at[1] > 0)
      parts.push(make("circle", { class: `dot curve${k % 4}`, cx: px(at[0]), cy: py(at[1]), r: 4.5 }));
  });
  svg.replaceChildren(...parts);
}
