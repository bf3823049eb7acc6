// What a broken rule makes wrong on screen.
import { valueOf } from "./formulas.js";
import { compare } from "./judge.js";
import { memo } from "./memo.js";
import { MISTAKES } from "./mistakes.js";
import { mlp, right, row, state, trace } from "./store.js";

const NONE = { culprits: [], later: [], all: [] };
const found = memo((now, broken, expected, at) => {
  const { wrong } = compare(mlp(), at, now, expected);
  const own = (ref) => MISTAKES[broken].formula(state(), ref) !== undefined;
  return { all: wrong, culprits: wrong.filter(own), later: wrong.filter((ref) => !own(ref)) };
});

// Culprits, whose own rule was replaced, and what was computed from them later.
export const wrongNumbers = () =>
  state().broken ? found(trace(), state().broken, right(), row()) : NONE;
export const rightValue = (ref) => valueOf(right(), row(), ref);
