// Training as a change of the state: some steps, and the curve of their losses.
import { RULES, loss } from "./engine.js";
import { MISTAKES } from "./mistakes.js";
import { trainingStep } from "./optimizers.js";

const MAX_LOSS = 1e12; // a larger one is called diverged
const POINTS = 300; // of the curve; where there are more, every second one is dropped

export const rulesOf = (broken) => ({ ...RULES, ...(broken ? MISTAKES[broken].rules : {}) });
export const mlpOf = ({ sizes, activations, bias }) => ({ sizes, activations, bias });

const finite = (params) =>
  params.every(
    ({ weight, bias }) =>
      weight.every((row) => row.every(Number.isFinite)) && (bias ?? []).every(Number.isFinite)
  );

export function lossesOf(state, mlp, params, rules) {
  const of = ({ inputs, targets }) =>
    inputs.length ? loss(mlp, params, inputs, targets, state.loss, rules) : NaN;
  return [of(state.samples), of(state.test)];
}

// The curve with one more point, evenly thinned.
function recorded(history, point) {
  const stride = history.length > 1 ? history[1][0] - history[0][0] : 1;
  if ((point[0] - (history[0]?.[0] ?? 0)) % stride) return history;
  const longer = [...history, point];
  return longer.length > POINTS ? longer.filter((_, k) => k % 2 === 0) : longer;
}

// The part {params, training} of the state after some steps; a step to a loss that is not finite is refused.
export function trained(state, steps) {
  const mlp = mlpOf(state);
  const rules = rulesOf(state.broken);
  const start = state.training.start ?? state.params;
  let { params } = state;
  let training = { ...state.training, start, diverged: false };
  for (let k = 0; k < steps && !training.diverged; k++) {
    const history = training.history.length
      ? training.history
      : [[training.step, ...lossesOf(state, mlp, params, rules)]];
    const next = trainingStep(mlp, params, state.samples, state.loss, rules, training, state.seed);
    const after = finite(next.params) ? lossesOf(state, mlp, next.params, rules) : [NaN, NaN];
    if (!(Math.abs(after[0]) < MAX_LOSS)) training = { ...training, history, diverged: true };
    else {
      const step = training.step + 1;
      params = next.params;
      training = {
        ...training,
        memory: next.memory,
        step,
        history: recorded(history, [step, ...after])
      };
    }
  }
  return { params, training };
}

// Back to the parameters that the training started from.
export const rewound = (state) => ({
  params: state.training.start ?? state.params,
  training: { step: 0, start: null, memory: null, history: [], diverged: false }
});
