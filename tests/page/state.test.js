// State, address, data sets and training, in Node alone.
import assert from "node:assert/strict";
import test from "node:test";

import "./document.js";
import { compress, expand, packState, unpackState } from "../../jaxbp/viz/page/address.js";
import { DATASETS, drawSamples, readTable } from "../../jaxbp/viz/page/datasets.js";
import { backprop, forward, loss as lossOf } from "../../jaxbp/viz/page/engine.js";
import { compileFormula } from "../../jaxbp/viz/page/expression.js";
import { batchOf, scaledJacobian } from "../../jaxbp/viz/page/optimizers.js";
import { generator } from "../../jaxbp/viz/page/start.js";
import * as states from "../../jaxbp/viz/page/state.js";
import { mlpOf, rewound, trained } from "../../jaxbp/viz/page/training.js";

const data = {
  mlp: { sizes: [2, 2, 1], activations: ["sigmoid", "sigmoid"], bias: true },
  loss: "mean_squared_error",
  params: [
    {
      weight: [
        [0.1, 0.2],
        [0.3, 0.4]
      ],
      bias: [0, 0]
    },
    { weight: [[1], [2]], bias: [0.5] }
  ],
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1]
  ],
  targets: [[0], [1], [1], [0]],
  views: ["walk", "check", "plane", "training", "depth", "reveal"]
};
const initial = states.initialState(data);
const change = (state, part) => states.changed(state, part, { initial, views: data.views });
const all = (...parts) => parts.reduce(change, initial);

test("text survives compression", () => {
  const uniform = generator(1);
  for (const length of [0, 1, 2, 3, 100, 255, 256, 257, 1000, 30000]) {
    const random = Array.from({ length }, () => String.fromCharCode(32 + 90 * uniform())).join("");
    assert.equal(expand(compress(random)), random);
    assert.equal(expand(compress("ab".repeat(length))), "ab".repeat(length));
  }
  assert.equal(expand(compress("δ 第二步 é")), "δ 第二步 é");
  assert.ok(compress("0.25,".repeat(1000)).length < 1000);
});

const STATES = {
  stage: [{ stage: 3 }],
  network: [{ sizes: [2, 8, 8, 1], seed: 4, scheme: "he" }],
  unbiased: [{ bias: false }],
  data: [
    { data: { name: "spirals", number: 50, noise: 0.1, test: 0.2 }, loss: "binary_cross_entropy" }
  ],
  classes: [{ sizes: [3, 4, 3], loss: "softmax_cross_entropy" }],
  formula: [{ data: { name: "formula", formula: "x^2 - sin(3*y)", number: 20 } }],
  surface: [{ data: { name: "surface", number: 30 } }],
  weight: [{ params: [data.params[0], { weight: [[1], [1 / 3]], bias: [0.5] }] }],
  sample: [{ samples: { inputs: [[1, 2]], targets: [[0.5]] } }],
  quiz: [{ view: "reveal" }, { quiz: { question: 2, solved: true } }],
  broken: [{ view: "check", broken: "twice" }]
};
for (const [name, parts] of Object.entries(STATES))
  test(`an address restores the state: ${name}`, () => {
    const state = all(...parts);
    assert.deepEqual(unpackState(packState(state, initial), initial), state);
  });
test("an address restores a run of Adam to the bit, with what it remembers", () => {
  let state = all({ training: { optimizer: "adam", rate: 0.05, batch: 2 }, view: "training" });
  state = { ...state, ...trained(state, 37) };
  const back = unpackState(packState(state, initial), initial);
  assert.deepEqual(back.params, state.params);
  assert.deepEqual(trained(back, 10).params, trained(state, 10).params);
  assert.deepEqual(rewound(back).params, initial.params);
});
test("the opening state has an empty address, and nonsense is refused", () => {
  assert.equal(packState(initial, initial), "");
  assert.throws(() => unpackState("zzzz~zz", initial));
});

test("sizes draw parameters and samples that fit, and samples lead sizes", () => {
  const state = all({ sizes: [3, 5, 2] });
  assert.deepEqual(
    state.params.map(({ weight }) => [weight.length, weight[0].length]),
    [
      [3, 5],
      [5, 2]
    ]
  );
  assert.equal(state.samples.inputs[0].length, 3);
  assert.equal(state.samples.targets[0].length, 2);
  const led = all({
    samples: {
      inputs: [[1], [2]],
      targets: [
        [1, 0],
        [0, 1]
      ]
    }
  });
  assert.deepEqual(led.sizes, [1, 2, 2]);
  assert.deepEqual(all({ loss: "binary_cross_entropy" }).activations, ["sigmoid", "identity"]);
  assert.deepEqual(
    change(all({ sizes: [2, 4, 1] }), { sizes: [2, 2, 1], scheme: "given" }).params,
    data.params
  );
});

test("no view, stage, quiz and broken rule contradict each other", () => {
  const asked = all({ broken: "upstream" }, { view: "reveal" });
  assert.equal(asked.broken, null);
  assert.equal(asked.stage, 1);
  assert.equal(states.hiddenRef(asked), "z.1.0");
  assert.equal(change(asked, { broken: "upstream" }).view, "check");
  assert.equal(change(asked, { stage: 7 }).view, "walk");
  const batch = all({ broken: "twice" });
  assert.equal(batch.scope, "all");
  assert.equal(change(batch, { broken: null }).scope, "sample");
  assert.equal(change(batch, { broken: "upstream" }).scope, "all");
  assert.equal(all({ view: "plane" }, { sizes: [3, 2, 1] }).view, "walk");
});

for (const [match, part] of Object.entries({
  "sizes must be an integer from 1 to 64": { sizes: [0, 1] },
  "at most 100 units": { sizes: [60, 60] },
  "part must hold sizes": { colour: 1 },
  "training must hold": { training: { speedy: 1 } },
  "params must be 2 layers": { params: [] },
  "params\\[0\\].weight must be 2 rows of 2": {
    params: [{ weight: [[1]], bias: [0] }, data.params[1]]
  },
  "samples.inputs must be 1 rows of 2 finite": { samples: { inputs: [[NaN, 1]], targets: [[0]] } },
  "loss must be one of": { loss: "error" },
  "at least two outputs": { loss: "softmax_cross_entropy" },
  "end in identity": { loss: "binary_cross_entropy", activations: ["tanh", "sigmoid"] },
  "stage must be an integer from 0 to 7": { stage: 8 },
  "sample must be an integer from 0 to 3": { sample: 4 },
  "training.rate must be a number": { training: { rate: "fast" } },
  "broken must change something": { broken: "guard" },
  "view must be one of": { view: "opening" },
  "data.formula must be written": { data: { name: "formula", formula: "2 x" } }
}))
  test(`refused: ${match}`, () => assert.throws(() => all(part), new RegExp(match)));

test("data sets: the held-out share, classes in balance, the same samples for the same seed", () => {
  for (const name of Object.keys(DATASETS)) {
    const wish = { name, number: 80, noise: 0.1, test: 0.25, formula: "x*y", seed: 3 };
    const drawn = drawSamples(wish);
    assert.equal(drawn.samples.inputs.length, 60);
    assert.equal(drawn.test.inputs.length, 20);
    assert.deepEqual(drawSamples(wish), drawn);
    assert.notDeepEqual(drawSamples({ ...wish, seed: 4 }).samples, drawn.samples);
    const ones = drawn.samples.targets.filter(([t]) => t === 1).length;
    if (DATASETS[name].kind === "classes") assert.ok(ones > 18 && ones < 42, name);
  }
  const exact = drawSamples({ name: "xor", number: 4, noise: 0, test: 0, seed: 0 }).samples;
  assert.deepEqual(exact, { inputs: data.inputs, targets: data.targets });
});

test("formulas are computed as mathematics reads them", () => {
  for (const [text, value] of Object.entries({
    "1 + 2*3^2": 19,
    "-x^2": -4,
    "2^3^2": 512,
    "(1+2)*x/4 - y": -1.5,
    "sin(pi/2) + cos(0)": 2,
    "sqrt(abs(-9)) - .5e1": -2
  }))
    assert.ok(Math.abs(compileFormula(text).value({ x: 2, y: 3 }) - value) < 1e-14, text);
  assert.deepEqual(compileFormula("y + x").variables, ["x", "y"]);
});

test("tables: separators, decimal commas, headings, classes", () => {
  assert.deepEqual(readTable("a,b,c\n1,2,3\n4,5,6\n").inputs, [
    [1, 2],
    [4, 5]
  ]);
  assert.deepEqual(readTable("1,5;2\n2,5;3").targets, [[2], [3]]);
  assert.deepEqual(readTable("0 1 red\n1 0 blue\n1 1 red").targets, [[0], [1], [0]]);
  assert.deepEqual(readTable("1\tA\n2\tB\n3\tC").targets, [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1]
  ]);
  assert.throws(() => readTable("1,2\nx,3"), /row 2, column 1 must be a number/);
  assert.throws(() => readTable("1,2\n3"), /row 2 must have 2 columns/);
});

test("a rate is the number on screen, a batch a part of a permutation", () => {
  const before = all({ training: { rate: 0.3 } });
  const { gradient } = backprop(mlpOf(before), before.params, data.inputs, data.targets, data.loss);
  const after = trained(before, 1).params;
  assert.equal(after[1].weight[0][0], 1 - 0.3 * gradient[1].weight[0][0]);
  const seen = [0, 1, 2].flatMap((step) => batchOf(8, 3, step, 5));
  assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("training that diverges stops before the numbers are lost, and says so", () => {
  const state = all({ activations: ["relu", "identity"], training: { rate: 100 } });
  const { params, training } = trained(state, 1000);
  assert.ok(training.diverged);
  assert.ok(training.step < 1000);
  assert.ok(params.every(({ weight }) => weight.flat().every(Number.isFinite)));
  assert.deepEqual(rewound({ ...state, params, training }).params, state.params);
});

test("a Gauss-Newton step solves the damped normal equations of J^T J", () => {
  for (const loss of ["mean_squared_error", "binary_cross_entropy"]) {
    const state = all({ loss, seed: 3, training: { optimizer: "gauss_newton" } });
    const mlp = mlpOf(state);
    const { rows, scaled } = scaledJacobian(mlp, state.params, data.inputs, data.targets, loss);
    const moved = trained(state, 1).params;
    const flat = (layers) => layers.flatMap(({ weight, bias }) => [...weight.flat(), ...bias]);
    const step = flat(state.params).map((p, k) => p - flat(moved)[k]);
    const mean = scaled.reduce((total, e) => total + e * e, 0) / scaled.length;
    const trace = rows.flat().reduce((total, x) => total + x * x, 0) / rows.length;
    const damping = 0.1 * mean * trace;
    // (J^T J + damping) d - J^T e = J^T (J d - e) + damping d = 0
    const left = rows.map(
      (row, r) => row.reduce((total, x, k) => total + x * step[k], 0) - scaled[r]
    );
    step.forEach((d, k) => {
      const rest = rows.reduce((total, row, r) => total + row[k] * left[r], 0) + damping * d;
      assert.ok(Math.abs(rest) < 1e-11, `${loss} ${k} ${rest}`);
    });
    const value = (params) => lossOf(mlp, params, data.inputs, data.targets, loss);
    assert.ok(value(moved) < value(state.params));
    // The rows are the Jacobian of the outputs, scaled: by a difference of the outputs.
    const nudged = structuredClone(state.params);
    nudged[0].weight[1][0] += 1e-6;
    const outputs = (params) =>
      forward(mlp, params, data.inputs)
        .activations.at(-1)
        .map(([o]) => o);
    const slope = (outputs(nudged)[3] - outputs(state.params)[3]) / 1e-6;
    const root = scaled[3] && rows[3].at(-1) / slopeOfOutput(mlp, state.params);
    assert.ok(Math.abs(rows[3][2] - slope * root) < 1e-5);
  }
});
// The derivative of the output by the output's bias, at the last sample.
function slopeOfOutput(mlp, params) {
  const a = forward(mlp, params, data.inputs).activations.at(-1)[3][0];
  return mlp.activations.at(-1) === "sigmoid" ? a * (1 - a) : 1;
}
