// The engine, its formulas and its judgement, by property, in Node alone.
import assert from "node:assert/strict";
import test from "node:test";

import * as engine from "../../jaxbp/viz/page/engine.js";
import { isClose, slackOf } from "../../jaxbp/viz/page/closeness.js";
import * as formulas from "../../jaxbp/viz/page/formulas.js";
import { compare, judgeByDifferences, numericDerivative } from "../../jaxbp/viz/page/judge.js";
import { MISTAKES } from "../../jaxbp/viz/page/mistakes.js";
import { UNIT, rounding } from "../../jaxbp/viz/page/rounding.js";
import { generator, init, normal } from "../../jaxbp/viz/page/start.js";

const LOSSES = Object.keys(engine.LOSSES);
const NAMES = Object.keys(engine.ACTIVATIONS);

// A network, parameters, samples and loss, of every activation and loss in turn.
function example(seed) {
  const uniform = generator(seed);
  const sizes = Array.from({ length: 2 + (seed % 4) }, () => 1 + Math.floor(4 * uniform()));
  const loss = LOSSES[seed % LOSSES.length];
  if (loss === "softmax_cross_entropy") sizes[sizes.length - 1] += 1;
  const activations = sizes.slice(1).map((_, k) => NAMES[(seed + 2 * k) % NAMES.length]);
  if (/entropy/.test(loss)) activations[activations.length - 1] = "identity";
  const mlp = { sizes, activations, bias: seed % 3 > 0 };
  const params = engine.mapParams(() => normal(uniform), init(sizes, 0, "zeros", mlp.bias));
  const rows = (size, draw) => [0, 1, 2].map(() => Array.from({ length: size }, draw));
  const inputs = rows(sizes[0], () => normal(uniform));
  const hot = (row, s) => row.map((_, j) => Number(j === s % row.length));
  const numbers = rows(sizes.at(-1), () => (/binary/.test(loss) ? uniform() : normal(uniform)));
  const targets = /softmax/.test(loss) ? numbers.map(hot) : numbers;
  return { mlp, params, inputs, targets, loss };
}
const EXAMPLES = Array.from({ length: 36 }, (_, seed) => example(seed));
const traceOf = ({ mlp, params, inputs, targets, loss }, rules) =>
  engine.backprop(mlp, params, inputs, targets, loss, rules);

test("every derivative is its central difference", () => {
  for (const given of EXAMPLES) {
    const setting = { ...given, lossName: given.loss, row: 1, rules: engine.RULES };
    const { wrong, count, of } = judgeByDifferences(setting, traceOf(given), Infinity);
    assert.deepEqual(wrong, [], JSON.stringify(given.mlp));
    assert.equal(count, of);
  }
});

test("every number is the value of its formula", () => {
  for (const given of EXAMPLES) {
    const one = { ...given, inputs: given.inputs.slice(0, 1), targets: given.targets.slice(0, 1) };
    const trace = traceOf(one);
    const get = (ref) => formulas.valueOf(trace, 0, ref);
    for (const ref of formulas.computedRefs(given.mlp)) {
      const parts = formulas.formulaOf(given.mlp, given.loss, 1, ref);
      const factors = formulas.factorsOf(parts);
      assert.ok(
        factors.every((factor) => Number.isFinite(get(factor))),
        ref
      );
      const value = formulas.evaluate(given.mlp, given.loss, 1, ref, get);
      if (ref === "loss") continue;
      assert.ok(Math.abs(value - get(ref)) <= 1e-12 * Math.max(1, Math.abs(get(ref))), ref);
      const last = Math.max(...factors.map((factor) => formulas.stageOf(given.mlp, factor)), 0);
      assert.ok(last <= formulas.stageOf(given.mlp, ref), `${ref} needs what comes later`);
    }
  }
});

test("formulas read as on paper", () => {
  const mlp = { sizes: [3, 4, 2], activations: ["sigmoid", "sigmoid"], bias: true };
  const text = (loss, n, ref, net = mlp) =>
    formulas
      .formulaOf(net, loss, n, ref)
      .map((part) => (part.ref ? formulas.nameOf(net, part.ref) : part))
      .join("");
  assert.equal(text("half_squared_error", 1, "e.1.0"), "δ8 w84 + δ9 w94");
  assert.equal(text("half_squared_error", 1, "d.1.0"), "e4 × a4 (1 − a4)");
  assert.equal(text("mean_squared_error", 4, "e.2.1"), "2/2 (a9 − y2) / 4");
  const logits = { sizes: [2, 3], activations: ["identity"], bias: false };
  assert.equal(text("softmax_cross_entropy", 1, "e.1.2", logits), "p5 − y3");
  assert.equal(
    text("softmax_cross_entropy", 1, "loss", logits),
    "−(y1 log p3 + y2 log p4 + y3 log p5)"
  );
  assert.equal(text("softmax_cross_entropy", 1, "z.1.0", logits), "w31 a1 + w32 a2");
});

test("slopes keep their digits where activations saturate", () => {
  const { sigmoid, tanh, softplus } = engine.ACTIVATIONS;
  for (const z of [17, 22.5, 30, -30]) {
    const exact = Math.exp(-Math.abs(z)) / (1 + Math.exp(-Math.abs(z))) ** 2;
    assert.ok(Math.abs(sigmoid.slope(z, sigmoid.value(z)) / exact - 1) < 1e-14);
    const tanhExact = 4 * Math.exp(-2 * Math.abs(z));
    assert.ok(Math.abs(tanh.slope(z, tanh.value(z)) / tanhExact - 1) < 1e-13);
  }
  assert.equal(softplus.slope(-40, softplus.value(-40)), 1 / (1 + Math.exp(40)));
});

test("rounding bounds the difference of two right programs", () => {
  for (const given of EXAMPLES) {
    const trace = traceOf(given);
    const bounds = rounding(trace, given.inputs);
    // The same network with its first inputs in another order: the same numbers, summed otherwise.
    const turned = {
      ...given,
      inputs: given.inputs.map((row) => [...row].reverse()),
      params: given.params.map((layer, k) =>
        k ? layer : { ...layer, weight: [...layer.weight].reverse() }
      )
    };
    const other = traceOf(turned);
    for (const ref of formulas.computedRefs(given.mlp).filter((r) => !r.startsWith("gw.1."))) {
      const [one, two] = [trace, other].map((t) => formulas.valueOf(t, 0, ref));
      const bound = UNIT * formulas.valueOf(bounds, 0, ref);
      assert.ok(Math.abs(one - two) <= bound, `${ref}: ${one} ${two} ${bound}`);
    }
  }
});

test("a mistake changes numbers where it says that it applies, and some of them are its own", () => {
  const seen = new Set();
  for (const given of EXAMPLES)
    for (const [name, mistake] of Object.entries(MISTAKES)) {
      const { mlp, params, inputs, targets, loss } = given;
      const state = { ...mlp, params, samples: { inputs, targets }, loss, scope: "all" };
      if (mistake.applies(state) !== null) continue;
      const broken = traceOf(given, { ...engine.RULES, ...mistake.rules });
      const wrong = inputs.flatMap((_, s) => compare(mlp, s, broken, traceOf(given)).wrong);
      if (!wrong.length) continue;
      seen.add(name);
      assert.ok(
        wrong.some((ref) => mistake.formula(state, ref) !== undefined),
        name
      );
    }
  assert.deepEqual([...seen].sort(), Object.keys(MISTAKES).sort());
});

test("an answer may be as far off as the digits shown leave it open", () => {
  const exact = { a: -0.55377234, y: -0.55620781 };
  const evaluate = (get) => 2 * (get("a") - get("y"));
  const shown = (ref) => ({ rounded: Number(exact[ref].toFixed(4)), half: 5e-5 });
  const slack = slackOf(evaluate, ["a", "y"], (ref) => exact[ref], shown);
  assert.ok(isClose(0.0048, "0.0048", 0.00487094, slack));
  assert.ok(!isClose(0.0048, "0.0048", 0.00587094, slack));
  assert.ok(isClose(0.33, "0.33", 0.3345));
  assert.ok(!isClose(0.33, "0.33", 0.3361));
});

test("the difference of a kinked activation is taken beside the kink", () => {
  const mlp = { sizes: [1, 1], activations: ["relu"], bias: true };
  const params = [{ weight: [[1]], bias: [1e-3] }];
  const setting = { mlp, params, inputs: [[0]], targets: [[1]], lossName: "half_squared_error" };
  const slope = numericDerivative({ ...setting, row: 0, rules: engine.RULES }, "gb.1.0");
  assert.ok(Math.abs(slope - (1e-3 - 1)) < 1e-8);
});
