// The documents' real mistakes, each as the rules of the engine that it replaces.
//
// applies(state) says why a mistake changes nothing here (a key of the words), or null where it does; all: the loss
// must be that of all samples for it to show; formula(state, ref) is the wrong formula of a number, or undefined.
import { RULES, softmax, sum } from "./engine.js";
import { SLOPES, formulaOf, joined, split } from "./formulas.js";

const GUARD = 1e-7;
const numSamples = (state) => (state.scope === "sample" ? 1 : state.samples.inputs.length);
const lastLayer = (state) => state.sizes.length - 1;
const refTo = (...parts) => ({ ref: parts.join(".") });

export const MISTAKES = {
  upstream: {
    applies: () => null,
    rules: { nodeError: (e, slope) => slope },
    formula: (state, ref) =>
      onlyFor("d", ref, (l, j) =>
        SLOPES[state.activations[l - 1]](refTo("a", l, j), refTo("z", l, j))
      )
  },
  local: {
    applies: (state) => (lastLayer(state) > 1 ? null : "applies.hidden"),
    rules: { activationError: (errors, weights) => sum(weights) },
    formula: (state, ref) =>
      onlyFor("e", ref, (l, j) =>
        l < lastLayer(state)
          ? joined(
              state.params[l].weight[0].map((_, k) => [refTo("w", l + 1, j, k)]),
              " + "
            )
          : undefined
      )
  },
  confused: {
    applies: (state) =>
      state.activations.some((name) => name !== "identity") ? null : "applies.slope",
    rules: { nodeError: (e) => e },
    formula: (state, ref) => onlyFor("d", ref, (l, j) => [refTo("e", l, j)])
  },
  argument: {
    applies: (state) =>
      state.activations.some((name) => ["sigmoid", "tanh", "softplus", "silu"].includes(name))
        ? null
        : "applies.argument",
    rules: { slope: (phi, z) => phi.slope(z, z) },
    formula: (state, ref) =>
      onlyFor("d", ref, (l, j) => [
        refTo("e", l, j),
        " × ",
        ...SLOPES[state.activations[l - 1]](refTo("z", l, j), refTo("z", l, j))
      ])
  },
  twice: {
    applies: (state) => (state.samples.inputs.length > 1 ? null : "applies.batch"),
    all: true,
    rules: {
      weightGradient: (inputs, errors) => RULES.weightGradient(inputs, errors) / errors.length,
      biasGradient: (errors) => sum(errors) / errors.length
    },
    formula: (state, ref) =>
      /^g[wb]/.test(ref)
        ? [
            "(",
            ...formulaOf(state, state.loss, state.samples.inputs.length, ref),
            `) / ${state.samples.inputs.length}`
          ]
        : undefined
  },
  half: {
    applies: (state) => (/squared/.test(state.loss) ? null : "applies.squared"),
    rules: {
      outputsBar: (...given) => RULES.outputsBar(...given).map((row) => row.map((e) => e / 2))
    },
    formula: (state, ref) =>
      onlyFor("e", ref, (l) =>
        l === lastLayer(state)
          ? ["½ × ", ...formulaOf(state, state.loss, numSamples(state), ref)]
          : undefined
      )
  },
  sign: {
    applies: () => null,
    rules: {
      outputsBar: (...given) => RULES.outputsBar(...given).map((row) => row.map((e) => -e))
    },
    formula: (state, ref) =>
      onlyFor("e", ref, (l) =>
        l === lastLayer(state)
          ? ["−(", ...formulaOf(state, state.loss, numSamples(state), ref), ")"]
          : undefined
      )
  },
  broadcast: {
    applies: (state) =>
      state.loss !== "mean_squared_error" || state.sizes.at(-1) > 1
        ? "applies.one_output"
        : state.samples.inputs.length > 1
          ? null
          : "applies.batch",
    all: true,
    rules: {
      loss: (chosen, outputs, targets) =>
        sum(outputs.map((o) => sum(targets.map((t) => chosen.value(o, t))) / targets.length)) /
        outputs.length
    },
    formula: (state, ref) =>
      ref === "loss" ? [`ΣΣ (a − y)² / ${state.samples.inputs.length}²`] : undefined
  },
  guard: {
    applies: (state) => (state.loss === "softmax_cross_entropy" ? null : "applies.softmax"),
    rules: {
      loss: (chosen, outputs, targets) =>
        sum(
          outputs.map((o, s) => -sum(softmax(o).map((p, j) => targets[s][j] * Math.log(p + GUARD))))
        ) / outputs.length
    },
    formula: (state, ref) => (ref === "loss" ? ["−Σ y log(p + 1e−7)"] : undefined)
  },
  identity: {
    applies: (state) => {
      const names = state.activations;
      return names.length > 1 && names.at(-1) !== names.at(-2) ? null : "applies.identity";
    },
    rules: {
      activations: (mlp) =>
        mlp.activations.map((name, k, all) => (k === all.length - 1 ? all[k - 1] : name))
    },
    formula: (state, ref) =>
      onlyFor("a", ref, (l, j) =>
        l === lastLayer(state) ? [`${state.activations.at(-2)}(`, refTo("z", l, j), ")"] : undefined
      )
  }
};

function onlyFor(kind, ref, formula) {
  const [its, l, j] = split(ref);
  return its === kind ? formula(l, j) : undefined;
}
