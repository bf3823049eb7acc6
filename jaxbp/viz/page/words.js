// The texts of the page in the language that it speaks.
const words = JSON.parse(document.getElementById("words").textContent);
const LANGUAGES = ["en", "zh-Hans"];
let spoken = LANGUAGES.indexOf(document.documentElement.lang);
const opening = spoken;

const textOf = (key) => words[key.split(".", 1)[0]]?.[key.replace(/^[^.]*\.?/, "")];
export function say(key, ...values) {
  const texts = textOf(key);
  if (texts === undefined) throw new Error(`words.json lacks ${key}`);
  const [english, chinese = english] = texts.split("|");
  return [english, chinese][spoken].replace(/\{(\d)\}/g, (_, k) => values[k]);
}
export const has = (key) => textOf(key) !== undefined;

// Refuses with a sentence; values that are no text are written as JSON.
/** @returns {never} */
export function refuse(key, ...values) {
  const texts = values.map((one) => (typeof one === "string" ? one : JSON.stringify(one)));
  throw new Error(say(`refuse.${key}`, ...texts));
}

// The end of the address of a page that speaks another language than it opened in.
export const suffix = () => (spoken === opening ? "" : `.${LANGUAGES[spoken].slice(0, 2)}`);
// Whether the page has another language now.
export function speak(language) {
  const before = spoken;
  const wanted = LANGUAGES.findIndex((name) => language && name.startsWith(language));
  spoken = wanted < 0 ? opening : wanted;
  document.documentElement.lang = LANGUAGES[spoken];
  return spoken !== before;
}
export const speakOther = () => speak(LANGUAGES[1 - spoken]);
