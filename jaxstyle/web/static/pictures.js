// Photograph and paintings: dropped in, chosen, taken by the camera, or the examples.

import { ask, byId, make, post, remove, say, trouble } from "./api.js";

export const chosen = { content: null, styles: [] };
let told, change = () => {}, offer = () => {};

export const url = (picture) => `/api/pictures/${picture.id}`;

export function setUp(description, onChange, onSettings) {
  told = description;
  change = onChange;
  offer = onSettings;
  for (const [name, role] of Object.entries(told.examples)) {
    byId("examples-list").append(make("button", { type: "button", title: name, click: () => add(role, null, name) },
      make("img", { src: `/static/examples/${name}`, alt: `${role === "content" ? "Photograph" : "Painting"}: ${name.split(".")[0]}` })), " ");
  }
  byId("shoot").addEventListener("click", shoot);
  byId("camera-close").addEventListener("click", () => byId("camera").close());
  byId("camera").addEventListener("close", darken);
  byId("settings-file").addEventListener("change", (event) => readSettings(event.target));
  dropAnywhere();
  draw();
}

export async function add(role, file, example = null) {
  trouble(null);
  if (file && file.size > told.limits.upload) {
    trouble(new Error(`${file.name}: has more than ${told.limits.upload / 1e6} MB; reduce it first`));
    return;
  }
  if (role === "style" && chosen.styles.length >= told.limits.styles) {
    trouble(new Error(`at most ${told.limits.styles} paintings are mixed; remove one first`));
    return;
  }
  const drop = byId(`${role}-slot`).querySelector(".drop");
  drop.classList.add("busy");
  say("Taking the picture in …");
  try {
    const which = example ? `example=${encodeURIComponent(example)}` : `name=${encodeURIComponent(file.name || "picture")}`;
    const found = await post(`/api/pictures?role=${role}&${which}`, file ?? undefined);
    if (role === "content") forget(chosen.content);
    put(found);
    say(`${found.name}: ${found.width} × ${found.height} pixels.`);
    draw();
    change();
    if (Object.keys(found.settings).length) offer(found);
  } catch (error) {
    say("");
    trouble(error);
  } finally {
    drop.classList.remove("busy");
  }
}

function put(found) {
  if (found.role === "content") chosen.content = found;
  else chosen.styles.push({ ...found, share: 1 });
}

// Puts back what was handed in before the page was loaded again; of photographs the last, as those of
// other tabs are still theirs.
export function restore(found) {
  found.forEach(put);
  draw();
  change();
}

const forget = (picture) => picture && remove(url(picture)).catch(() => {});

function take(role, files) {
  for (const file of [...files].slice(0, role === "content" ? 1 : told.limits.styles)) add(role, file);
}

function draw() {
  drawSlot("content", chosen.content, "Photograph");
  drawSlot("style", chosen.styles.at(-1), "Painting");
  drawPaintings();
}

function drawSlot(role, picture, name) {
  const slot = byId(`${role}-slot`);
  const again = role === "style" && chosen.styles.length;
  const input = make("input", { type: "file", accept: "image/*,.heic,.tif,.tiff", multiple: role === "style",
    "aria-label": again ? "Another painting" : picture ? "Another photograph" : name,
    change: () => { take(role, input.files); input.value = ""; } });
  const drop = make("label", { class: `drop${picture ? " full" : ""}` }, input,
    picture ? make("img", { src: url(picture), alt: `${name}: ${picture.name}` })
      : make("span", {}, make("b", {}, name), make("small", {}, role === "content" ? "drop it here, or choose a file" : "one, or several to be mixed")),
    picture ? make("span", { class: "label" }, picture.name) : null);
  const under = make("div", { class: "under" });
  if (role === "content" && navigator.mediaDevices) under.append(make("button", { type: "button", class: "link", click: light }, "Use the camera"));
  if (again) {
    under.append(make("button", { type: "button", class: "link", click: () => input.click() }, "Add another"));
    if (chosen.styles.length === 1) under.append(make("button", { type: "button", class: "link", "aria-label": `Remove ${picture.name}`, click: () => drop1(chosen.styles[0]) }, "Remove"));
  }
  slot.replaceChildren(drop, under);
}

function drop1(style) {
  forget(style);
  chosen.styles = chosen.styles.filter((other) => other !== style);
  draw();
  change();
  byId("style-slot").querySelector("input").focus();
}

function drawPaintings() {
  const many = chosen.styles.length > 1;
  byId("paintings").hidden = !many;
  byId("paintings").replaceChildren(...(many ? chosen.styles : []).map((style) => {
    const id = `share-${style.id}`;
    const slider = make("input", { type: "range", id, min: 0, max: 1, step: 0.05, value: style.share,
      input: () => { style.share = Number(slider.value); } });
    return make("li", {}, make("img", { src: url(style), alt: "" }),
      make("div", {}, make("label", { htmlFor: id }, `Share of ${style.name}`), slider),
      make("button", { type: "button", class: "link", "aria-label": `Remove ${style.name}`, click: () => drop1(style) }, "Remove"));
  }));
}

function dropAnywhere() {
  let over = null;
  const light = (element) => {
    over?.classList.remove("over");
    over = element;
    over?.classList.add("over");
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    light(event.target.closest?.(".slot") ?? byId("easel"));
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) light(null); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    light(null);
    const role = event.target.closest?.(".slot")?.dataset.role;
    if (role) take(role, event.dataTransfer.files);
    else for (const file of event.dataTransfer.files) {
      // Elsewhere on the page, the photograph comes first.
      const free = !chosen.content && !pending;
      if (free) pending = true;
      add(free ? "content" : "style", file).finally(() => { if (free) pending = false; });
    }
  });
}
let pending = false;

async function readSettings(input) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  trouble(null);
  try {
    offer(await post(`/api/settings?name=${encodeURIComponent(file.name)}`, file), true);
  } catch (error) {
    trouble(error);
  }
}

async function light() {
  trouble(null);
  try {
    byId("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } }, audio: false });
    byId("camera").showModal();
    byId("shoot").focus();
  } catch {
    trouble(new Error("the camera cannot be used: the browser or the system does not allow it, or there is none"));
  }
}

function darken() {
  byId("video").srcObject?.getTracks().forEach((track) => track.stop());
  byId("video").srcObject = null;
}

function shoot() {
  const video = byId("video");
  if (!video.videoWidth) return;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  byId("camera").close();
  canvas.toBlob((blob) => add("content", new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.95);
}
