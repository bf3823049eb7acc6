// The texts of the page in its language.
const words = JSON.parse(document.getElementById("words").textContent);

export function say(key, ...values) {
  if (!(key in words)) throw new Error(`words.json lacks ${key}`);
  return words[key].replace(/\{(\d)\}/g, (_, k) => values[k]);
}
export const has = (key) => key in words;
