// Data sets: (number, noise, seed, formula) -> {inputs, targets}, and tables pasted as text.
import { compileFormula } from "./expression.js";
import { generator, normal, shuffled } from "./start.js";
import { refuse } from "./words.js";

const decimals = (x) => Math.round(x * 1000) / 1000 || 0;
const numbersOf = (text) => [text.replace(",", "."), text].map((one) => Number(one.trim()));

// Points of two classes, half and half; place(class, share in [0, 1), uniform) is a point without noise.
const twoClasses = (place) => (number, noise, uniform) => {
  const inputs = [];
  const targets = [];
  for (let s = 0; s < number; s++) {
    const kind = s % 2;
    const point = place(kind, Math.floor(s / 2) / Math.ceil(number / 2), uniform);
    inputs.push(point.map((x) => decimals(x + noise * normal(uniform))));
    targets.push([kind]);
  }
  return { inputs, targets };
};

const SURFACE_WIDTH = 10;
const surface = (x, y) => Math.sin(x) + x * Math.cos(y) + y + 3 ** (x / 3);
const moments = (values) => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const spread = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  return { mean: decimals(mean), std: decimals(spread) || 1 };
};

// kind: what the targets are, "classes" (0 or 1) or "numbers".
export const DATASETS = {
  xor: {
    kind: "classes",
    number: 4,
    draw: (number, noise, uniform) => {
      const inputs = Array.from({ length: number }, (_, s) =>
        [(s >> 1) % 2, s % 2].map((x) => decimals(x + noise * normal(uniform)))
      );
      return { inputs, targets: inputs.map((_, s) => [Number(s % 4 === 1 || s % 4 === 2)]) };
    }
  },
  circles: {
    kind: "classes",
    number: 100,
    draw: twoClasses((kind, share, uniform) => {
      const radius = kind ? 0.4 * Math.sqrt(uniform()) : 0.7 + 0.3 * uniform();
      return [radius * Math.cos(2 * Math.PI * share), radius * Math.sin(2 * Math.PI * share)];
    })
  },
  spirals: {
    kind: "classes",
    number: 120,
    draw: twoClasses((kind, share) => {
      const angle = 3.5 * Math.PI * share + kind * Math.PI;
      const radius = 0.1 + 0.9 * share;
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    })
  },
  gaussians: {
    kind: "classes",
    number: 100,
    draw: twoClasses((kind, share, uniform) =>
      [0, 1].map(() => (kind ? 0.5 : -0.5) + 0.2 * normal(uniform))
    )
  },
  surface: {
    kind: "numbers",
    number: 150,
    // Standardized, as jaxbp does it: a = (x - mean) / std.
    draw: (number, noise, uniform) => {
      const width = SURFACE_WIDTH;
      const points = Array.from({ length: number }, () =>
        [0, 1].map(() => width * (2 * uniform() - 1))
      );
      const values = points.map(([x, y]) => surface(x, y));
      const units = {
        inputs: [0, 1].map((c) => moments(points.map((row) => row[c]))),
        targets: [moments(values)]
      };
      return {
        inputs: points.map((row) =>
          row.map((x, c) => decimals((x - units.inputs[c].mean) / units.inputs[c].std))
        ),
        targets: values.map((z) => [
          decimals((z - units.targets[0].mean) / units.targets[0].std + noise * normal(uniform))
        ]),
        units
      };
    }
  },
  formula: {
    kind: "numbers",
    number: 60,
    draw: (number, noise, uniform, text) => {
      const { variables, value } = compileFormula(text);
      const names = variables.includes("y") ? ["x", "y"] : ["x"];
      const inputs = Array.from({ length: number }, (_, s) =>
        names.length === 1
          ? [decimals(-2 + (4 * s) / Math.max(1, number - 1))]
          : names.map(() => decimals(4 * uniform() - 2))
      );
      const targets = inputs.map(([x, y]) => [
        decimals(value({ x, y: y ?? 0 }) + noise * normal(uniform))
      ]);
      if (targets.some(([z]) => !Number.isFinite(z))) refuse("finite", text);
      return { inputs, targets };
    }
  }
};

export const MAX_SAMPLES = 512;

// Samples of a named set: the first ones to train with, the others held out.
export function drawSamples({ name, number, noise, test, formula, seed }) {
  const drawn = DATASETS[name].draw(number, noise, generator(seed + 1), formula);
  const held = new Set(shuffled(number, generator(seed + 2)).slice(0, Math.round(test * number)));
  const part = (wanted) => ({
    inputs: drawn.inputs.filter((_, s) => held.has(s) === wanted),
    targets: drawn.targets.filter((_, s) => held.has(s) === wanted)
  });
  return { samples: part(false), test: part(true), units: drawn.units ?? null };
}

// Samples of any shape, for networks that no data set fits.
export function randomSamples(numInputs, numOutputs, kind, seed, number = 4) {
  const uniform = generator(seed + 1);
  const hundredths = (x) => Math.round(x * 100) / 100 || 0;
  const inputs = Array.from({ length: number }, () =>
    Array.from({ length: numInputs }, () => hundredths(normal(uniform)))
  );
  const targets = inputs.map((_, s) =>
    [...Array(numOutputs).keys()].map((j) =>
      kind === "one_hot"
        ? Number(j === s % numOutputs)
        : kind === "classes"
          ? (s + j) % 2
          : hundredths(uniform())
    )
  );
  return { inputs, targets };
}

// A table as text: the last column is the target; a column of words is a class, 0 or 1, or one of several.
export function readTable(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const separator = [";", "\t", ","].find((mark) => lines[0]?.includes(mark)) ?? /\s+/;
  const cells = lines.map((line) =>
    line
      .trim()
      .split(separator)
      .map((cell) => cell.trim())
  );
  const asNumber = (cell) => (cell === "" ? NaN : numbersOf(cell)[separator === "," ? 1 : 0]);
  if (cells.length && cells[0].slice(0, -1).every((cell) => Number.isNaN(asNumber(cell))))
    cells.shift();
  const width = cells[0]?.length ?? 0;
  if (width < 2) refuse("columns", width);
  if (cells.length > MAX_SAMPLES) refuse("many", "table", MAX_SAMPLES, cells.length);
  cells.forEach((row, s) => {
    if (row.length !== width) refuse("row", s + 1, width, row.length);
    row.slice(0, -1).forEach((cell, c) => {
      if (!Number.isFinite(asNumber(cell))) refuse("cell", s + 1, c + 1, `"${cell}"`);
    });
  });
  const inputs = cells.map((row) => row.slice(0, -1).map(asNumber));
  const last = cells.map((row) => row[width - 1]);
  if (last.every((cell) => Number.isFinite(asNumber(cell))))
    return { inputs, targets: last.map((cell) => [asNumber(cell)]), classes: null };
  const classes = [...new Set(last)];
  const targets = last.map((cell) =>
    classes.length === 2 ? [classes.indexOf(cell)] : classes.map((name) => Number(name === cell))
  );
  return { inputs, targets, classes };
}
