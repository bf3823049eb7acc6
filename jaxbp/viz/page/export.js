// Exports: parameters and all numbers as JSON and CSV, the picture as SVG, and the network as Python.
import { download } from "./dom.js";
import { probabilitiesOf } from "./engine.js";
import { computedRefs, isParameter, nameOf, split, valueOf } from "./formulas.js";
import { isCrossEntropy } from "./state.js";
import * as page from "./store.js";
import { pythonOf } from "./python.js";

// All numbers of both passes over all samples, in batch-first shapes, as jaxbp.backprop has them.
export function numbersOf() {
  const trace = page.whole();
  return {
    loss: trace.loss,
    preactivations: trace.preactivations.slice(1),
    activations: trace.activations.slice(1),
    node_errors: trace.nodeErrors.slice(1),
    activation_errors: trace.activationErrors.slice(1),
    inputs_error: trace.activationErrors[0],
    gradient: trace.gradient,
    probabilities: isCrossEntropy(trace.lossName)
      ? trace.activations.at(-1).map((row) => probabilitiesOf(trace.lossName, row))
      : null
  };
}

const plain = () => {
  const { sizes, activations, bias, loss, params, samples } = page.state();
  return { sizes, activations, bias, loss, params, samples, ...numbersOf() };
};

// One row for each number of the selected sample: its name, layer and value.
export function csvOf() {
  const mlp = page.mlp();
  const { sizes, bias } = page.state();
  const given = sizes
    .slice(1)
    .flatMap((size, k) =>
      [...Array(size).keys()].flatMap((j) => [
        ...[...Array(sizes[k]).keys()].map((i) => `w.${k + 1}.${i}.${j}`),
        ...(bias ? [`b.${k + 1}.${j}`] : [])
      ])
    );
  const inputs = [...Array(sizes[0]).keys()].map((i) => `a.0.${i}`);
  const targets = [...Array(sizes.at(-1)).keys()].map((j) => `y.${j}`);
  const rows = [...inputs, ...given, ...targets, ...computedRefs(mlp)].map((ref) => {
    const [kind, l] = split(ref);
    const layer = kind === "loss" || kind === "y" ? sizes.length - 1 : l;
    return [
      nameOf(mlp, ref),
      layer,
      isParameter(ref) ? "given" : "computed",
      valueOf(page.trace(), page.row(), ref)
    ];
  });
  return (
    [["name", "layer", "kind", "value"], ...rows].map((row) => row.join(",")).join("\n") + "\n"
  );
}

// The picture of the network: its lines and numbers, drawn anew from where they stand.
export function svgOf() {
  /** @type {any} */
  const columns = document.querySelector(".columns");
  const scale = columns.getBoundingClientRect().width / columns.offsetWidth || 1;
  const frame = columns.getBoundingClientRect();
  const escape = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
  const parts = [];
  for (const path of document.querySelectorAll(".lines path")) {
    const style = getComputedStyle(path);
    const dashes =
      style.strokeDasharray === "none" ? "" : ` stroke-dasharray="${style.strokeDasharray}"`;
    parts.push(
      `<path d="${path.getAttribute("d")}" fill="none" stroke="${style.stroke}" stroke-opacity="${style.strokeOpacity}" stroke-width="${style.strokeWidth}"${dashes}/>`
    );
  }
  const boxOf = (element) => {
    const box = element.getBoundingClientRect();
    return [
      (box.left - frame.left) / scale,
      (box.top - frame.top) / scale,
      box.width / scale,
      box.height / scale
    ].map((x) => x.toFixed(1));
  };
  for (const unit of document.querySelectorAll(".unit")) {
    const [x, y, width, height] = boxOf(unit);
    const style = getComputedStyle(unit);
    parts.push(
      `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="7" fill="${style.backgroundColor}" stroke="${style.borderColor}"/>`
    );
  }
  for (const canvas of columns.querySelectorAll("canvas")) {
    const [x, y, width, height] = boxOf(canvas);
    parts.push(
      `<image x="${x}" y="${y}" width="${width}" height="${height}" href="${canvas.toDataURL()}"/>`
    );
  }
  for (const element of columns.querySelectorAll(".head, .key, .value, .phi, .note")) {
    if (!element.textContent) continue;
    const [x, y, , height] = boxOf(element);
    const style = getComputedStyle(element);
    const base = (Number(y) + Number(height) * 0.72).toFixed(1);
    parts.push(
      `<text x="${x}" y="${base}" font-size="${style.fontSize}" font-weight="${style.fontWeight}" fill="${style.color}">${escape(element.textContent)}</text>`
    );
  }
  const namespace = document.querySelector("svg").namespaceURI;
  return `<svg xmlns="${namespace}" viewBox="-6 -6 ${columns.offsetWidth + 12} ${columns.offsetHeight + 12}" font-family="sans-serif">\n${parts.join("\n")}\n</svg>\n`;
}

export const EXPORTS = {
  json: () => download("network.json", "application/json", JSON.stringify(plain(), null, 1)),
  csv: () => download("numbers.csv", "text/csv", csvOf()),
  svg: () => download("network.svg", "image/svg+xml", svgOf()),
  python: () =>
    download("network.py", "text/x-python", pythonOf(page.state(), page.inputs(), page.targets()))
};
