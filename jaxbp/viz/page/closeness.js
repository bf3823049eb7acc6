// Whether a typed answer is right: as far as the digits typed and the digits shown allow.

// Right within one per cent, within the rounding of the digits typed (two or more), or within `slack`, how far the
// digits shown leave the result open.
export function isClose(typed, text, value, slack = 0) {
  const [mantissa, exponent] = text.split(/[eE]/);
  const decimals = (mantissa.split(".")[1] ?? "").length;
  const power = Number(exponent ?? 0);
  const digits = mantissa.replace(/^[-0.]+|\D/g, "").length;
  const rounding = digits >= 2 ? 0.500001 * 10 ** (power - decimals) : 0;
  const allowed = Math.abs(value) > rounding ? rounding : 0;
  return Math.abs(typed - value) <= Math.max(0.01 * Math.abs(value), allowed, slack, 1e-12);
}

// How far a formula leaves its result open where each factor is known to within {rounded, half} as it is shown:
// every factor moved by what its shown digits leave open, one after the other.
export function slackOf(evaluate, refs, get, shown) {
  const value = evaluate(get);
  if (!Number.isFinite(value)) return 0;
  let slack = 0;
  for (const ref of refs) {
    const { rounded, half } = shown(ref);
    const by = Math.max(Math.abs(rounded - get(ref)), half);
    const moved = [1, -1].map((sign) =>
      evaluate((other) => get(other) + (other === ref ? sign * by : 0))
    );
    slack += Math.max(...moved.map((x) => (Number.isFinite(x) ? Math.abs(x - value) : 0)));
  }
  return slack;
}
