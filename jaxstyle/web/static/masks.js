// Regions, painted with a brush on the photograph and on every painting: a number a pixel, so that the
// masks that are handed in have flat colours and hard edges.

import { byId, make } from "./api.js";
import { chosen, url } from "./pictures.js";

const LONGEST = 512;
const boards = new Map();
let colours = [], names = [], region = 1, last = [], change = () => {};

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

export function setUp(told, onChange) {
  colours = Object.keys(told.regions).map(rgb);
  names = Object.values(told.regions);
  change = onChange;
  byId("swatches").replaceChildren(...Object.entries(told.regions).map(([hex, name], i) => {
    const label = make("label", { title: name }, make("input", { type: "radio", name: "region", checked: i === region, "aria-label": name,
      change: () => { region = i; } }));
    label.style.background = hex;
    return label;
  }));
  byId("open-masks").addEventListener("click", open);
  byId("mask-undo").addEventListener("click", () => last.pop()?.());
  byId("mask-clear").addEventListener("click", clear);
  byId("mask-none").addEventListener("click", () => { boards.clear(); last = []; byId("masks").close(); });
  byId("mask-done").addEventListener("click", done);
  byId("masks").addEventListener("close", () => change());
}

const pictures = () => [chosen.content, ...chosen.styles].filter(Boolean);
const present = () => pictures().map((picture) => boards.get(picture.id));
const painted = (board) => new Set(board?.labels ?? [0]);

// The masks of the present pictures; null if nothing is painted on them.
export function wish() {
  const all = present();
  if (!all.some((board) => painted(board).size > 1)) return null;
  const missing = problem();
  if (missing) throw new Error(missing);
  const [content, ...styles] = all.map(toPng);
  return { content, styles };
}

export const note = () => {
  const found = new Set(present().flatMap((board) => [...painted(board)]));
  return found.size > 1 ? `Regions: ${[...found].sort().map((i) => names[i]).join(", ")}.` : "";
};

// What the server would refuse, told while the brush is still in hand.
function problem() {
  const [content, ...styles] = present().map(painted);
  if (!content || !styles.length) return "";
  const seen = new Set(styles.flatMap((set) => [...set]));
  for (const i of content) if (!seen.has(i)) return `regions: ${names[i]} is on the photograph only; paint it on a painting, too`;
  for (const i of seen) if (!content.has(i)) return `regions: ${names[i]} is on a painting only; paint it on the photograph, too`;
  return "";
}

async function open() {
  const ids = pictures().map((picture) => picture.id);
  for (const id of boards.keys()) if (!ids.includes(id)) boards.delete(id);
  last = [];
  byId("mask-trouble").textContent = "";
  byId("mask-boards").replaceChildren(...(await Promise.all(pictures().map(board))));
  byId("masks").showModal();
}

async function board(picture, i) {
  const image = make("img", { src: url(picture), alt: "" });
  await image.decode();
  const [width, height] = sizeOf(picture);
  const kept = boards.get(picture.id);
  const name = i ? `Painting ${chosen.styles.length > 1 ? i : ""}`.trim() : "Photograph";
  const canvas = make("canvas", { width, height, tabIndex: 0, role: "application",
    "aria-label": `${name}: arrows move the brush, Space paints, 1 to ${colours.length} choose a colour` });
  const found = { image, width, height, canvas, labels: kept?.labels ?? new Uint8Array(width * height), cursor: [width / 2, height / 2], keyboard: false };
  boards.set(picture.id, found);
  listen(found);
  draw(found);
  return make("figure", {}, canvas, make("figcaption", {}, `${name}: ${picture.name}`));
}

const radius = (found) => (Math.max(found.width, found.height) * Number(byId("brush").value)) / 200;

function draw(found) {
  const { canvas, image, width, height, labels } = found;
  const context = canvas.getContext("2d");
  const layer = new ImageData(width, height);
  labels.forEach((label, i) => layer.data.set([...colours[label], label ? 150 : 0], 4 * i));
  context.drawImage(image, 0, 0, width, height);
  const over = make("canvas", { width, height });
  over.getContext("2d").putImageData(layer, 0, 0);
  context.drawImage(over, 0, 0);
  if (found.keyboard && document.activeElement === canvas) {
    for (const [colour, line] of [["#000", 3], ["#fff", 1.5]]) {
      context.beginPath();
      context.arc(...found.cursor, radius(found), 0, 7);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    }
  }
}

function dab(found, [x, y]) {
  const r = radius(found), { width, height, labels } = found;
  for (let v = Math.max(0, Math.ceil(y - r)); v <= Math.min(height - 1, y + r); v++) {
    for (let u = Math.max(0, Math.ceil(x - r)); u <= Math.min(width - 1, x + r); u++) {
      if ((u - x) ** 2 + (v - y) ** 2 <= r * r) labels[v * width + u] = region;
    }
  }
}

function stroke(found, from, to) {
  const steps = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, radius(found) / 3)) || 1;
  for (let i = 1; i <= steps; i++) dab(found, [0, 1].map((k) => from[k] + ((to[k] - from[k]) * i) / steps));
  draw(found);
}

function remember(found) {
  const before = found.labels.slice();
  last = [...last.slice(-30), () => { found.labels.set(before); draw(found); }];
}

function listen(found) {
  const { canvas } = found;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * found.width) / box.width, ((event.clientY - box.top) * found.height) / box.height];
  };
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    found.keyboard = false;
    remember(found);
    from = place(event);
    stroke(found, from, from);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = place(event);
    stroke(found, from, to);
    from = to;
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => { found.keyboard = canvas.matches(":focus-visible"); draw(found); });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const number = Number(event.key);
    if (move) {
      const step = radius(found) * (event.shiftKey ? 3 : 0.7), [x, y] = found.cursor;
      found.cursor = [Math.max(0, Math.min(found.width, x + move[0] * step)), Math.max(0, Math.min(found.height, y + move[1] * step))];
      if (found.down) stroke(found, [x, y], found.cursor);
    } else if (event.key === " ") {
      if (!event.repeat) remember(found);
      found.down = true;
      stroke(found, found.cursor, found.cursor);
    } else if (number >= 1 && number <= colours.length) {
      byId("swatches").querySelectorAll("input")[number - 1].click();
      canvas.focus();
    } else return;
    found.keyboard = true;
    event.preventDefault();
    draw(found);
  });
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") found.down = false; });
}

function clear() {
  for (const found of present()) {
    if (found) {
      remember(found);
      found.labels.fill(0);
      draw(found);
    }
  }
}

function done() {
  const told = problem();
  byId("mask-trouble").textContent = told && told.charAt(0).toUpperCase() + told.slice(1) + ".";
  if (!told) byId("masks").close();
}

function sizeOf(picture) {
  const scale = LONGEST / Math.max(picture.width, picture.height);
  return [picture.width, picture.height].map((side) => Math.max(16, Math.round(side * scale)));
}

function toPng(found, i) {
  const [width, height] = sizeOf(pictures()[i]);
  const labels = found?.labels ?? new Uint8Array(width * height);
  const layer = new ImageData(width, height);
  labels.forEach((label, at) => layer.data.set([...colours[label], 255], 4 * at));
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").putImageData(layer, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}
