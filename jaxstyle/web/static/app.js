// The page: pictures and controls on the desk, the picture on the stage.

import { ask, byId, post, remove, say, trouble } from "./api.js";
import * as controls from "./controls.js";
import * as masks from "./masks.js";
import * as pictures from "./pictures.js";
import * as stage from "./stage.js";

function refresh() {
  const { content, styles } = pictures.chosen;
  const busy = stage.painting();
  byId("paint").disabled = byId("sheet").disabled = busy;
  byId("print").disabled = busy;
  byId("paint").textContent = busy ? "Painting …" : "Paint";
  byId("open-masks").disabled = !content || !styles.length;
  byId("invitation").textContent = content && styles.length ? "Ready to paint." : content ? "Now choose a painting." : "Choose a photograph and a painting.";
  const note = masks.note();
  byId("mask-note").hidden = !note;
  byId("mask-note").textContent = note;
}

function start(kind) {
  const { content, styles } = pictures.chosen;
  if (!content || !styles.length) {
    trouble(new Error(content ? "choose a painting first" : "choose a photograph first"));
    byId(content ? "style-slot" : "content-slot").querySelector("input").focus();
    return;
  }
  try {
    const masked = masks.wish();
    const chosen = { content: content.id, styles: styles.map(({ id, share }) => ({ id, share })) };
    stage.start({ kind, ...chosen, ...controls.wish(), ...(masked && { masks: masked }) });
  } catch (error) {
    trouble(error);
  }
}

// As the sheet was painted, whatever has been chosen since, or was lost when the page was loaded again.
function goOn(run, i) {
  controls.set("style_weight", run.results[i].style_weight);
  stage.start({ kind: "painting", from: run.id, result: i });
}

// A picture of ours tells how it was painted; asked for, its settings are taken over at once.
function offer(found, asked = false) {
  const { content, styles, preset, masks: masked, continued_from: preview } = found.sources;
  const whence = (content ? ` It was painted from ${[content, ...(styles ?? [])].join(" and ")}.` : "") +
    (preview ? " It is a print; the settings are its preview’s." : "") + (masked ? " Its regions are not in it; paint them again." : "");
  if (asked) {
    const lost = controls.adopt(found.settings, preset);
    say(`The settings are those of ${found.name}.${whence} ${lost}`.trim());
    return;
  }
  say(`${found.name} carries the settings that it was painted with. `);
  const take = document.createElement("button");
  take.type = "button";
  take.className = "link";
  take.textContent = "Take them over";
  take.addEventListener("click", () => offer(found, true));
  byId("status").append(take);
}

async function begin() {
  const told = await ask("/api/controls");
  const { runs, pictures: kept } = await post("/api/session");
  byId("device").textContent = `jaxstyle ${told.version}, painting on ${told.device}.`;
  controls.setUp(told, refresh);
  masks.setUp(told, refresh);
  stage.setUp(told, goOn, refresh);
  pictures.setUp(told, refresh, offer);
  pictures.restore(kept);
  stage.restore(runs);
  byId("desk").addEventListener("submit", (event) => {
    event.preventDefault();
    start("painting");
  });
  byId("sheet").addEventListener("click", () => start("sheet"));
  byId("reset").addEventListener("click", () => controls.choosePreset(controls.wish().preset));
  byId("forget").addEventListener("click", async () => {
    await remove("/api/session").catch(() => {});
    location.reload();
  });
  refresh();
  document.documentElement.dataset.ready = "true";
}

begin().catch(trouble);
