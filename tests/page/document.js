// What the modules read of the document where there is none: their texts, in English.
import { readFileSync } from "node:fs";

const file = new URL("../../jaxbp/viz/page/words.json", import.meta.url);
const words = {};
for (const [key, { en, zh }] of Object.entries(JSON.parse(readFileSync(file, "utf8")))) {
  const [group, ...rest] = key.split(".");
  (words[group] ??= {})[rest.join(".")] = `${en}|${zh}`;
}
globalThis.document = {
  getElementById: () => ({ textContent: JSON.stringify(words) }),
  documentElement: { lang: "en" }
};
