// The documents' real mistakes, each as the rules of the engine that it replaces.
//
// applies(state) says why a mistake changes nothing here (a key of the words), or null where it does; all: the loss
// must be that of all samples for it to show; formula(state, ref) is the wrong formula of a number, or undefined.
"use strict";

const GUARD = 1e-7;
const lastLayer = (state) => state.mlp.sizes.length - 1;
const ref_ = (...parts) => ({ ref: parts.join(".") });

const MISTAKES = {
  upstream: {
    applies: () => null,
    rules: { nodeError: (e, slope) => slope },
    formula: (state, ref) =>
      onlyFor("d", ref, (l, j) => SLOPES[state.mlp.activations[l - 1]](ref_("a", l, j), ref_("z", l, j))),
  },
  local: {
    applies: (state) => (lastLayer(state) > 1 ? null : "applies.hidden"),
    rules: { activationError: (errors, weights) => sum(weights) },
    formula: (state, ref) =>
      onlyFor("e", ref, (l, j) =>
        l < lastLayer(state)
          ? joined(
              state.params[l].bias.map((_, k) => [ref_("w", l + 1, j, k)]),
              " + ",
            )
          : undefined,
      ),
  },
  confused: {
    applies: (state) => (state.mlp.activations.some((name) => name !== "identity") ? null : "applies.slope"),
    rules: { nodeError: (e) => e },
    formula: (state, ref) => onlyFor("d", ref, (l, j) => [ref_("e", l, j)]),
  },
  argument: {
    applies: (state) =>
      state.mlp.activations.some((name) => ["sigmoid", "tanh", "softplus", "silu"].includes(name))
        ? null
        : "applies.argument",
    rules: { slope: (phi, z) => phi.slope(z, z) },
    formula: (state, ref) =>
      onlyFor("d", ref, (l, j) => [
        ref_("e", l, j),
        " × ",
        ...SLOPES[state.mlp.activations[l - 1]](ref_("z", l, j), ref_("z", l, j)),
      ]),
  },
  twice: {
    applies: (state) => (state.inputs.length > 1 ? null : "applies.batch"),
    all: true,
    rules: {
      weightGradient: (inputs, errors) => RULES.weightGradient(inputs, errors) / errors.length,
      biasGradient: (errors) => sum(errors) / errors.length,
    },
    formula: (state, ref) =>
      /^g[wb]/.test(ref)
        ? ["(", ...formulaOf(state.mlp, state.lossName, state.inputs.length, ref), `) / ${state.inputs.length}`]
        : undefined,
  },
  half: {
    applies: (state) => (/squared/.test(state.lossName) ? null : "applies.squared"),
    rules: { outputsBar: (...given) => RULES.outputsBar(...given).map((row) => row.map((e) => e / 2)) },
    formula: (state, ref) =>
      onlyFor("e", ref, (l) =>
        l === lastLayer(state) ? ["½ × ", ...formulaOf(state.mlp, state.lossName, page.numSamples(), ref)] : undefined,
      ),
  },
  sign: {
    applies: () => null,
    rules: { outputsBar: (...given) => RULES.outputsBar(...given).map((row) => row.map((e) => -e)) },
    formula: (state, ref) =>
      onlyFor("e", ref, (l) =>
        l === lastLayer(state)
          ? ["−(", ...formulaOf(state.mlp, state.lossName, page.numSamples(), ref), ")"]
          : undefined,
      ),
  },
  broadcast: {
    applies: (state) =>
      state.lossName !== "mean_squared_error" || state.mlp.sizes.at(-1) > 1
        ? "applies.one_output"
        : state.inputs.length > 1
          ? null
          : "applies.batch",
    all: true,
    rules: {
      loss: (loss, outputs, targets) =>
        sum(outputs.map((o) => sum(targets.map((t) => loss.value(o, t))) / targets.length)) / outputs.length,
    },
    formula: (state, ref) => (ref === "loss" ? [`ΣΣ (a − y)² / ${state.inputs.length}²`] : undefined),
  },
  guard: {
    applies: (state) => (state.lossName === "softmax_cross_entropy" ? null : "applies.softmax"),
    rules: {
      loss: (loss, outputs, targets) =>
        sum(outputs.map((o, s) => -sum(softmax(o).map((p, j) => targets[s][j] * Math.log(p + GUARD))))) /
        outputs.length,
    },
    formula: (state, ref) => (ref === "loss" ? ["−Σ y log(p + 1e−7)"] : undefined),
  },
  identity: {
    applies: (state) => {
      const names = state.mlp.activations;
      return names.length > 1 && names.at(-1) !== names.at(-2) ? null : "applies.identity";
    },
    rules: { activations: (mlp) => mlp.activations.map((name, k, all) => (k === all.length - 1 ? all[k - 1] : name)) },
    formula: (state, ref) =>
      onlyFor("a", ref, (l, j) =>
        l === lastLayer(state) ? [`${state.mlp.activations.at(-2)}(`, ref_("z", l, j), ")"] : undefined,
      ),
  },
};

function onlyFor(kind, ref, formula) {
  const [its, l, j] = split(ref);
  return its === kind ? formula(l, j) : undefined;
}
// Compares two traces number by number, in the order of the passes, each with the largest of its kind in its layer.
// bounds() says what rounding may do to each, if it may do more than that.
function compare(mlp, row, found, expected, bounds = null) {
  const refs = computedRefs(mlp),
    largest = {},
    wrong = [];
  const leaf = (ref) => ref.split(".").slice(0, 2).join(".");
  for (const ref of refs) largest[leaf(ref)] = Math.max(largest[leaf(ref)] ?? 0, Math.abs(valueOf(expected, row, ref)));
  let worst = 0;
  for (const ref of refs) {
    const difference = Math.abs(valueOf(found, row, ref) - valueOf(expected, row, ref));
    const relative = difference === 0 ? 0 : difference / largest[leaf(ref)];
    worst = Math.max(worst, Number.isNaN(relative) ? Infinity : relative);
    if (!(relative <= 1e-12) && !(bounds && difference <= UNIT * valueOf(bounds(), row, ref))) wrong.push(ref);
  }
  return { count: refs.length, worst, wrong };
}

// Compares this page's engine with the numbers that jaxbp wrote into the page: each sample by itself, and all together.
function judge(rules) {
  const { data, state } = page,
    { mlp, params, inputs, targets, loss: lossName } = data;
  const result = { count: 0, worst: 0, first: null };
  const passes = (some, theirs) => {
    let known = null;
    const found = backprop(mlp, params, some, theirs, lossName, rules);
    return { found, bounds: () => (known ??= rounding(backprop(mlp, params, some, theirs, lossName), some)) };
  };
  const look = (expected, row, { found, bounds }) => {
    const { count, worst, wrong } = compare(mlp, row, found, expected, bounds);
    result.count += count;
    result.worst = Math.max(result.worst, worst);
    if (wrong.length && !result.first) {
      result.first = {
        ref: wrong[0],
        found: valueOf(found, row, wrong[0]),
        expected: valueOf(expected, row, wrong[0]),
      };
    }
  };
  const alone = () => data.traces.forEach((expected, s) => look(expected, 0, passes([inputs[s]], [targets[s]])));
  const together = () => {
    const all = passes(inputs, targets);
    data.traces.forEach((_, s) => look(data.batch, s, all));
  };
  for (const part of state.scope === "all" ? [together, alone] : [alone, together]) part();
  return result;
}
