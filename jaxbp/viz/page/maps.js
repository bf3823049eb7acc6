// Maps over the inputs: colours, grids of points, and what is painted on them.
// Colours at equal distances, dark to light for what has one sign or none, blue to red around zero.
const SEQUENTIAL = "#440154 #46327e #365c8d #277f8e #1fa187 #4ac16d #a0da39 #fde725";
const DIVERGING = "#053061 #2166ac #4393c3 #92c5de #f7f7f7 #f4a582 #d6604d #b2182b #67001f";

const channels = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
function colourTable(stops) {
  const table = new Uint8ClampedArray(4 * 256).fill(255),
    parts = stops.split(" ").map(channels);
  for (let k = 0; k < 256; k++) {
    const place = (k / 255) * (parts.length - 1),
      left = Math.min(parts.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++)
      table[4 * k + c] = parts[left][c] + (place - left) * (parts[left + 1][c] - parts[left][c]);
  }
  return table;
}
const TABLES = { sequential: colourTable(SEQUENTIAL), diverging: colourTable(DIVERGING) };

export function shade(table, value, low, high) {
  const k =
    high > low ? Math.round(255 * Math.min(1, Math.max(0, (value - low) / (high - low)))) : 128;
  return [...TABLES[table].subarray(4 * k, 4 * k + 3)];
}

// The plane that the samples lie in, with a margin: {x: [low, high], y: [low, high]}.
export function domainOf(inputs) {
  const span = (c) => {
    const values = inputs.map((row) => row[c]),
      low = Math.min(...values),
      high = Math.max(...values);
    const margin = high > low ? 0.2 * (high - low) : 2;
    return [low - margin, high + margin];
  };
  return { x: span(0), y: inputs[0].length > 1 ? span(1) : [0, 1] };
}

// side x side points, rows from the top: what a canvas of that size shows.
export function gridPoints({ x, y }, side) {
  const points = [],
    at = ([low, high], k) => low + ((high - low) * k) / (side - 1);
  for (let r = 0; r < side; r++)
    for (let c = 0; c < side; c++) points.push([at(x, c), at(y, side - 1 - r)]);
  return points;
}

// Paints values over a grid; what is not a number stays transparent.
export function paint(canvas, side, values, table, low, high) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"),
    image = context.createImageData(side, side),
    [pixels, colours] = [image.data, TABLES[table]].map(({ buffer }) => new Uint32Array(buffer));
  const scale = high > low ? 255 / (high - low) : 0;
  for (let p = 0; p < values.length; p++) {
    const k = scale ? Math.round(Math.min(255, Math.max(0, (values[p] - low) * scale))) : 128;
    pixels[p] = Number.isNaN(values[p]) ? 0 : colours[k];
  }
  context.putImageData(image, 0, 0);
}

// The line on which values over a grid are 0, as an SVG path in a square of the given width.
export function zeroLine(values, side, width) {
  const step = width / (side - 1),
    parts = [];
  for (let r = 0; r + 1 < side; r++)
    for (let c = 0; c + 1 < side; c++) {
      const corners = [
          [r, c],
          [r, c + 1],
          [r + 1, c + 1],
          [r + 1, c]
        ],
        cuts = [];
      for (let k = 0; k < 4; k++) {
        const [from, to] = [corners[k], corners[(k + 1) % 4]],
          u = values[from[0] * side + from[1]],
          v = values[to[0] * side + to[1]];
        if (u > 0 === v > 0) continue;
        const share = u / (u - v);
        cuts.push([
          (from[1] + share * (to[1] - from[1])) * step,
          (from[0] + share * (to[0] - from[0])) * step
        ]);
      }
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        parts.push(
          `M${cuts[k].map((n) => n.toFixed(1)).join(" ")}L${cuts[k + 1].map((n) => n.toFixed(1)).join(" ")}`
        );
      }
    }
  return parts.join("");
}

// The points of a grid over the samples: side x side of them in the plane, a row of them on a line.
export function gridOf(inputs, side) {
  const domain = domainOf(inputs);
  if (inputs[0].length === 2) return { domain, side, points: gridPoints(domain, side) };
  const [low, high] = domain.x;
  const count = 2 * side - 1;
  const points = Array.from({ length: count }, (_, k) => [low + ((high - low) * k) / (count - 1)]);
  return { domain, side, points };
}

// A curve in the place of a map, for networks of one input.
export function paintCurve(canvas, values) {
  const size = 93;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  context.clearRect(0, 0, size, size);
  context.strokeStyle = "#1f78b4";
  context.lineWidth = 4;
  context.beginPath();
  values.forEach((value, k) => {
    const share = high > low ? (value - low) / (high - low) : 0.5;
    context.lineTo((k / (values.length - 1)) * size, size - 6 - share * (size - 12));
  });
  context.stroke();
}
