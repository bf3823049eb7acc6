// The state of the page: one plain object that holds everything, and the one function that changes it.
//
// A state is never written to. `changed(state, part)` checks a part, fills in what follows from it (new sizes draw new
// parameters, a data set draws new samples) and returns a new state in which no two fields contradict each other.
import { ACTIVATIONS, LOSSES } from "./engine.js";
import { DATASETS, MAX_SAMPLES, drawSamples, randomSamples } from "./datasets.js";
import { stageOf } from "./formulas.js";
import { MISTAKES } from "./mistakes.js";
import { OPTIMIZERS } from "./optimizers.js";
import { SCHEMES, init } from "./start.js";
import { refuse } from "./words.js";

/**
 * @typedef {{weight: number[][], bias: number[] | null}} Layer
 * @typedef {{inputs: number[][], targets: number[][]}} Samples
 * @typedef {{mean: number, std: number}} Unit
 *
 * @typedef {Object} Training
 * @property {number} rate learning rate
 * @property {string} optimizer descent, momentum, adam or gauss_newton
 * @property {number} momentum of the optimizer of that name
 * @property {number} batch samples of a step, 0 for all
 * @property {number} l1 factor of the penalty sum of |w|, added while training but by Gauss-Newton
 * @property {number} l2 lambda of the penalty lambda / 2 * sum of w^2, added while training
 * @property {number} speed steps a frame while playing; 0 for as many as there is time for
 * @property {number} step steps taken
 * @property {Layer[] | null} start parameters of step 0; null where they are those on screen
 * @property {any} memory of the optimizer
 * @property {number[][]} history [step, training loss, test loss] of some steps
 * @property {boolean} diverged the last step was refused: the loss was not finite
 *
 * @typedef {Object} State
 * @property {number[]} sizes units of each layer, inputs first
 * @property {string[]} activations one a layer
 * @property {boolean} bias whether units have biases
 * @property {string} loss
 * @property {Layer[]} params
 * @property {number} seed of the start and of the batches
 * @property {string} scheme of the start
 * @property {Samples} samples to train with
 * @property {Samples} test held out
 * @property {{name: string, number: number, noise: number, test: number, formula: string, seed: number}} data
 * @property {{inputs: Unit[], targets: Unit[]} | null} units of standardized numbers
 * @property {number} sample the selected one
 * @property {"sample" | "all"} scope what the loss is a mean over
 * @property {string} view of the right column
 * @property {number} stage numbers known: 0 none, L forward, L + 1 loss, 2 L + 1 node errors, 3 L + 1 all
 * @property {string | null} selected a reference such as "w.1.0.0"
 * @property {string | null} broken a mistake put in the place of a rule
 * @property {Training} training
 * @property {{question: number, solved: boolean}} quiz
 * @property {string | null} guess at the opening question
 * @property {{run: number, place: number} | null} replay of a recorded run
 * @property {"numbers" | "maps"} cards
 * @property {{what: string, lines: boolean, edit: boolean, add: number}} plane
 * @property {{depth: number, activation: string, scheme: string, gain: number, seed: number}} depth
 */

export const VIEWS = ["opening", "walk", "check", "plane", "training", "depth", "reveal"];
/** @type {Record<string, any>} */
const SETS = DATASETS;
/** @type {Record<string, any>} */
const BROKEN = MISTAKES;
const WHOLE = ["check", "plane", "training"]; // views of all numbers
export const MAX_UNITS = 100;
export const LAYER_LIMIT = 64;
export const isCrossEntropy = (/** @type {string} */ loss) => /entropy/.test(loss);
export const lastStage = (/** @type {{sizes: number[]}} */ { sizes }) => 3 * (sizes.length - 1) + 1;

/** @type {Training} */
const TRAINING = {
  rate: 0.1,
  optimizer: "descent",
  momentum: 0.9,
  batch: 0,
  l1: 0,
  l2: 0,
  speed: 1,
  step: 0,
  start: null,
  memory: null,
  history: [],
  diverged: false
};

/** The first sample whose inputs are not all 0: through those no weight of the first layer learns. */
const tellingSample = (/** @type {number[][]} */ inputs) =>
  Math.max(
    0,
    inputs.findIndex((row) => row.some((x) => x !== 0))
  );

/**
 * The state of a page at its opening, from what Python wrote into it.
 * @param {any} data
 * @returns {State}
 */
export function initialState(data) {
  const { sizes, activations, bias } = data.mlp;
  const view = data.views[0];
  return {
    sizes,
    activations,
    bias,
    loss: data.loss,
    params: data.params,
    seed: 0,
    scheme: "given",
    samples: { inputs: data.inputs, targets: data.targets },
    test: { inputs: [], targets: [] },
    data: {
      name: "given",
      number: data.inputs.length,
      noise: 0,
      test: 0,
      formula: "sin(3*x)",
      seed: 0
    },
    units: data.units ?? null,
    sample: tellingSample(data.inputs),
    scope: "sample",
    view,
    stage:
      view === "opening"
        ? sizes.length
        : ["walk", "reveal"].includes(view)
          ? 0
          : lastStage({ sizes }),
    selected: null,
    broken: null,
    training: TRAINING,
    quiz: { question: 0, solved: false },
    guess: null,
    replay: null,
    cards: "numbers",
    plane: { what: "a", lines: true, edit: false, add: 1 },
    depth: { depth: 12, activation: "sigmoid", scheme: "glorot", gain: 1, seed: 0 }
  };
}

/**
 * The views of a page that a network can have: the plane needs two inputs.
 * @param {string[]} views @param {{sizes: number[]}} state
 */
export const viewsFor = (views, { sizes }) =>
  views.filter((name) => name !== "plane" || sizes[0] === 2);

/** @param {string} name @param {any} value @param {string[]} names */
function checkName(name, value, names) {
  if (!names.includes(value)) refuse("name", name, names.join(", "), value);
}
/** @param {string} name @param {any} value @param {number} low @param {number} high @param {boolean} whole */
export function checkNumber(name, value, low, high, whole = false) {
  const fine = typeof value === "number" && value >= low && value <= high;
  if (!fine || (whole && !Number.isInteger(value)))
    refuse(whole ? "integer" : "number", name, low, high, value);
}
/** @param {string} name @param {any} rows @param {number} count @param {number} size */
function checkRows(name, rows, count, size) {
  const fine =
    Array.isArray(rows) &&
    rows.length === count &&
    rows.every((row) => Array.isArray(row) && row.length === size && row.every(Number.isFinite));
  if (!fine) {
    const got = Array.isArray(rows) ? `${rows.length} × ${rows[0]?.length ?? 0}` : rows;
    refuse("rows", name, count, size, got);
  }
}

/** @param {State} next */
function checkNetwork({ sizes, activations, bias, params }) {
  if (!Array.isArray(sizes) || sizes.length < 2) refuse("sizes", sizes);
  sizes.forEach((size) => checkNumber("sizes", size, 1, LAYER_LIMIT, true));
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total > MAX_UNITS) refuse("units", MAX_UNITS, total);
  if (activations.length !== sizes.length - 1) refuse("names", sizes.length - 1, activations);
  activations.forEach((name) => checkName("activations", name, Object.keys(ACTIVATIONS)));
  if (!Array.isArray(params) || params.length !== sizes.length - 1)
    refuse("layers", sizes.length - 1, params);
  params.forEach((layer, k) => {
    checkRows(`params[${k}].weight`, layer?.weight, sizes[k], sizes[k + 1]);
    if (bias) checkRows(`params[${k}].bias`, [layer.bias], 1, sizes[k + 1]);
  });
}

/** @param {State} next */
function checkSamples({ sizes, loss, activations, samples, test }) {
  checkName("loss", loss, Object.keys(LOSSES));
  const outputs = sizes[sizes.length - 1];
  for (const [name, some] of /** @type {[string, Samples][]} */ ([
    ["samples", samples],
    ["test", test]
  ])) {
    if (!Array.isArray(some?.inputs)) refuse("samples", name, some);
    const count = some.inputs.length;
    if (name === "samples" && count < 1) refuse("sample");
    if (count > MAX_SAMPLES) refuse("many", name, MAX_SAMPLES, count);
    checkRows(`${name}.inputs`, some.inputs, count, sizes[0]);
    checkRows(`${name}.targets`, some.targets, count, outputs);
    if (isCrossEntropy(loss) && some.targets.some((row) => row.some((t) => t < 0 || t > 1)))
      refuse("inside", name, loss);
  }
  if (loss === "softmax_cross_entropy" && outputs < 2) refuse("two", outputs);
  const last = activations[activations.length - 1];
  if (isCrossEntropy(loss) && last !== "identity") refuse("logits", loss, last);
}

/** @param {State} next @param {string[]} schemes */
function checkSettings(next, schemes) {
  const { training: t, data, plane, depth } = next;
  checkNumber("seed", next.seed, 0, 2 ** 31, true);
  checkName("scheme", next.scheme, schemes);
  checkNumber("training.rate", t.rate, 0, 1e6);
  checkName("training.optimizer", t.optimizer, [...Object.keys(OPTIMIZERS), "gauss_newton"]);
  checkNumber("training.momentum", t.momentum, 0, 0.9999);
  checkNumber("training.batch", t.batch, 0, MAX_SAMPLES, true);
  checkNumber("training.l1", t.l1, 0, 1e3);
  checkNumber("training.l2", t.l2, 0, 1e3);
  checkNumber("training.speed", t.speed, 0, 1000);
  checkNumber("training.step", t.step, 0, 1e9, true);
  checkName("data.name", data.name, [...Object.keys(DATASETS), "given", "own"]);
  checkNumber("data.number", data.number, 1, MAX_SAMPLES, true);
  checkNumber("data.noise", data.noise, 0, 10);
  checkNumber("data.test", data.test, 0, 0.9);
  checkNumber("data.seed", data.seed, 0, 2 ** 31, true);
  checkName("scope", next.scope, ["sample", "all"]);
  checkName("cards", next.cards, ["numbers", "maps"]);
  checkName("plane.what", plane.what, ["a", "d", "error"]);
  checkNumber("depth.depth", depth.depth, 1, 30, true);
  checkName("depth.activation", depth.activation, Object.keys(ACTIVATIONS));
  checkName("depth.scheme", depth.scheme, Object.keys(SCHEMES));
  checkNumber("depth.gain", depth.gain, 0, 10);
  if (next.broken !== null) {
    checkName("broken", next.broken, Object.keys(MISTAKES));
  }
}

/**
 * The questions of the quiz: one number of each sort, forward and back, of units in turn.
 * @param {State} state
 * @returns {string[]}
 */
export function questionsOf({ sizes, bias }) {
  const L = sizes.length - 1;
  const second = (/** @type {number} */ size) => 1 % size;
  const refs = ["z.1.0", `a.1.${second(sizes[1])}`];
  if (L > 1) refs.push(`z.${L}.0`);
  refs.push(`e.${L}.0`, `d.${L}.0`);
  if (L > 1) refs.push(`e.${L - 1}.0`, `d.${L - 1}.0`);
  refs.push(`gw.${L}.${second(sizes[L - 1])}.0`);
  if (bias) refs.push(`gb.${L}.0`);
  if (L > 1) refs.push("gw.1.0.0");
  return refs;
}

/** @param {string} loss */
const kindOf = (loss) =>
  loss === "softmax_cross_entropy" ? "one_hot" : isCrossEntropy(loss) ? "classes" : "numbers";

/** New sizes keep their hidden activations where they can, and the output's. */
function activationsFor(/** @type {string[]} */ old, /** @type {number} */ count) {
  const hidden = old.length > 1 ? old.slice(0, -1) : ["tanh"];
  const kept = Array.from({ length: count - 1 }, (_, k) => hidden[Math.min(k, hidden.length - 1)]);
  return [...kept, old[old.length - 1]];
}

const differ = (/** @type {any} */ a, /** @type {any} */ b) =>
  JSON.stringify(a) !== JSON.stringify(b);
/** Whether a part names another value of a field. @param {any} part @param {any} state @param {string} key */
const renewed = (part, state, key) => key in part && part[key] !== state[key];

/** Own parameters, with biases of shape (n,) or (1, n). @param {State} next @param {any} part */
function takeParams(next, part) {
  if (!Array.isArray(part.params)) refuse("layers", next.sizes.length - 1, part.params);
  if (!("bias" in part))
    next.bias = part.params.every((/** @type {any} */ layer) => Array.isArray(layer?.bias));
  const flat = (/** @type {any} */ bias) => (Array.isArray(bias?.[0]) ? bias[0] : bias);
  next.params = part.params.map((/** @type {any} */ layer) => ({
    weight: layer?.weight,
    bias: next.bias ? flat(layer?.bias) : null
  }));
}

/**
 * Fills in what follows from a part: the network.
 * @param {State} next @param {State} state @param {any} part @param {State} initial
 */
function settleNetwork(next, state, part, initial) {
  if (!Array.isArray(next.sizes)) refuse("sizes", next.sizes);
  if (next.activations.length !== next.sizes.length - 1 && !part.activations)
    next.activations = activationsFor(state.activations, next.sizes.length - 1);
  const last = next.activations[next.activations.length - 1];
  if (isCrossEntropy(next.loss) && last !== "identity" && !part.activations)
    next.activations = [...next.activations.slice(0, -1), "identity"];
  if (part.params) return takeParams(next, part);
  const fresh = ["seed", "scheme", "bias"].some((key) => renewed(part, state, key));
  if (!fresh && !differ(next.sizes, state.sizes)) return;
  const foreign = differ(next.sizes, initial.sizes) || next.bias !== initial.bias;
  if (next.scheme === "given" && (foreign || renewed(part, state, "seed"))) next.scheme = "glorot";
  next.params =
    next.scheme === "given" ? initial.params : init(next.sizes, next.seed, next.scheme, next.bias);
}

/** Samples given as they are. @param {State} next @param {State} state @param {any} part */
function ownSamples(next, state, part) {
  const { inputs } = next.samples;
  const held = next.test.inputs.length ? next.data.test : 0;
  if (!part.data)
    next.data = { ...next.data, name: "own", number: inputs?.length ?? 1, test: held };
  const kept = inputs?.[0]?.length === state.units?.inputs.length;
  if (!("units" in part)) next.units = kept ? state.units : null;
}

/**
 * Samples of a part, of its data set, or those there were; returns whether they are other ones.
 * @param {State} next @param {State} state @param {any} part @param {State} initial
 */
function takeSamples(next, state, part, initial) {
  const named =
    part.data && Object.keys(part.data).some((key) => renewed(part.data, state.data, key));
  if (part.samples) ownSamples(next, state, part);
  else if (named && next.data.name in DATASETS) {
    Object.assign(next, drawSamples(next.data));
    const numbers = SETS[next.data.name].kind === "numbers";
    if (numbers && isCrossEntropy(next.loss) && !part.loss) next.loss = "mean_squared_error";
  } else if (named && next.data.name === "given")
    Object.assign(next, { samples: initial.samples, test: initial.test, units: initial.units });
  return Boolean(named || part.samples);
}

/**
 * Fills in what follows from a part: samples that fit the network and the loss.
 * @param {State} next @param {State} state @param {any} part @param {State} initial
 */
function settleSamples(next, state, part, initial) {
  const others = takeSamples(next, state, part, initial);
  const { inputs, targets } = next.samples;
  const outputs = next.sizes[next.sizes.length - 1];
  const fits = inputs?.[0]?.length === next.sizes[0] && targets?.[0]?.length === outputs;
  if (fits || !inputs?.length) return;
  // Samples lead: the network gets their inputs and outputs. Sizes lead: samples of their shape.
  if (others && !part.sizes && !part.params) {
    next.sizes = [inputs[0].length, ...next.sizes.slice(1, -1), targets[0].length];
    if (next.loss === "softmax_cross_entropy" && targets[0].length < 2)
      next.loss = "binary_cross_entropy";
    return settleNetwork(next, state, part, initial);
  }
  next.samples = randomSamples(next.sizes[0], outputs, kindOf(next.loss), next.seed);
  next.test = { inputs: [], targets: [] };
  next.data = { ...next.data, name: "own", number: next.samples.inputs.length, test: 0 };
  next.units = null;
}

/** What the training remembers is void once the numbers it moves were changed by hand. */
function settleTraining(
  /** @type {State} */ next,
  /** @type {State} */ state,
  /** @type {any} */ part
) {
  const own = part.training && ("step" in part.training || "memory" in part.training);
  if (own) return;
  const moved = next.params !== state.params || next.sizes !== state.sizes;
  const other = next.training.optimizer !== state.training.optimizer;
  const asked =
    next.samples !== state.samples ||
    next.loss !== state.loss ||
    next.activations !== state.activations;
  if (moved || asked)
    next.training = {
      ...next.training,
      step: moved ? 0 : next.training.step,
      start: moved ? null : next.training.start,
      memory: null,
      history: [],
      diverged: false
    };
  else if (other) next.training = { ...next.training, memory: null };
}

/** @param {State} next @param {State} state */
function settleSample(next, state) {
  const { inputs } = next.samples;
  const drawn = next.samples !== state.samples && next.data.name !== "own";
  next.sample = drawn ? tellingSample(inputs) : Math.min(next.sample, inputs.length - 1);
}

/**
 * A view that the network has, at a stage that it has.
 * @param {State} next @param {State} state @param {any} part @param {string[]} views
 */
function settleView(next, state, part, views) {
  const open = viewsFor(views, next);
  if (!open.includes(next.view) && !("view" in part)) next.view = open[0];
  checkName("view", next.view, open);
  const end = lastStage(next);
  const others = differ(next.sizes, state.sizes);
  const entered = next.view !== state.view && WHOLE.includes(next.view);
  // Another network is shown whole, and so is a view of the whole.
  if ((others || entered) && !("stage" in part)) next.stage = end;
  checkNumber("stage", next.stage, 0, end, true);
  if (others && !("selected" in part)) next.selected = null;
  if (others) next.quiz = { question: 0, solved: false, ...part.quiz };
  if (next.view === "training" && entered && !("scope" in part)) next.scope = "all";
  if (!("sample" in part)) settleSample(next, state);
  checkNumber("sample", next.sample, 0, next.samples.inputs.length - 1, true);
}

/**
 * A broken rule that changes something here, with the loss and the optimizer that it needs.
 * @param {State} next @param {State} state @param {any} part
 */
function settleBroken(next, state, part) {
  if (next.broken && BROKEN[next.broken].applies(next) !== null) {
    if ("broken" in part) refuse("broken", part.broken);
    next.broken = null;
  }
  if (next.broken && next.training.optimizer === "gauss_newton")
    next.training = { ...next.training, optimizer: "descent", memory: null };
  const needsAll = (/** @type {string | null} */ name) => name !== null && BROKEN[name].all;
  if (needsAll(next.broken) && part.scope === "sample") next.broken = null;
  else if (needsAll(next.broken) && part.broken) next.scope = "all";
  // Leaving a mistake that needed all samples puts the loss back where it was.
  else if (!next.broken && needsAll(state.broken) && !("scope" in part) && next.view !== "training")
    next.scope = "sample";
}

/**
 * The quiz shows what comes before its question, by the right rules; a broken rule or another stage closes it.
 * @param {State} next @param {State} state @param {any} part @param {string[]} views
 */
function settleQuiz(next, state, part, views) {
  if (next.view !== "reveal") return;
  const stays = state.view === "reveal" && !part.quiz && !part.sizes;
  const elsewhere = (/** @type {string} */ name) =>
    views.includes(name) ? name : views.find((v) => v !== "reveal");
  const left =
    part.broken && next.broken ? elsewhere("check") : stays && "stage" in part && elsewhere("walk");
  if (left) {
    next.view = left;
    return;
  }
  next.broken = null;
  const questions = questionsOf(next);
  checkNumber("quiz.question", next.quiz.question, 0, questions.length - 1, true);
  const ref = questions[next.quiz.question];
  next.stage = stageOf(next, ref);
  if (!("selected" in part)) next.selected = ref;
}

/** The number that the quiz asks for, or null. */
export const hiddenRef = (/** @type {State} */ state) =>
  state.view === "reveal" && !state.quiz.solved ? questionsOf(state)[state.quiz.question] : null;

const MERGED = ["training", "data", "samples", "test", "quiz", "plane", "depth"];

/**
 * The state after a change of some of its fields; throws a sentence where the change cannot be made.
 * @param {State} state
 * @param {any} part
 * @param {{initial: State, views: string[]}} page
 * @returns {State}
 */
export function changed(state, part, { initial, views }) {
  if (part === null || typeof part !== "object" || Array.isArray(part)) refuse("part", part);
  const unknown = Object.keys(part).find((key) => !(key in state));
  if (unknown) refuse("fields", "part", Object.keys(state).join(", "), unknown);
  /** @type {any} */
  const next = { ...state, ...part };
  for (const key of MERGED) {
    if (!part[key]) continue;
    const odd = Object.keys(part[key]).find((field) => !(field in /** @type {any} */ (state)[key]));
    if (odd) refuse("fields", key, Object.keys(/** @type {any} */ (state)[key]).join(", "), odd);
    next[key] = { .../** @type {any} */ (state)[key], ...part[key] };
  }
  checkName("loss", next.loss, Object.keys(LOSSES));
  checkSettings(next, [...Object.keys(SCHEMES), "given"]);
  settleNetwork(next, state, part, initial);
  settleSamples(next, state, part, initial);
  checkNetwork(next);
  checkSamples(next);
  settleView(next, state, part, views);
  settleBroken(next, state, part);
  settleQuiz(next, state, part, views);
  settleTraining(next, state, part);
  if (!("replay" in part) && (next.params !== state.params || next.sizes !== state.sizes))
    next.replay = null;
  return next;
}
