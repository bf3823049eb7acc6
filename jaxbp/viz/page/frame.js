// The frame: title, badge, undo and redo, sharing, export, theme; and the tabs of the right column.
import * as badge from "./badge.js";
import { button, make, targetOf } from "./dom.js";
import { EXPORTS } from "./export.js";
import { layOut } from "./layout.js";
import * as page from "./store.js";
import { say, speakOther, suffix } from "./words.js";

let subtitle, undoButton, redoButton, shareButton, tabs, themeButton;

export function link() {
  const code = page.code() + suffix();
  return location.href.replace(/#.*$/, "") + (code ? `#${code}` : "");
}

async function copyLink() {
  const text = link();
  history.replaceState(null, "", text);
  let copied = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    copied = copyBySelection(text);
  }
  shareButton.textContent = say(copied ? "share.copied" : "share.address");
  setTimeout(() => {
    shareButton.textContent = say("share");
  }, 2000);
}
// Without the clipboard of the browser, as in a page from a file.
function copyBySelection(text) {
  const area = make("textarea", { class: "unseen", "aria-label": say("share") });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  shareButton.focus();
  return copied;
}

const THEMES = ["auto", "light", "dark"];
const theme = () => document.documentElement.dataset.theme ?? "auto";
const themeText = () => `${say("theme")}: ${say(`theme.${theme()}`)}`;
function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  document.documentElement.dataset.theme = next;
  themeButton.ariaLabel = themeButton.title = themeText();
}

// Asks before all changes are taken back; one undo brings them again.
function askReset(asker) {
  const box = make(
    "div",
    { class: "ask", role: "alertdialog", "aria-label": say("reset.ask") },
    make("span", {}, say("reset.ask")),
    button(say("reset"), () => (close(), page.reset()), { class: "main" }),
    button(say("reset.no"), () => close())
  );
  const close = () => {
    box.remove();
    asker.focus();
  };
  box.addEventListener("keydown", (event) => event.key === "Escape" && close());
  asker.after(box);
  box.querySelector("button").focus();
}

function exportMenu() {
  const menu = make(
    "details",
    { class: "menu", onkeydown: ({ key }) => key === "Escape" && (menu.open = false) },
    make("summary", { role: "button" }, say("export")),
    make(
      "div",
      { class: "bar" },
      ...Object.entries(EXPORTS).map(([key, save]) =>
        button(say(`export.${key}`), () => (save(), (menu.open = false)))
      )
    )
  );
  return menu;
}

addEventListener("keydown", (event) => {
  if (
    !(event.ctrlKey || event.metaKey) ||
    targetOf(event).closest?.("input[type=text], textarea, .typed")
  )
    return;
  const key = event.key.toLowerCase();
  if (key === "z") (event.shiftKey ? page.redo : page.undo)();
  else if (key === "y") page.redo();
  else return;
  event.preventDefault();
});

// main.js builds the page anew when it hears of another language.
function changeLanguage() {
  speakOther();
  dispatchEvent(new Event("languagechange"));
  /** @type {any} */ (document.querySelector(".language")).focus();
}

export function build() {
  subtitle = make("p", { class: "subtitle" });
  undoButton = button("↶", page.undo, {
    "aria-label": say("undo"),
    title: `${say("undo")} (Ctrl+Z)`
  });
  redoButton = button("↷", page.redo, {
    "aria-label": say("redo"),
    title: `${say("redo")} (Ctrl+Y)`
  });
  shareButton = button(say("share"), copyLink);
  const languageButton = button(say("language"), changeLanguage, { class: "language" });
  themeButton = button("◐", nextTheme, { title: themeText(), "aria-label": themeText() });
  const resetButton = button(say("reset"), () => askReset(resetButton));
  document
    .getElementById("frame")
    .append(
      make("div", { class: "heading" }, make("h1", {}, document.title), subtitle),
      badge.build(),
      make(
        "div",
        { class: "bar" },
        undoButton,
        redoButton,
        resetButton,
        shareButton,
        exportMenu(),
        languageButton,
        themeButton
      )
    );
  tabs = make("div", { id: "tabs", role: "tablist", "aria-label": say("views") });
  document.getElementById("side").append(tabs);
  for (const name of page.data.views) {
    tabs.append(
      button(say(`view.${name}`), () => page.change({ view: name }), {
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": `panel-${name}`
      })
    );
    document
      .getElementById("side")
      .append(
        make("div", { id: `panel-${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}` })
      );
  }
  tabs.onkeydown = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const open = [...tabs.children].filter((tab) => !tab.hidden);
    const next = open[(open.indexOf(document.activeElement) + by + open.length) % open.length];
    next.click();
    next.focus();
    event.preventDefault();
  };
  layOut();
}

export function render() {
  const { activations, sizes, loss, view } = page.state();
  const names = [...new Set(activations.map((name) => name.replace("_", " ")))];
  subtitle.textContent = `${sizes.join("-")} · ${names.join(", ")} · ${say(loss)}`;
  undoButton.disabled = !page.canUndo();
  redoButton.disabled = !page.canRedo();
  tabs.hidden = page.data.views.length === 1;
  for (const name of page.data.views) {
    const tab = document.getElementById(`tab-${name}`);
    tab.hidden = !page.openViews().includes(name);
    tab.setAttribute("aria-selected", String(view === name));
    tab.tabIndex = view === name ? 0 : -1;
    document.getElementById(`panel-${name}`).hidden = view !== name;
  }
  badge.render();
}
