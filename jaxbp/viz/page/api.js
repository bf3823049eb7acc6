// window.jaxbp: what pages that embed this one, and tests, call; the page's own controls change the same state.
//
//   state()        the whole state as plain JSON
//   set(part)      changes fields of it, as one action; throws a sentence where it cannot
//   undo(), redo(), reset()
//   step(n = 1)    steps of training, as one action
//   numbers()      all numbers of both passes over all samples, named as in jaxbp.Trace
//   link()         the address that opens exactly this state
//
// The same by postMessage: {jaxbp: "set", arguments: [...], id} is answered by {jaxbp: "set", id, result} or {..., error}.
import { numbersOf } from "./export.js";
import { link } from "./frame.js";
import { checkNumber } from "./state.js";
import * as page from "./store.js";
import { trained } from "./training.js";

const copy = (value) => JSON.parse(JSON.stringify(value));

export const api = {
  state: () => copy(page.state()),
  set: (part) => {
    page.change(copy(part));
    return api.state();
  },
  undo: () => page.undo(),
  redo: () => page.redo(),
  reset: () => page.reset(),
  step: (count = 1) => {
    checkNumber("step", count, 1, 1e6, true);
    page.change(trained(page.state(), count));
    return api.numbers().loss;
  },
  numbers: () => copy(numbersOf()),
  link: () => link()
};

export function offer() {
  Object.assign(window, { jaxbp: api });
  addEventListener("message", ({ data: asked, source, origin }) => {
    if (!asked || typeof asked !== "object" || typeof asked.jaxbp !== "string") return;
    if (!Object.hasOwn(api, asked.jaxbp) || "result" in asked || "error" in asked) return;
    const answer = { jaxbp: asked.jaxbp, id: asked.id ?? null };
    try {
      answer.result = api[asked.jaxbp](...(asked.arguments ?? [])) ?? null;
    } catch (error) {
      answer.error = error.message;
    }
    source?.postMessage(answer, { targetOrigin: origin === "null" || !origin ? "*" : origin });
  });
}
