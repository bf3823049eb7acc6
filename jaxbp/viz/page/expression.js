// Formulas typed by the reader, such as sin(x) + x*cos(y): + - * / ^, brackets, functions, x, y, pi and e.
import { refuse } from "./words.js";

const FUNCTIONS = ["sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh"];
const CONSTANTS = { pi: Math.PI, e: Math.E };

// Returns the names of the variables and a function of their values; throws a sentence where it cannot be read.
export function compileFormula(text) {
  const tokens = text.match(/(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[a-z]+|\S/gi) ?? [];
  const variables = new Set();
  let next = 0;
  const fail = () => refuse("formula", FUNCTIONS.join(", "), tokens.slice(0, next + 1).join(" "));
  const take = (...wanted) => (wanted.includes(tokens[next]) ? tokens[next++] : null);

  function chain(operand, operators) {
    let left = operand();
    for (let mark = take(...Object.keys(operators)); mark; mark = take(...Object.keys(operators))) {
      const [one, other, operate] = [left, operand(), operators[mark]];
      left = (at) => operate(one(at), other(at));
    }
    return left;
  }
  const sums = () => chain(products, { "+": (a, b) => a + b, "-": (a, b) => a - b });
  const products = () => chain(signed, { "*": (a, b) => a * b, "/": (a, b) => a / b });
  function signed() {
    if (take("-")) {
      const inner = signed();
      return (at) => -inner(at);
    }
    take("+");
    return power();
  }
  function power() {
    const base = atom();
    if (!take("^")) return base;
    const exponent = signed();
    return (at) => base(at) ** exponent(at);
  }
  function atom() {
    if (take("(")) {
      const inner = sums();
      if (!take(")")) fail();
      return inner;
    }
    const token = tokens[next];
    if (FUNCTIONS.includes(token)) {
      next++;
      if (tokens[next] !== "(") fail();
      const inner = atom();
      return (at) => Math[token](inner(at));
    }
    if (token in CONSTANTS) return (next++, () => CONSTANTS[token]);
    if (token === "x" || token === "y") return (next++, variables.add(token), (at) => at[token]);
    if (token !== undefined && Number.isFinite(Number(token))) return (next++, () => Number(token));
    return fail();
  }

  const value = sums();
  if (next < tokens.length) fail();
  return { variables: [...variables].sort(), value };
}
