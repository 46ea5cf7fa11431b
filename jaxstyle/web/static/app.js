// The page: controls on the desk, the picture on the stage, runs in the queue.

import { ask, post, remove, whenLost } from "./api.js";
import * as controls from "./controls.js";
import { byId, duration, say, trouble } from "./dom.js";
import { acceptDrops } from "./drops.js";
import * as masks from "./masks.js";
import * as pictures from "./pictures.js";
import * as queue from "./queue.js";
import * as stage from "./stage.js";
import * as store from "./store.js";

const PAUSE = 200; // milliseconds without a change before the server is asked
let timer, refused = false;

function refresh() {
  const { contents, styles } = pictures.chosen;
  byId("open-masks").disabled = contents.length !== 1 || !styles.length;
  const note = masks.note();
  byId("mask-note").hidden = !note;
  byId("mask-note").textContent = note;
  byId("paint").classList.toggle("primary", contents.length > 0 && styles.length > 0);
  clearTimeout(timer);
  if (contents.length) timer = setTimeout(show, PAUSE);
  if (!contents.length) byId("estimate").textContent = "Choose a photograph.";
  else if (!styles.length) byId("estimate").textContent = "Now choose a painting.";
}

function show() {
  const { contents, styles } = pictures.chosen;
  if (contents.length) stage.preview(pictures.chosen);
  if (contents.length && styles.length) estimate();
}

async function estimate() {
  const { contents } = pictures.chosen;
  try {
    const { shape: [height, width], seconds } = await post("/api/estimate", { content: contents[0].id, ...controls.wish() });
    const many = contents.length > 1 ? `${contents.length} pictures, the first of ` : "";
    byId("estimate").textContent = `About ${duration(seconds * contents.length)} for ${many}${width} × ${height} pixels.`;
    if (refused) trouble(null);
    refused = false;
  } catch (error) {
    byId("estimate").textContent = "";
    trouble(error);
    refused = true;
  }
}

// Adds the chosen photographs to the queue, one run each. It waits until they are uploaded.
async function start(kind, again = false) {
  trouble(null);
  await pictures.settled();
  const { contents, styles } = pictures.chosen;
  if (!contents.length || !styles.length) {
    const slot = byId(contents.length ? "style-slot" : "content-slot");
    trouble(new Error(contents.length ? "choose a painting first" : "choose a photograph first"), slot);
    slot.querySelector("button, input").focus();
    return;
  }
  try {
    const marked = masks.wish();
    for (const { id } of contents) {
      const chosen = { content: id, styles: styles.map(({ id, share }) => ({ id, share })) };
      await queue.add({ kind, ...chosen, ...controls.wish(), ...(marked && { masks: marked }) });
    }
  } catch (error) {
    if (error.lost && !again) await start(kind, true);
    else trouble(error);
  }
}

// The server was restarted, or the hour is over: begins again with the pictures that the page has.
async function recover() {
  await post("/api/session");
  queue.lose();
  const gone = await pictures.resend();
  say("The server was restarted. Your pictures are still here; paint again what was in the queue." +
    (gone.length ? ` Choose these again: ${gone.join(", ")}.` : ""));
}

function reuse(run, result) {
  const missing = pictures.use(run);
  controls.offer({ name: `the picture of ${run.content.name}`, settings: result.settings, sources: { preset: run.preset } }, true);
  if (missing) say("The settings are set. Choose the pictures again; they are no longer here.");
}

async function begin() {
  const told = await ask("/api/controls");
  const { runs, pictures: kept } = await post("/api/session");
  whenLost(recover);
  byId("private").hidden = !told.local;
  byId("device").textContent = `jaxstyle ${told.version}, painting on ${told.device}.`;
  masks.setUp(told, refresh);
  stage.setUp(told, queue.add, reuse);
  pictures.setUp(told, refresh, controls.offer);
  acceptDrops(pictures.take, () => pictures.chosen.contents.length > 0);
  controls.setUp(told, refresh);
  await pictures.restore(kept);
  if (pictures.chosen.contents.length) stage.preview(pictures.chosen);
  queue.setUp(runs, recover);
  byId("desk").addEventListener("submit", (event) => {
    event.preventDefault();
    start("painting");
  });
  byId("sheet").addEventListener("click", () => start("sheet"));
  byId("forget").addEventListener("click", async () => {
    await remove("/api/session").catch(() => {});
    store.clear();
    location.reload();
  });
  refresh();
  document.documentElement.dataset.ready = "true";
}

begin().catch((error) => trouble(error));
