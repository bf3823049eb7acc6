// Numbers as text, the same way everywhere.

// About four significant digits in at most eight characters.
export function format(number, digits = 4) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  let text = "0";
  if (size >= 10 ** (digits + 1) || (size > 0 && size < 1e-3))
    text = number.toExponential(Math.max(1, digits - 3));
  else if (size > 0)
    text = number.toFixed(
      Math.min(digits + 1, Math.max(0, digits - 1 - Math.floor(Math.log10(size))))
    );
  return text.replace(/-/g, "−").replace("e+", "e");
}

// A given number (weight, bias, input, target, rate) as it was given, where it is short.
export const formatGiven = (number, digits = 4) => {
  const short = String(number);
  return short.length <= digits + 3 ? short.replace("-", "−") : format(number, digits);
};

// Two numbers with as many digits as it takes to tell them apart.
export function formatApart(one, other) {
  for (let digits = 5; digits < 17; digits++) {
    const texts = [format(one, digits), format(other, digits)];
    if (texts[0] !== texts[1]) return texts;
  }
  return [String(one), String(other)];
}

export const formatShare = (share) =>
  share >= 0.01 || share === 0
    ? String(Number(share.toPrecision(2)))
    : share.toExponential(1).replace("-", "−");

// A number that a reader typed, with a comma or a minus sign of any kind; NaN where it is none.
export function parseTyped(text) {
  const plain = text.trim().replace(/[−–]/g, "-").replace(",", ".");
  return plain === "" ? NaN : Number(plain);
}

// A power of ten at a tick of an axis.
export const formatPower = (exponent) =>
  Math.abs(exponent) < 4
    ? String(Number((10 ** exponent).toFixed(3)))
    : `1e${exponent}`.replace("-", "−");
