// Curves and bars over logarithmic axes.
import { make } from "./dom.js";
import { formatPower } from "./format.js";

export const [WIDTH, HEIGHT] = [340, 195];
export const BOX = { left: 46, right: 14, top: 22, bottom: 34 };

export const label = (x, y, text, anchor) => make("text", { x, y, "text-anchor": anchor }, text);

// The axis of some positive numbers: whole decades, with ticks at every one of them or fewer.
export function logAxis(values, xLabel, yLabel, decades = 1) {
  const powers = values.map((value) => Math.log10(value));
  const high = Math.ceil(Math.max(...powers) + 0.01);
  const low = Math.min(high - decades, Math.floor(Math.min(...powers) - 0.01));
  const py = (y) =>
    BOX.top + ((HEIGHT - BOX.top - BOX.bottom) * (high - Math.log10(y))) / (high - low);
  const parts = [label(WIDTH - 2, HEIGHT - 3, xLabel, "end"), label(2, 12, yLabel, "start")];
  const every = Math.max(1, Math.ceil((high - low) / 5));
  for (let power = low; power <= high; power += every) {
    const y = py(10 ** power);
    parts.push(
      make("line", { class: "rule", x1: BOX.left, x2: WIDTH - BOX.right, y1: y, y2: y }),
      label(BOX.left - 5, y + 4, formatPower(power), "end")
    );
  }
  return { parts, py };
}

function axes(positive, xLabel, yLabel) {
  const { parts, py } = logAxis(
    positive.map(([, y]) => y),
    xLabel,
    yLabel
  );
  const last = Math.max(1, ...positive.map(([x]) => x));
  const px = (x) =>
    BOX.left + ((WIDTH - BOX.left - BOX.right) * Math.log10(x + 1)) / Math.log10(last + 1);
  const marks = [0, 1, 10, 100, 1000, 10000, 100000].filter(
    (x) => x <= last && (x !== 1 || last < 40)
  );
  for (const x of marks) {
    const right = px(x) > WIDTH - BOX.right - 12;
    parts.push(
      label(right ? WIDTH - 2 : px(x), HEIGHT - BOX.bottom + 15, `${x}`, right ? "end" : "middle")
    );
  }
  return { parts, px, py };
}

// Draws curves {name, points: [[x, y], ...], cursor}, each named at its end where there are several.
export function drawCurves(svg, curves, { xLabel, yLabel }) {
  const shown = ([, y]) => y > 0 && Number.isFinite(y);
  const positive = curves.flatMap(({ points }) => points.filter(shown));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  if (!positive.length) return void svg.replaceChildren();
  const { parts, px, py } = axes(positive, xLabel, yLabel);
  curves.forEach(({ points, cursor }, k) => {
    const kept = points.filter(shown);
    const line = kept.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    parts.push(make("polyline", { class: `curve curve${k % 4}`, points: line }));
    const at = cursor ?? kept.at(-1);
    if (at && shown(at))
      parts.push(
        make("circle", { class: `dot curve${k % 4}`, cx: px(at[0]), cy: py(at[1]), r: 4 })
      );
  });
  svg.replaceChildren(...parts);
}
