// Classification: probabilities, the class that a network chooses, accuracy.
import { DATASETS } from "./datasets.js";
import { forward, probabilitiesOf } from "./engine.js";
import { memo } from "./memo.js";
import { isCrossEntropy } from "./state.js";
import { mlpOf, rulesOf } from "./training.js";

// Whether the targets are classes: by the loss, by the data set, or because all of them are 0 or 1.
export const isClassified = ({ loss, data, samples }) =>
  isCrossEntropy(loss) ||
  DATASETS[data.name]?.kind === "classes" ||
  samples.targets.every((row) => row.every((t) => t === 0 || t === 1));

// The class of one output above one half or of the largest of several.
export const classOf = (outputs) =>
  outputs.length === 1 ? Number(outputs[0] > 0.5) : outputs.indexOf(Math.max(...outputs));

// What decides between classes: probabilities where the loss has them, outputs where it has not.
export const decided = (loss, outputs) => probabilitiesOf(loss, outputs) ?? outputs;

const share = memo((params, samples, sizes, activations, bias, loss, broken) =>
  correct({ sizes, activations, bias }, params, samples, loss, rulesOf(broken))
);
const testShare = memo((params, samples, sizes, activations, bias, loss, broken) =>
  correct({ sizes, activations, bias }, params, samples, loss, rulesOf(broken))
);
function correct(mlp, params, { inputs, targets }, loss, rules) {
  if (!inputs.length) return null;
  const outputs = forward(mlp, params, inputs, rules).activations.at(-1);
  const right = outputs.filter((o, s) => classOf(decided(loss, o)) === classOf(targets[s])).length;
  return `${right} / ${inputs.length}`;
}

// {train, test} as "right / all", or null where the targets are no classes.
export function accuracyOf(state) {
  if (!isClassified(state)) return null;
  const { sizes, activations, bias } = mlpOf(state);
  const rest = [sizes, activations, bias, state.loss, state.broken];
  return {
    train: share(state.params, state.samples, ...rest),
    test: testShare(state.params, state.test, ...rest)
  };
}
