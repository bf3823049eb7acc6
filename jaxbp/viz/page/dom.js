// Elements: one function to make any, and the controls of the page.
import { parseTyped } from "./format.js";

// The namespace of SVG, from the browser itself: the page holds no address, not even that one.
const SVG = (() => {
  const holder = document.createElement("div");
  holder.innerHTML = "<svg></svg>";
  return holder.firstElementChild.namespaceURI;
})();
const SVG_TAGS = ["svg", "path", "line", "circle", "rect", "text", "g", "polyline", "title"];

// make("button", {class: "number", onclick: f}, child, ...); false and null leave an attribute out.
export function make(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.includes(tag)
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "html") element.innerHTML = value;
    else if (value !== null && value !== undefined && value !== false)
      element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// What an event happened to, as an element.
export const targetOf = (event) => /** @type {any} */ (event.target);

export const button = (label, onclick, attributes = {}) =>
  make("button", { type: "button", ...attributes, onclick }, label);

// A button that plays and pauses; show(playing) tells it which of the two it does next.
export function playButton(toggle, play, pause) {
  const made = button("▶", toggle, { "aria-label": play, class: "main" });
  const show = (playing) => {
    made.textContent = playing ? "❚❚" : "▶";
    made.ariaLabel = playing ? pause : play;
  };
  return { element: made, show };
}

// A part that scrolls where it is wider or higher than its place, also by keys.
export const scrolled = (label, ...children) =>
  make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);
export const decimalField = (attributes) =>
  make("input", { type: "text", inputmode: "decimal", autocomplete: "off", ...attributes });

// Replaces what an element holds; the button in it that has the focus hands it on to the one in its place.
export function refill(parent, ...children) {
  const buttons = () => [...parent.querySelectorAll("button")];
  const at = buttons().indexOf(document.activeElement);
  parent.replaceChildren(...children);
  buttons()[at]?.focus();
}

// Controls read the state when they are drawn: {element, sync()}.

// A list of choices {value: label}; `disabled(value)` is the reason why one cannot be chosen, or null.
export function choice(label, options, get, set, disabled = (_value) => null) {
  const list = make(
    "select",
    { onchange: () => set(list.value) },
    ...Object.entries(options).map(([value, text]) => make("option", { value }, text))
  );
  return {
    element: make("label", { class: "control" }, make("span", {}, label), list),
    sync: () => {
      for (const option of list.options) {
        const reason = disabled(option.value);
        const text = options[option.value] + (reason ? `: ${reason}` : "");
        option.disabled = reason !== null;
        if (option.textContent !== text) option.textContent = text;
      }
      list.value = get();
    }
  };
}

export function checkbox(label, get, set) {
  const box = make("input", { type: "checkbox", onchange: () => set(box.checked) });
  return {
    element: make("label", { class: "control" }, box, make("span", {}, label)),
    sync: () => {
      box.checked = get();
    }
  };
}

// A number to type, with buttons to the next of some round numbers; what is typed is what is computed with.
export function numberField(label, get, set, steps, high, whole = false, low = 0) {
  const field = decimalField({
    size: 6,
    onchange: () => commit(parseTyped(field.value)),
    onkeydown: (event) => {
      if (event.key === "Escape") sync();
      const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!by) return;
      move(by);
      event.preventDefault();
    }
  });
  function commit(number) {
    const fine = number >= low && number <= high && (!whole || Number.isInteger(number));
    field.setAttribute("aria-invalid", String(!fine));
    field.title = fine ? "" : `${low} … ${high}`;
    if (fine) set(number);
  }
  function move(by) {
    const value = get();
    const places =
      by > 0 ? steps.filter((x) => x > value) : steps.filter((x) => x < value).reverse();
    if (places.length) commit(places[0]);
  }
  function sync() {
    if (document.activeElement === field && field.getAttribute("aria-invalid") === "true") return;
    field.value = String(get());
    field.setAttribute("aria-invalid", "false");
    field.title = "";
  }
  const less = button("−", () => move(-1), { "aria-label": `${label}: −`, tabindex: -1 });
  const more = button("+", () => move(1), { "aria-label": `${label}: +`, tabindex: -1 });
  return {
    element: make(
      "div",
      { class: "control" },
      make("label", {}, make("span", {}, label), " ", field),
      make("span", { class: "pair" }, less, more)
    ),
    sync
  };
}

// A row of a table; the first cell is its head.
export const cells = (tag, texts) =>
  make(
    "tr",
    {},
    ...texts.map((text, k) =>
      tag === "th"
        ? make("th", { scope: "col", html: text })
        : make(k ? "td" : "th", { scope: k ? null : "row", html: text })
    )
  );
export const table = (head, rows) =>
  make(
    "table",
    {},
    make("thead", {}, cells("th", head)),
    make("tbody", {}, ...rows.map((row) => cells("td", row)))
  );

// Saves a text as a file.
export function download(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
