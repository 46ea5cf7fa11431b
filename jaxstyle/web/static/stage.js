// The picture: as it develops, when it is done, beside the photograph, and those before it.

import { ask, byId, make, post, say, trouble } from "./api.js";

const PRINTS = [1024, 1536, 2048, 3072, 3508, 4096];
const TERMS = { content: "content", style: "style", tv: "smoothness" };
const runs = [];
let source = null, current = null, shownResult = 0, limits, goOn = () => {}, change = () => {};
let history = {}, failed = 0;
const AGAIN = 3000; // milliseconds until the server is asked once more

export function setUp(told, onGoOn, onChange) {
  limits = told.limits;
  goOn = onGoOn;
  change = onChange;
  byId("stop").addEventListener("click", stop);
  byId("print").addEventListener("click", () => start({ kind: "print", from: current.id, result: shownResult, size: Number(byId("print-size").value) }));
}

export const painting = () => source !== null;

export async function start(wish) {
  trouble(null);
  try {
    watch(await post("/api/runs", wish));
    byId("stage").scrollIntoView({ block: "start" });
    byId("stop").focus({ preventScroll: true });
  } catch (error) {
    trouble(error);
  }
}

// Shows what is there of an earlier look at this page.
export function restore(found) {
  runs.push(...found.filter((run) => run.results.length));
  const last = found.at(-1);
  if (last && !over(last)) watch(last);
  else if (runs.length) show(runs.at(-1));
}

const over = (run) => ["done", "stopped", "failed"].includes(run.state);

function watch(run) {
  source?.close();
  history = {};
  failed = 0;
  byId("terms").replaceChildren();
  byId("canvas").replaceChildren();
  byId("grid").replaceChildren();
  source = new EventSource(`/api/runs/${run.id}/events`);
  source.addEventListener("ping", () => post(`/api/runs/${run.id}/alive`).catch(() => {}));
  source.onmessage = (event) => {
    failed = 0;
    see(JSON.parse(event.data));
  };
  source.onerror = () => lost(run.id);
  see(run);
  change();
}

// The browser opens the stream again by itself, for ever where there is no server any more; what was
// refused it does not. So the server is asked: two answers that do not come, and it is gone.
async function lost(id) {
  const stream = source;
  let run;
  try {
    run = await ask(`/api/runs/${id}`);
    failed = 0;
  } catch (error) {
    if (stream !== source || !source) return;
    if (error.gone || ++failed > 1) {
      end();
      say("");
      trouble(error.gone ? error : new Error("the server is gone; start it again and load this page"));
      return;
    }
  }
  if (stream !== source || !source) return;
  if (run && over(run)) see(run);
  else if (source.readyState === EventSource.CLOSED) setTimeout(() => stream === source && (run ? watch(run) : lost(id)), AGAIN);
}

function end() {
  source?.close();
  source = null;
  byId("progress").hidden = true;
  change();
}

function see(run) {
  current = run;
  byId("empty").hidden = true;
  byId("finished").hidden = true;
  if (over(run)) finish(run);
  else progress(run);
}

function progress(run) {
  byId("progress").hidden = false;
  byId("stop").disabled = run.stopping;
  const bar = byId("bar");
  if (run.fraction == null) bar.removeAttribute("value");
  else bar.value = run.fraction;
  byId("told").textContent = told(run);
  const words = { waiting: "Waiting for its turn.", preparing: "Preparing: the programs are compiled, which takes half a minute at most.", painting: "Painting." }[run.state];
  if (byId("status").textContent !== words) say(run.stopping ? "Stopping; the picture is kept." : words);
  if (run.terms) terms(run.terms);
  if (run.kind === "sheet") sheet(run);
  else develop(run);
}

function told(run) {
  if (run.state === "waiting") return run.ahead === 1 ? "One picture before yours." : run.ahead ? `${run.ahead} pictures before yours.` : "Yours is next.";
  if (run.fraction == null) return "";
  const left = run.left == null ? "" : ` · ${duration(run.left)} left`;
  return `${Math.round(run.fraction * 100)} % · step ${run.step} of ${run.steps} at ${run.shape[1]} × ${run.shape[0]}${left}`;
}

const duration = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);
const before = (run) => `/api/pictures/${run.content}`;
const resultUrl = (run, i) => `/api/runs/${run.id}/results/${i}/preview`;

function develop(run) {
  byId("grid").hidden = true;
  const canvas = byId("canvas");
  canvas.hidden = false;
  let frame = canvas.querySelector(".frame.live");
  if (!frame) {
    frame = make("div", { class: "frame live fresh" }, make("img", { src: before(run), alt: "The picture as it develops", id: "developing" }));
    canvas.replaceChildren(frame);
    fit(frame, null);
  }
  if (run.preview) {
    // Decoded first: a picture that is half there would flicker.
    const next = new Image();
    next.src = `/api/runs/${run.id}/preview?v=${run.preview}`;
    next.decode().then(() => {
      frame.classList.remove("fresh");
      const image = frame.querySelector("img");
      image.src = next.src;
      image.dataset.version = run.preview;
    }).catch(() => {});
  }
}

// As wide as the stage, but no higher than the window.
function fit(frame, shape) {
  const image = frame.querySelector("img");
  const size = () => {
    const ratio = shape ? shape[1] / shape[0] : image.naturalWidth / image.naturalHeight;
    frame.style.width = `min(100%, calc(${ratio} * min(76vh, 900px)))`;
  };
  if (shape || image.complete && image.naturalWidth) size();
  else image.addEventListener("load", size, { once: true });
}

function terms(found) {
  const list = byId("terms");
  for (const [name, word] of Object.entries(TERMS)) {
    const values = (history[name] = [...(history[name] ?? []), found[name]].slice(-120));
    let entry = list.querySelector(`[data-term=${name}]`);
    if (!entry) {
      entry = make("div", {}, make("dt", {}, word), make("dd", {}));
      entry.dataset.term = name;
      const lines = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      lines.setAttribute("viewBox", "0 0 130 30");
      lines.setAttribute("aria-hidden", "true");
      lines.innerHTML = '<polyline fill="none" stroke="currentColor" stroke-width="1.8" stroke-linejoin="round"/>';
      entry.append(make("dd", { class: "line" }, lines));
      list.append(entry);
    }
    entry.querySelector("dd").textContent = Number(found[name].toPrecision(3));
    const logs = values.map((value) => Math.log(Math.max(value, 1e-12)));
    const low = Math.min(...logs), span = Math.max(...logs) - low || 1;
    entry.querySelector("polyline").setAttribute("points", logs.map((value, i) => `${(2 + (126 * i) / Math.max(1, logs.length - 1)).toFixed(1)},${(27 - (24 * (value - low)) / span).toFixed(1)}`).join(" "));
  }
}

function sheet(run) {
  byId("canvas").hidden = true;
  const grid = byId("grid");
  grid.hidden = false;
  while (grid.querySelectorAll("button").length < run.results.length) {
    const i = grid.querySelectorAll("button").length, { style_weight } = run.results[i];
    const strength = Number(style_weight.toPrecision(3));
    const button = make("button", { type: "button", disabled: !over(run), click: () => goOn(run, i) },
      make("img", { src: resultUrl(run, i), alt: "" }), make("span", {}, `Strength ${strength}`), make("small", {}, "go on with this one"));
    button.setAttribute("aria-label", `Strength ${strength}: go on with this one`);
    grid.querySelector(".pending")?.remove();
    grid.append(button);
  }
  grid.querySelectorAll("button").forEach((button) => { button.disabled = !over(run); });
  let pending = grid.querySelector(".pending");
  if (over(run)) pending?.remove();
  else {
    if (!pending) grid.append((pending = make("div", { class: "pending" }, "the next one …")));
    if (run.preview) pending.replaceChildren(make("img", { src: `/api/runs/${run.id}/preview?v=${run.preview}`, alt: "The next one, as it develops" }));
  }
}

async function stop() {
  byId("stop").disabled = true;
  try {
    await post(`/api/runs/${current.id}/stop`);
  } catch (error) {
    trouble(error);
  }
}

function finish(run) {
  const waiting = [byId("stop"), document.body, null].includes(document.activeElement);
  end();
  if (run.results.length && !runs.some((other) => other.id === run.id)) runs.push(run);
  if (run.state === "failed") {
    say("");
    trouble(new Error(run.message));
    if (!run.results.length) {
      if (runs.length) show(runs.at(-1));
      else {
        byId("canvas").hidden = byId("grid").hidden = true;
        byId("empty").hidden = false;
      }
      return;
    }
  }
  if (run.results.length) show(run);
  // Whoever has waited by keyboard goes on at the picture.
  if (waiting) (byId("compare") ?? byId("grid").querySelector("button"))?.focus({ preventScroll: true });
  const time = run.seconds == null ? "" : ` after ${duration(run.seconds)}`;
  if (run.state !== "failed") say(run.results.length ? `${run.state === "done" ? "Done" : "Stopped, and kept"}${time}.${run.message ? ` Note: ${run.message}.` : ""}` : "Stopped.");
}

function show(run) {
  current = run;
  byId("empty").hidden = true;
  if (run.kind === "sheet") {
    byId("grid").replaceChildren();
    sheet(run);
    byId("finished").hidden = true;
  } else result(run, 0);
  earlier();
}

function result(run, i) {
  shownResult = i;
  byId("grid").hidden = true;
  byId("canvas").hidden = false;
  const { shape, settings } = run.results[i];
  const after = make("img", { src: resultUrl(run, i), alt: "The painted picture", id: "result" });
  const photograph = make("img", { src: before(run), alt: "", class: "before" });
  const divider = make("div", { class: "divider" });
  const compare = make("input", { type: "range", min: 0, max: 100, value: 0, class: "compare", id: "compare", "aria-label": "Before and after: how much of the photograph is shown, in percent",
    input: () => {
      photograph.style.clipPath = `inset(0 ${100 - compare.value}% 0 0)`;
      divider.style.left = `${compare.value}%`;
      divider.hidden = compare.value === "0";
    } });
  const frame = make("div", { class: "frame" }, make("div", { class: "inner" }, after, photograph, divider, compare));
  compare.dispatchEvent(new Event("input"));
  fit(frame, shape);
  byId("canvas").replaceChildren(frame, make("figcaption", {}, `${shape[1]} × ${shape[0]} pixels, strength ${Number(settings.style_weight.toPrecision(3))}. Drag across the picture, or use the arrow keys on it, to see the photograph.`));
  downloads(run, i);
  prints(shape);
  byId("finished").hidden = false;
}

function downloads(run, i) {
  const kinds = { ".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF, 16 bits" };
  byId("downloads").replaceChildren(make("span", { class: "note" }, "Download, with its settings:"),
    ...Object.entries(kinds).map(([suffix, name]) => make("a", { class: "button", href: `/api/runs/${run.id}/results/${i}/picture${suffix}`, download: "" }, name)));
}

function prints([height, width]) {
  const fits = PRINTS.filter((size) => size > 1.2 * Math.max(height, width) && size ** 2 * (Math.min(height, width) / Math.max(height, width)) <= limits.result);
  byId("enlarge").hidden = !fits.length;
  byId("print-size").replaceChildren(...fits.map((size) => make("option", { value: size }, `${size} pixels, ${Math.round((size / 300) * 2.54)} cm at 300 dpi`)));
}

function earlier() {
  byId("earlier").hidden = runs.length < 2;
  byId("earlier-list").replaceChildren(...runs.map((run, i) => {
    const word = run.kind === "sheet" ? "Sheet of strengths" : `Picture ${i + 1}`;
    const button = make("button", { type: "button", title: word, click: () => {
      if (painting()) return;
      say(`${word}.`);
      show(run);
    } }, make("img", { src: resultUrl(run, 0), alt: word }));
    if (run === current) button.setAttribute("aria-current", "true");
    return button;
  }));
}
