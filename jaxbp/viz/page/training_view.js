// The training view: runs recorded by jaxbp, where the page has some, and training in the page.
import { make } from "./dom.js";
import * as live from "./live.js";
import * as recorded from "./recorded.js";
import { say } from "./words.js";

export function build(panel) {
  if (recorded.runs.length) {
    const part = make("div");
    panel.append(part);
    recorded.build(part);
    panel.append(make("h2", {}, say("training.live")));
  }
  const part = make("div");
  panel.append(part);
  live.build(part);
}
export function render() {
  if (recorded.runs.length) recorded.render();
  live.render();
}
