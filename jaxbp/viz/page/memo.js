// Remembers the last result of a function for as long as it is given the very same arguments.
export function memo(compute) {
  let last = null;
  let result;
  return (...given) => {
    if (!last || given.length !== last.length || given.some((value, k) => value !== last[k])) {
      result = compute(...given);
      last = given;
    }
    return result;
  };
}
