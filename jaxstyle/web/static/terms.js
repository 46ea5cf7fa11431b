// How the parts of the loss fall while a picture is painted.

import { byId, make, shown } from "./dom.js";

const TERMS = { content: "photograph", style: "painting", nearest: "scene", tv: "smoothness" };
let history = {};

export function clearTerms() {
  history = {};
  byId("terms").replaceChildren();
}

export function drawTerms(found) {
  for (const [name, word] of Object.entries(TERMS).filter(([name]) => name in found)) {
    history[name] = [...(history[name] ?? []), found[name]].slice(-120);
    const entry = byId("terms").querySelector(`[data-term=${name}]`) ?? add(name, word);
    entry.querySelector("dd").textContent = shown(found[name]);
    entry.querySelector("polyline").setAttribute("points", line(history[name]));
  }
}

function add(name, word) {
  const entry = make("div", { "data-term": name }, make("dt", {}, word), make("dd", {}), make("dd", { class: "line" }));
  entry.lastChild.innerHTML = '<svg viewBox="0 0 130 30" aria-hidden="true"><polyline fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/></svg>';
  byId("terms").append(entry);
  return entry;
}

function line(values) {
  const logs = values.map((value) => Math.log(Math.max(value, 1e-12)));
  const low = Math.min(...logs), span = Math.max(...logs) - low || 1;
  return logs.map((value, i) => `${(2 + (126 * i) / Math.max(1, logs.length - 1)).toFixed(1)},${(27 - (24 * (value - low)) / span).toFixed(1)}`).join(" ");
}
