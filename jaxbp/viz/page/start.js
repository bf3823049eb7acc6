// Parameters drawn from a seed, the same ones for the same seed in every browser.
import { mapParams } from "./engine.js";

// Uniform numbers in [0, 1) from a seed.
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
export const normal = (uniform) =>
  Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());

// A permutation of 0..count - 1.
export function shuffled(count, uniform) {
  const order = [...Array(count).keys()];
  for (let k = count - 1; k > 0; k--) {
    const other = Math.floor((k + 1) * uniform());
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}

// (fan_in, fan_out, uniform) -> one weight.
export const SCHEMES = {
  glorot: (fanIn, fanOut, uniform) => Math.sqrt(6 / (fanIn + fanOut)) * (2 * uniform() - 1),
  he: (fanIn, fanOut, uniform) => Math.sqrt(2 / fanIn) * normal(uniform),
  uniform: (fanIn, fanOut, uniform) => 2 * uniform() - 1,
  normal: (fanIn, fanOut, uniform) => normal(uniform),
  zeros: () => 0
};

// Three decimals for the numbers on screen to be the numbers computed with.
const rounded = (number) => Math.round(number * 1000) / 1000 || 0;

export function init(sizes, seed, scheme, biased = true) {
  const uniform = generator(seed);
  const params = sizes.slice(1).map((size, k) => ({
    weight: Array.from({ length: sizes[k] }, () =>
      Array.from({ length: size }, () => SCHEMES[scheme](sizes[k], size, uniform))
    ),
    bias: biased ? new Array(size).fill(0) : null
  }));
  return mapParams(rounded, params);
}
