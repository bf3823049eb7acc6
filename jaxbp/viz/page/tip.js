// The formula of the number that is pointed at or has the focus, where the right column shows something else.
import { make } from "./dom.js";
import { hoveredRef, onHover } from "./network.js";
import { describe } from "./selected.js";
import * as page from "./store.js";

let tip;

export function build() {
  tip?.remove();
  tip = make("div", { id: "tip", role: "tooltip", hidden: true });
  document.getElementById("views").append(tip);
}
onHover(render);
for (const kind of ["focusin", "focusout"]) addEventListener(kind, render);
addEventListener("keydown", ({ key }) => key === "Escape" && (tip.hidden = true));

export function render() {
  const focused = document.querySelector(".diagram [data-ref]:focus-visible");
  const ref = hoveredRef() ?? /** @type {any} */ (focused)?.dataset.ref;
  const element = ref && document.querySelector(`.diagram [data-ref="${ref}"]`);
  tip.hidden = !element || page.state().view === "walk" || !page.known(ref);
  if (tip.hidden) return;
  tip.replaceChildren(...describe(ref));
  const box = element.getBoundingClientRect();
  const below = box.bottom + tip.offsetHeight + 8 < innerHeight;
  tip.style.left = `${Math.max(0, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${below ? box.bottom + 4 : box.top - tip.offsetHeight - 4}px`;
}
