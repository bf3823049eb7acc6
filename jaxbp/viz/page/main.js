// Builds the page, draws it after every change, and keeps its address.
import { offer } from "./api.js";
import * as check from "./check.js";
import * as depth from "./depth.js";
import * as frame from "./frame.js";
import { fitWindow } from "./layout.js";
import { isPlaying } from "./live.js";
import * as network from "./network.js";
import * as opening from "./opening.js";
import * as plane from "./plane.js";
import * as reveal from "./reveal.js";
import * as selected from "./selected.js";
import * as settings from "./settings.js";
import * as page from "./store.js";
import * as timeline from "./timeline.js";
import * as tip from "./tip.js";
import * as trainingView from "./training_view.js";
import { say, speak } from "./words.js";

const VIEWS = {
  opening: [opening.build, opening.render],
  walk: [selected.build, selected.render],
  check: [check.build, check.render],
  plane: [plane.build, plane.render],
  training: [trainingView.build, trainingView.render],
  depth: [depth.build, depth.render],
  reveal: [reveal.build, reveal.render]
};
const PAUSE = 150; // milliseconds between two writings of the address

function render() {
  frame.render();
  network.render();
  timeline.render();
  settings.render();
  VIEWS[page.state().view][1]();
  tip.render();
}

let timer = null;
function keepAddress() {
  timer ??= setTimeout(() => {
    timer = null;
    if (isPlaying()) return keepAddress();
    try {
      history.replaceState(null, "", frame.link());
    } catch {
      // A document without an address of its own, such as srcdoc, keeps none.
    }
  }, PAUSE);
}

// The whole page in the language that it speaks; its state stays as it is.
function build() {
  const { title, views } = page.data;
  document.title = title || (views[0] === "opening" ? say("title") : page.initial.sizes.join("-"));
  for (const id of ["frame", "settings", "network", "side", "timeline", "sheets"]) {
    const part = document.getElementById(id);
    part.replaceChildren();
    if (id !== "frame") part.setAttribute("aria-label", say(id));
  }
  frame.build();
  network.build(document.getElementById("network"));
  timeline.build(document.getElementById("timeline"));
  settings.build(document.getElementById("settings"));
  for (const name of views) VIEWS[name][0](document.getElementById(`panel-${name}`));
  tip.build();
}

function start() {
  const fragment = location.hash.slice(1);
  document.body.classList.toggle("embed", page.data.embed || /[?&]embed\b/.test(location.search));
  fitWindow();
  build();
  openAddress(fragment);
  page.onChange(render);
  page.onChange(keepAddress);
  addEventListener("hashchange", () => {
    if (location.hash !== new URL(frame.link()).hash) openAddress(location.hash.slice(1), true);
  });
  addEventListener("languagechange", () => {
    build();
    render();
    keepAddress();
  });
  addEventListener("resize", () => {
    fitWindow();
    render();
  });
  offer();
  render();
}

// An address that cannot be read opens the page as it is.
function openAddress(fragment, asAction = false) {
  const [code, language] = fragment.split(".");
  if (speak(language)) build();
  try {
    (asAction ? page.openAsAction : page.open)(code);
  } catch (error) {
    document.getElementById("badge").title = error.message;
  }
}

start();
