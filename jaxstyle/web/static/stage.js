// The picture: an example, the photograph, the picture as it develops, the result beside the photograph.

import { fetchPicture } from "./api.js";
import { compare, frame } from "./compare.js";
import { strength } from "./controls.js";
import { byId, duration, make, say, shown, trouble } from "./dom.js";
import * as pictures from "./pictures.js";
import { clearTerms, drawTerms } from "./terms.js";

const EXAMPLE = { before: "/static/example/before.jpg", after: "/static/example/after.jpg", shape: [511, 768],
  caption: "A cat, painted like Kandinsky’s Composition VII with the look “Balanced”: strength 60, 768 × 511 pixels. Drag to compare." };
const PRINTS = [1024, 1536, 2048, 3072, 3508, 4096];

let run = null, result = 0, limits, add, reuse, chosen = null;

export const current = () => run;
export const photographOf = ({ before, content }) => before ?? `/api/pictures/${content.id}`;
export const resultOf = ({ id, previews }, i) => previews?.[i] ?? `/api/runs/${id}/results/${i}/preview`;
export const over = ({ state }) => ["done", "stopped", "failed"].includes(state);

export function setUp(told, onAdd, onReuse) {
  [limits, add, reuse] = [told.limits, onAdd, onReuse];
  byId("print").addEventListener("click", () => add({ kind: "print", from: run.id, result, size: Number(byId("print-size").value) }));
  byId("again").addEventListener("click", () => reuse(run, run.results[result]));
  example();
}

function place(...content) {
  byId("grid").hidden = true;
  byId("canvas").hidden = false;
  byId("canvas").replaceChildren(...content);
}

function example() {
  place(compare(EXAMPLE.before, make("img", { src: EXAMPLE.after, alt: "The example, painted" }), EXAMPLE.shape, 45), make("figcaption", {}, EXAMPLE.caption));
}

const keyOf = (content, styles) => [content, ...styles].map(({ id }) => id).join(" ");

// Shows what is chosen, until a picture of it is painted.
export function preview({ contents: [content], styles }) {
  const key = keyOf(content, styles);
  if (key !== chosen && !(run && (!over(run) || keyOf(run.content, run.styles) === key))) leave();
  chosen = key;
  if (!run) instant(content, styles);
}

let asked = 0;

// The instant picture; without a painting, it prepares the program for this photograph.
async function instant(content, styles) {
  const mine = ++asked;
  try {
    const picture = await fetchPicture("/api/instant", { content: content.id, styles: styles.map(({ id, share }) => ({ id, share })), strength: strength() });
    if (mine !== asked || run || !styles.length) return;
    const at = byId("instant") ? Number(byId("compare").value) : 0;
    place(compare(pictures.url(content), make("img", { src: picture, alt: "A quick preview", id: "instant", draggable: false }), [content.height, content.width], at),
      make("figcaption", {}, "A quick preview from a small network. Paint makes the real picture."));
  } catch (error) {
    if (mine === asked && !error.silent && !error.lost) trouble(error);
  }
}

// Shows no run, but the photograph, or the example.
export function leave() {
  run = null;
  byId("progress").hidden = byId("finished").hidden = true;
  say("");
  const [picture] = pictures.chosen.contents;
  if (!picture) return example();
  place(frame(make("img", { src: pictures.url(picture), alt: "The photograph", id: "photograph" }), [picture.height, picture.width]));
}

export function show(next) {
  if (next.id !== run?.id) clearTerms();
  const before = run;
  run = next;
  if (!over(run)) return progress();
  byId("progress").hidden = true;
  if (run.state === "failed") {
    say("");
    trouble(new Error(run.message), byId("said"));
  }
  if (!run.results.length) {
    const stopped = run.state === "stopped";
    leave();
    if (stopped) say("Stopped.");
    return;
  }
  // Whoever has waited by keyboard continues at the picture.
  const waited = [byId("stop"), document.body, null].includes(document.activeElement);
  if (run.kind === "sheet") sheet();
  else finish(0);
  if (before && !over(before) && waited) {
    scrollTo({ top: 0 });
    (byId("compare") ?? byId("grid").querySelector("button"))?.focus({ preventScroll: true });
  }
  const time = run.seconds == null ? "" : ` after ${duration(run.seconds)}`;
  if (run.state !== "failed") say(`${run.state === "done" ? "Done" : "Stopped; the picture is kept"}${time}.${run.message ? ` Note: ${run.message}.` : ""}`);
}

function progress() {
  byId("progress").hidden = false;
  byId("finished").hidden = true;
  byId("stop").disabled = run.stopping;
  if (run.fraction == null) byId("bar").removeAttribute("value");
  else byId("bar").value = run.fraction;
  byId("told").textContent = detail();
  const words = { waiting: "Waiting.", preparing: "Preparing; this takes half a minute at most.", painting: "Painting." }[run.state];
  const text = run.stopping ? "Stopping; the picture is kept." : words;
  if (byId("status").textContent !== text) say(text);
  if (run.terms) drawTerms(run.terms);
  if (run.kind === "sheet") sheet();
  else develop();
}

function detail() {
  if (run.state === "waiting") return run.ahead === 1 ? "One picture is painted before yours." : run.ahead ? `${run.ahead} pictures are painted before yours.` : "Yours is next.";
  if (run.fraction == null) return "";
  const left = run.left == null ? "" : ` · ${duration(run.left)} left`;
  return `${Math.round(run.fraction * 100)} % · step ${run.step} of ${run.steps} at ${run.shape[1]} × ${run.shape[0]}${left}`;
}

function develop() {
  const { id, preview: version, content: { width, height } } = run;
  let image = byId("developing");
  if (image?.dataset.run !== id) {
    image = make("img", { src: photographOf(run), alt: "The picture as it develops", id: "developing", "data-run": id });
    place(frame(image, [height, width], "fresh"));
  }
  if (!version) return;
  const next = make("img", { src: `/api/runs/${id}/preview?v=${version}` });
  // Decoded first: a picture that is half loaded would flicker.
  next.decode().then(() => {
    image.closest(".frame").classList.remove("fresh");
    image.src = next.src;
    image.dataset.version = version;
  }).catch(() => {});
}

function sheet() {
  const grid = byId("grid"), ended = over(run);
  byId("canvas").hidden = byId("finished").hidden = true;
  grid.hidden = false;
  byId("canvas").replaceChildren();
  if (grid.dataset.run !== run.id) grid.replaceChildren();
  grid.dataset.run = run.id;
  grid.querySelector(".pending")?.remove();
  const from = run;
  for (let i = grid.children.length; i < run.results.length; i++) {
    const strength = shown(run.results[i].style_weight);
    grid.append(make("button", { type: "button", "aria-label": `Strength ${strength}: paint this one`, click: () => add({ kind: "painting", from: from.id, result: i }) },
      make("img", { src: resultOf(run, i), alt: "" }), make("span", {}, `Strength ${strength}`), make("small", {}, "Paint this one")));
  }
  for (const button of grid.children) button.disabled = !ended || run.lost;
  if (!ended) grid.append(make("div", { class: "pending" }, run.preview ? make("img", { src: `/api/runs/${run.id}/preview?v=${run.preview}`, alt: "The next one, as it develops" }) : "The next one …"));
}

function finish(i) {
  result = i;
  const { shape, settings } = run.results[i];
  const picture = make("img", { src: resultOf(run, i), alt: "The painted picture", id: "result", draggable: false });
  place(compare(photographOf(run), picture, shape, 0), make("figcaption", {}, `${shape[1]} × ${shape[0]} pixels, strength ${shown(settings.style_weight)}. Drag to compare with the photograph.`));
  const link = (href, name, file = "") => make("a", { class: "button", href, download: file }, name);
  const files = run.lost ? [link(resultOf(run, i), "Preview (JPEG)", "preview.jpg")] : Object.entries({ ".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF, 16 bits" })
    .map(([suffix, name]) => link(`/api/runs/${run.id}/results/${i}/picture${suffix}`, name));
  byId("downloads").replaceChildren(make("span", {}, run.lost ? "The server was restarted; this page has a preview:" : "Download:"), ...files);
  prints(shape);
  byId("finished").hidden = false;
}

function prints([height, width]) {
  const long = Math.max(height, width), share = Math.min(height, width) / long;
  const sizes = PRINTS.filter((size) => size > 1.2 * long && size ** 2 * share <= limits.result);
  byId("enlarge").hidden = !sizes.length || run.lost;
  byId("print-size").replaceChildren(...sizes.map((size) => make("option", { value: size }, `${size} pixels, ${Math.round((size / 300) * 2.54)} cm at 300 dpi`)));
}
