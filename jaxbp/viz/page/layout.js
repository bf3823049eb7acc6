// The window: the whole page in a large one; in a small one settings and the right column are sheets from
// below, one at a time.
import { button } from "./dom.js";
import { narrow, wide } from "./store.js";
import { say } from "./words.js";

// Whether the page fits its window: the network is then scaled to the room that is left.
export function fitWindow() {
  const embedded = document.body.classList.contains("embed");
  const whole = embedded
    ? !narrow.matches && innerHeight >= 360
    : wide.matches && innerHeight >= 560;
  document.body.classList.toggle("whole", whole);
}

export function layOut() {
  const bar = document.getElementById("sheets");
  const toggle = (name) => (event) => {
    const open = document.body.dataset.sheet === name ? "" : name;
    document.body.dataset.sheet = open;
    for (const other of /** @type {any} */ (bar.children))
      other.setAttribute("aria-expanded", String(other.dataset.of === open));
    if (open && event)
      /** @type {any} */ (document.querySelector(`#${open} :is(button, select, summary)`))?.focus();
  };
  for (const name of ["settings", "side"])
    bar.append(
      button(say(`sheet.${name}`), toggle(name), { "data-of": name, "aria-expanded": "false" })
    );
  if (narrow.matches && innerHeight >= 600) toggle("side")(null);
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.dataset.sheet && !event.defaultPrevented) {
    /** @type {any} */
    const open = document.querySelector(`[data-of="${document.body.dataset.sheet}"]`);
    open.click();
    open.focus();
  }
});
