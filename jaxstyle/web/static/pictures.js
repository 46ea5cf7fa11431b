// The chosen photographs and paintings: uploads, the gallery, and what survives a reload.

import { ask, remove, upload } from "./api.js";
import { openCamera, setUpCamera } from "./camera.js";
import { byId, make, trouble } from "./dom.js";
import { fromStore, toStore } from "./labels.js";
import * as store from "./store.js";

export const chosen = { contents: [], styles: [] };
const own = []; // paintings of the visitor, chosen or not
const uploading = new Map(); // promise → what is shown of it
let told, mixing = false, change = () => {}, offer = () => {};

export const url = (picture) => `/api/pictures/${picture.id}`;
export const settled = () => Promise.all(uploading.keys());
const slotOf = (role) => byId(`${role}-slot`);
const all = () => new Set([...chosen.contents, ...own, ...chosen.styles]);
const works = (kind) => told.gallery.filter((work) => work.kind === kind);

export function setUp(description, onChange, onSettings) {
  [told, change, offer] = [description, onChange, onSettings];
  setUpCamera((file) => take("content", [file]));
  byId("settings-file").addEventListener("change", ({ target }) => readSettings(target));
  draw();
}

// Accepts files of the visitor. A new photograph replaces those before it, and their regions.
export function take(role, files) {
  files = [...files];
  if (!files.length) return;
  trouble(null);
  const content = role === "content", most = content ? told.limits.photographs : told.limits.styles;
  const kept = content ? 0 : chosen.styles.length * (mixing || files.length > 1) + [...uploading.values()].filter((shown) => shown.role === role).length;
  const large = files.find((file) => file.size > told.limits.upload);
  if (kept + files.length > most) trouble(new Error(`${kept + files.length} ${content ? "photographs" : "paintings"} are too many: choose at most ${most}`), slotOf(role));
  else if (large) trouble(new Error(`${large.name}: has more than ${told.limits.upload / 1e6} MB; reduce it first`), slotOf(role));
  else {
    if (content) chosen.contents.splice(0).forEach(forget);
    if (!content && files.length > 1) mixing = true;
    for (const file of files) add(role, { file });
  }
}

function add(role, source) {
  const shown = { role, name: source.file?.name ?? source.work, part: 0 };
  const sending = send(role, source, (part) => {
    shown.part = part;
    slotOf(role).querySelector("progress")?.setAttribute("value", part);
  }).then((picture) => {
    put(picture, source.share);
    return picture;
  }).catch((error) => void trouble(error, slotOf(role))).then((picture) => {
    uploading.delete(sending);
    changed();
    if (picture && Object.keys(picture.settings).length) offer(picture, false, slotOf(role));
  });
  uploading.set(sending, shown);
  draw();
  return sending;
}

async function send(role, { file, work }, progress = () => {}) {
  const which = work ? `work=${work}` : `name=${encodeURIComponent(file.name || "picture")}`;
  return { ...(await upload(`/api/pictures?role=${role}&${which}`, file ?? null, progress)), file, work };
}

function put(picture, share = 1) {
  if (picture.role === "content") {
    chosen.contents.push(picture);
    return;
  }
  if (!mixing) chosen.styles.splice(0).forEach(leave);
  if (!picture.work) own.push(picture);
  chosen.styles.push(Object.assign(picture, { share }));
}

const forget = (picture) => remove(url(picture)).catch(() => {});
// Paintings of the visitor stay on the wall.
const leave = (style) => own.includes(style) || forget(style);

function changed() {
  save();
  draw();
  change();
}

export function save() {
  const brief = ({ id, work, share, labels, width, height }) => ({ id, work, share, labels: labels && toStore(labels, width, height) });
  store.write({ chosen: { contents: chosen.contents.map(brief), styles: chosen.styles.map(brief) }, mixing });
}

// Puts back what was chosen before the page was loaded again.
export async function restore(kept) {
  const names = new Set(told.gallery.map(({ name }) => `${name}.jpg`));
  const before = { contents: [], styles: [], ...store.read().chosen };
  mixing = Boolean(store.read().mixing);
  own.push(...kept.filter(({ role, name }) => role === "style" && !names.has(name)));
  for (const [role, list] of [["content", "contents"], ["style", "styles"]]) {
    for (const { id, work, share = 1, labels } of before[list]) {
      const found = kept.find((picture) => picture.id === id);
      if (found) chosen[list].push(Object.assign(found, { work, share, labels: labels && (await fromStore(labels)) }));
      else if (work) await add(role, { work, share });
    }
  }
  changed();
}

// Uploads everything again to a server that has lost it. Returns the names of what the page does not have.
export async function resend() {
  const gone = [];
  for (const picture of all()) {
    if (picture.file || picture.work) picture.id = (await send(picture.role, picture)).id;
    else gone.push(picture.name);
  }
  for (const list of [chosen.contents, chosen.styles, own]) list.splice(0, list.length, ...list.filter((each) => each.file || each.work));
  changed();
  return gone;
}

// Chooses the pictures of a run again. Returns whether one is no longer here.
export function use(run) {
  if (run.lost) return true;
  const known = new Map([...all()].map((picture) => [picture.id, picture]));
  const named = (picture) => known.get(picture.id) ?? { ...picture, work: told.gallery.find(({ name }) => `${name}.jpg` === picture.name)?.name };
  chosen.contents = [named(run.content)];
  chosen.styles = run.styles.map((style) => Object.assign(named(style), { share: style.share }));
  mixing = chosen.styles.length > 1;
  changed();
  return false;
}

function draw() {
  drawPhotographs();
  drawWall();
  drawShares();
}

const uploads = (role) => [...uploading.values()].filter((shown) => shown.role === role && shown.name).map(({ name, part }) =>
  make("div", { class: "sending" }, make("span", {}, `Uploading ${name} …`), make("progress", { max: 1, value: part, "aria-label": `Upload of ${name}` })));

function fileInput(role, label) {
  const input = make("input", { type: "file", accept: "image/*,.heic,.tif,.tiff", multiple: true, "aria-label": label,
    change: () => {
      take(role, input.files);
      input.value = "";
    } });
  return input;
}

function drawPhotographs() {
  const { contents } = chosen, slot = slotOf("content");
  const button = make("label", { class: `button file choose${contents.length ? "" : " primary"}` },
    contents.length ? "Choose another" : "Choose a photograph", fileInput("content", contents.length ? "Choose another photograph" : "Choose a photograph"));
  const thumbs = contents.map((picture) => make("li", {}, make("img", { src: url(picture), alt: `Photograph: ${picture.name}` }),
    make("button", { type: "button", class: "drop-one", "aria-label": `Remove ${picture.name}`, title: `Remove ${picture.name}`, click: () => takeAway(picture) }, "×")));
  const examples = contents.length ? [] : [make("div", { class: "examples", role: "group", "aria-label": "Examples" }, ...works("photograph").map(({ name, title }) =>
    make("button", { type: "button", class: "tile", title, click: () => replace({ work: name }) }, make("img", { src: `/api/gallery/${name}`, alt: "" }), make("span", {}, name))))];
  slot.replaceChildren(...[contents.length ? make("ul", { class: "thumbs" }, ...thumbs) : null,
    make("div", { class: "row" }, button, navigator.mediaDevices ? make("button", { type: "button", class: "link camera", click: openCamera }, "Use the camera") : null),
    contents.length ? null : make("p", { class: "note" }, "Or drop it here, paste it, or try one of these:"), ...examples, ...uploads("content"), ...kept(slot)].filter(Boolean));
}

// A message in a slot stays while the slot is drawn again.
const kept = (slot) => [byId("trouble"), byId("status")].filter((element) => element.parentElement === slot);

function replace(source) {
  trouble(null);
  chosen.contents.splice(0).forEach(forget);
  add("content", source);
}

function takeAway(picture) {
  forget(picture);
  chosen.contents = chosen.contents.filter((other) => other !== picture);
  changed();
  slotOf("content").querySelector("input").focus();
}

function drawWall() {
  const slot = slotOf("style");
  const tile = (source, image, title, artist) => {
    const style = chosen.styles.find(({ id, work }) => (source.work ? work === source.work : id === source.id));
    return make("button", { type: "button", class: "tile", "aria-pressed": String(Boolean(style)), "aria-label": artist ? `${title}, ${artist}` : title, click: () => toggle(style, source) },
      make("img", { src: image, alt: "" }), make("span", {}, title), artist ? make("small", {}, artist) : null);
  };
  const focused = [...slot.querySelectorAll(".tile")].indexOf(document.activeElement);
  const mix = make("input", { type: "checkbox", id: "mix", checked: mixing, change: () => {
    mixing = mix.checked;
    if (!mixing) chosen.styles.splice(0, chosen.styles.length - 1).forEach(leave);
    changed();
    byId("mix").focus();
  } });
  slot.replaceChildren(...[make("div", { class: "wall", role: "group", "aria-label": "Gallery" },
    ...works("painting").map(({ name, title, artist }) => tile({ work: name }, `/api/gallery/${name}`, title, artist)),
    ...own.map((picture) => tile(picture, url(picture), picture.name)),
    make("label", { class: "tile file add" }, make("b", { "aria-hidden": "true" }, "+"), make("span", {}, "Your own"), fileInput("style", "Choose a painting of your own"))),
  make("label", { class: "mix" }, mix, " Mix several paintings"), ...uploads("style"), ...kept(slot)].filter(Boolean));
  if (focused >= 0) slot.querySelectorAll(".tile")[focused]?.focus();
}

function toggle(style, source) {
  trouble(null);
  if (style) {
    leave(style);
    chosen.styles = chosen.styles.filter((other) => other !== style);
    changed();
  } else if (mixing && chosen.styles.length >= told.limits.styles) {
    trouble(new Error(`at most ${told.limits.styles} paintings can be mixed: remove one first`), slotOf("style"));
  } else if (source.work) add("style", { work: source.work });
  else {
    if (!mixing) chosen.styles.splice(0).forEach(leave);
    chosen.styles.push(Object.assign(source, { share: 1 }));
    changed();
  }
}

function drawShares() {
  const many = chosen.styles.length > 1;
  byId("paintings").hidden = !many;
  byId("paintings").replaceChildren(...(many ? chosen.styles : []).map((style) => {
    const id = `share-${style.id}`;
    const slider = make("input", { type: "range", id, min: 0, max: 1, step: 0.05, value: style.share, input: () => {
      style.share = Number(slider.value);
      save();
      change();
    } });
    return make("li", {}, make("img", { src: url(style), alt: "" }), make("div", {}, make("label", { htmlFor: id }, `Share of ${style.name}`), slider));
  }));
}

async function readSettings(input) {
  const [file] = input.files, near = byId("tools");
  input.value = "";
  if (!file) return;
  trouble(null);
  try {
    offer(await ask(`/api/settings?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file }), true, near);
  } catch (error) {
    trouble(error, near);
  }
}
