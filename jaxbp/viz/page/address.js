// The state in the address of the page: what differs from the page's opening, compressed.
//
// Parameters are written only where they differ from the opening's or from what seed and scheme give: as numbers where
// they are few, as their bytes otherwise. The text is compressed by LZW and written in base64url.
import { drawSamples } from "./datasets.js";
import { init } from "./start.js";
import { refuse } from "./words.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** LZW with codes as wide as the table needs; bytes in, base64url out. @param {string} text */
export function compress(text) {
  const bytes = new TextEncoder().encode(text);
  const table = new Map(Array.from({ length: 256 }, (_, k) => [String.fromCharCode(k), k]));
  let out = "";
  let bits = 0;
  let held = 0;
  const emit = (/** @type {number} */ code) => {
    const width = Math.max(9, Math.ceil(Math.log2(table.size + 1)));
    for (let k = width - 1; k >= 0; k--) {
      held = (held << 1) | ((code >> k) & 1);
      if (++bits === 6) {
        out += ALPHABET[held];
        bits = held = 0;
      }
    }
  };
  let word = "";
  for (const byte of bytes) {
    const letter = String.fromCharCode(byte);
    if (table.has(word + letter)) word += letter;
    else {
      emit(/** @type {number} */ (table.get(word)));
      table.set(word + letter, table.size);
      word = letter;
    }
  }
  if (word) emit(/** @type {number} */ (table.get(word)));
  return bits ? out + ALPHABET[held << (6 - bits)] : out;
}

/** @param {string} code @returns {string} */
export function expand(code) {
  const table = Array.from({ length: 256 }, (_, k) => String.fromCharCode(k));
  let place = 0;
  const next = () => {
    // The writer's table is one word ahead, except at the start.
    const size = table.length + (before === null ? 0 : 1);
    const width = Math.max(9, Math.ceil(Math.log2(size + 1)));
    if (place + width > 6 * code.length) return null;
    let value = 0;
    for (let k = 0; k < width; k++, place++) {
      const digit = ALPHABET.indexOf(code[Math.floor(place / 6)]);
      if (digit < 0) refuse("address");
      value = (value << 1) | ((digit >> (5 - (place % 6))) & 1);
    }
    return value;
  };
  /** @type {string | null} */
  let before = null;
  let text = "";
  for (let code_ = next(); code_ !== null; code_ = next()) {
    if (before === null ? code_ > 255 : code_ > table.length) refuse("address");
    const word = /** @type {string} */ (
      code_ < table.length
        ? table[code_]
        : /** @type {string} */ (before) + /** @type {string} */ (before)[0]
    );
    if (before !== null) table.push(before + word[0]);
    text += word;
    before = word;
  }
  return new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
}

/** Numbers as text: shortest digits, or their bytes where that is shorter. @param {number[]} numbers */
function packNumbers(numbers) {
  const digits = JSON.stringify(numbers);
  if (digits.length < 10 * numbers.length && !digits.includes("null")) return numbers;
  const bytes = new Uint8Array(new Float64Array(numbers).buffer);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
/** @param {any} packed @returns {number[]} */
function unpackNumbers(packed) {
  if (Array.isArray(packed)) return packed;
  return [...new Float64Array(Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)).buffer)];
}

/** @param {any} layers @returns {number[]} */
const flat = (layers) =>
  layers.flatMap((/** @type {any} */ { weight, bias }) => [...weight.flat(), ...(bias ?? [])]);
/** @param {number[]} numbers @param {any} like */
function shaped(numbers, like) {
  let next = 0;
  return like.map((/** @type {any} */ { weight, bias }) => ({
    weight: weight.map((/** @type {number[]} */ row) => row.map(() => numbers[next++])),
    bias: bias && bias.map(() => numbers[next++])
  }));
}

/** A tree of parameters as its difference from another of the same shape. @param {any} layers @param {any} base */
function packParams(layers, base) {
  const numbers = flat(layers);
  const others = flat(base);
  const places = numbers.flatMap((x, k) => (Object.is(x, others[k]) ? [] : [k]));
  if (!places.length) return 0;
  if (places.length < numbers.length / 2)
    return { at: places, to: packNumbers(places.map((k) => numbers[k])) };
  return packNumbers(numbers);
}
/** @param {any} packed @param {any} base */
function unpackParams(packed, base) {
  if (packed === 0) return base;
  if (typeof packed === "string" || Array.isArray(packed))
    return shaped(unpackNumbers(packed), base);
  const numbers = flat(base);
  const values = unpackNumbers(packed.to);
  packed.at.forEach((/** @type {number} */ place, /** @type {number} */ k) => {
    numbers[place] = values[k];
  });
  return shaped(numbers, base);
}

const same = (/** @type {any} */ a, /** @type {any} */ b) =>
  a === b || JSON.stringify(a) === JSON.stringify(b);

/** Parameters that seed and scheme give, or the opening's. @param {any} state @param {any} initial */
const baseParams = ({ sizes, seed, scheme, bias }, initial) =>
  scheme === "given" ? initial.params : init(sizes, seed, scheme, bias);
/** Samples that the data set gives, or null. @param {any} state @param {any} initial */
function baseSamples({ data }, initial) {
  if (data.name === "given")
    return { samples: initial.samples, test: initial.test, units: initial.units };
  return data.name === "own" ? null : drawSamples(data);
}

const HISTORY = 60; // points of the curve in an address
const OWN = ["params", "samples", "test", "units", "training"]; // fields written in their own way

/** The fields of one object that differ from another's. @param {any} one @param {any} other @param {string[]} without */
const difference = (one, other, without) =>
  Object.fromEntries(
    Object.keys(one)
      .filter((key) => !without.includes(key) && !same(one[key], other[key]))
      .map((key) => [key, one[key]])
  );

/** @param {any} training @param {any} initial @param {any} base */
function packTraining(training, initial, base) {
  const { start, memory, history } = training;
  const part = difference(training, initial, ["start", "memory", "history"]);
  if (start) part.start = packParams(start, base);
  if (memory)
    part.memory = Object.fromEntries(
      Object.entries(memory).map(([key, value]) => [
        key,
        Array.isArray(value) ? packNumbers(flat(value)) : value
      ])
    );
  const every = Math.ceil(history.length / HISTORY);
  const last = history.length - 1;
  const short = (/** @type {number} */ x) => (Number.isFinite(x) ? Number(x.toPrecision(4)) : null);
  if (history.length)
    part.history = history
      .filter((/** @type {any} */ _, /** @type {number} */ k) => k % every === 0 || k === last)
      .map((/** @type {number[]} */ row) => row.map(short));
  return part;
}

/** @param {any} state @param {any} initial @returns {string} */
export function packState(state, initial) {
  const part = difference(state, initial, OWN);
  const base = baseParams(state, initial);
  const params = packParams(state.params, base);
  if (params !== 0) part.params = params;
  /** @type {any} */
  const drawn = baseSamples(state, initial);
  for (const key of ["samples", "test", "units"])
    if (!drawn || !same(state[key], drawn[key])) part[key] = state[key];
  const training = packTraining(state.training, initial.training, base);
  if (Object.keys(training).length) part.training = training;
  return Object.keys(part).length ? compress(JSON.stringify(part)) : "";
}

/** The state that an address holds. @param {string} code @param {any} initial @returns {any} */
export function unpackState(code, initial) {
  if (!code) return initial;
  const part = JSON.parse(expand(code));
  const state = { ...initial, ...part };
  const base = baseParams(state, initial);
  state.params = unpackParams(part.params ?? 0, base);
  const drawn = baseSamples(state, initial);
  for (const key of ["samples", "test", "units"])
    state[key] = part[key] ?? /** @type {any} */ (drawn)?.[key] ?? null;
  const { start, memory, history, ...settings } = part.training ?? {};
  state.training = {
    ...initial.training,
    ...settings,
    start: start === undefined ? null : unpackParams(start, base),
    memory: memory
      ? Object.fromEntries(
          Object.entries(memory).map(([key, value]) => [
            key,
            ["sigma", "step"].includes(key) ? value : shaped(unpackNumbers(value), state.params)
          ])
        )
      : null,
    history: history ?? []
  };
  return state;
}
