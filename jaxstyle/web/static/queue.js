// The visitor's runs: those that wait or are painted, and those that are finished.

import { post } from "./api.js";
import { byId, make, say, trouble } from "./dom.js";
import * as stage from "./stage.js";

const AGAIN = 2000; // milliseconds until a silent server is asked once more
const runs = new Map();
let source = null, following = true, onLost;

const { over } = stage;
const busy = () => [...runs.values()].filter((run) => !over(run));
const finished = () => [...runs.values()].filter((run) => over(run) && run.results.length);

export function setUp(found, lost) {
  onLost = lost;
  byId("stop").addEventListener("click", () => stop(stage.current()));
  for (const run of found) runs.set(run.id, run);
  const shown = busy()[0] ?? finished().at(-1);
  if (shown) stage.show(shown);
  finished().forEach(keepPreview);
  if (busy().length) follow();
  draw();
}

export async function add(wish) {
  try {
    const run = await post("/api/runs", wish);
    const first = !busy().length;
    runs.set(run.id, run);
    following = true;
    if (first) {
      stage.show(run);
      byId("stage").scrollIntoView({ block: "start" });
      byId("stop").focus({ preventScroll: true });
    } else say(`Added to the queue: ${run.content.name}.`);
    follow();
    draw();
  } catch (error) {
    if (error.lost && !wish.from) throw error;
    trouble(error);
  }
}

function follow() {
  if (source) return;
  source = new EventSource("/api/events");
  source.addEventListener("ping", () => post("/api/alive").catch(() => {}));
  source.onmessage = (event) => see(JSON.parse(event.data));
  source.onerror = () => {
    leave();
    if (busy().length) reconnect();
  };
}

function leave() {
  source?.close();
  source = null;
}

async function reconnect() {
  let told = false;
  for (;;) {
    try {
      const { new: fresh, runs: found } = await post("/api/session");
      if (fresh) return void (await onLost());
      if (told) say("The server answers again.");
      found.forEach(see);
      if (busy().length) follow();
      return;
    } catch (error) {
      if (!error.silent) return trouble(error);
      if (!told) say("The server does not answer. Start it again, and this page continues.");
      told = true;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }
}

// The server has lost all runs; finished ones stay as previews.
export function lose() {
  leave();
  for (const run of runs.values()) {
    run.lost = true;
    if (!over(run)) runs.delete(run.id);
  }
  if (!over(stage.current() ?? { state: "done" })) stage.leave();
  else if (stage.current()) stage.show(stage.current());
  draw();
}

async function see(run) {
  const ended = over(run) && !over(runs.get(run.id) ?? {});
  runs.set(run.id, run);
  if (!busy().length) leave();
  const current = stage.current();
  if (current?.id === run.id || (following && !over(run) && run.state !== "waiting" && (!current || over(current)))) stage.show(run);
  if (ended) await keepPreview(run);
  draw();
}

// The page's own copies outlive the server.
async function keepPreview(run) {
  const copy = async (path) => {
    const answer = await fetch(path);
    return answer.ok ? URL.createObjectURL(await answer.blob()) : path;
  };
  if (!run.results.length) return;
  run.before = await copy(stage.photographOf(run)).catch(() => {});
  run.previews = await Promise.all(run.results.map((_, i) => copy(stage.resultOf(run, i)))).catch(() => []);
  draw();
}

async function stop(run) {
  byId("stop").disabled = true;
  try {
    see(await post(`/api/runs/${run.id}/stop`));
  } catch (error) {
    trouble(error, byId("progress"));
  }
}

const percent = (run) => (run.fraction == null ? "" : ` ${Math.round(run.fraction * 100)} %`);

function stateOf(run) {
  if (run.stopping) return "Stopping";
  if (run.state === "waiting") return run.ahead === 1 ? "Waits for one picture" : `Waits for ${run.ahead} pictures`;
  return run.state === "preparing" ? "Preparing" : `Painting${percent(run)}`;
}

function draw() {
  const waiting = busy();
  byId("queue").hidden = waiting.length < 2;
  const rows = new Map([...byId("queue-list").children].map((row) => [row.dataset.run, row]));
  byId("queue-list").replaceChildren(...waiting.map((run) => {
    const row = rows.get(run.id) ?? make("li", { "data-run": run.id }, make("img", { src: stage.photographOf(run), alt: "" }),
      make("span", {}, `${run.content.name} × ${run.styles.map(({ name }) => name).join(", ")}`), make("small", {}),
      make("button", { type: "button", class: "link", "aria-label": `Stop ${run.content.name}`, click: () => stop(run) }, "Stop"));
    row.querySelector("small").textContent = stateOf(run);
    return row;
  }));
  const done = finished(), shown = stage.current()?.id;
  byId("earlier").hidden = !done.length;
  const list = byId("earlier-list"), state = JSON.stringify([shown, done.map(({ id, previews, lost }) => [id, previews, lost])]);
  if (list.dataset.state === state) return;
  list.dataset.state = state;
  list.replaceChildren(...done.map((run) => {
    const name = `${run.kind === "sheet" ? "Strengths of " : ""}${run.content.name} × ${run.styles.map(({ name }) => name).join(", ")}`;
    const button = make("button", { type: "button", title: name, click: () => {
      following = false;
      stage.show(run);
      draw();
    } }, make("img", { src: run.previews?.[0] ?? stage.resultOf(run, 0), alt: name }));
    if (run.id === shown) button.setAttribute("aria-current", "true");
    return button;
  }));
}
