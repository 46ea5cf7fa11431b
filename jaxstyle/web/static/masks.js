// The dialog in which regions are painted with a brush, on the photograph and on every painting.

import { byId, make } from "./dom.js";
import { count, empty, layer, read, setColours, sizeOf, toPng } from "./labels.js";
import { chosen, save, url } from "./pictures.js";

let names = [], region = 1, history = [], boards = [], change = () => {};

export function setUp(told, onChange) {
  setColours(Object.keys(told.regions));
  names = Object.values(told.regions);
  change = onChange;
  byId("swatches").replaceChildren(...Object.entries(told.regions).map(([hex, name], i) => {
    const label = make("label", { title: i ? name : "eraser", class: i ? "" : "eraser" },
      make("input", { type: "radio", name: "region", checked: i === region, "aria-label": i ? name : "eraser", change: () => { region = i; } }));
    if (i) label.style.background = hex;
    return label;
  }));
  byId("zoom").addEventListener("input", zoom);
  byId("open-masks").addEventListener("click", open);
  byId("mask-undo").addEventListener("click", () => history.pop()?.());
  byId("mask-clear").addEventListener("click", () => boards.forEach((board) => put(board, empty(board.picture))));
  byId("mask-none").addEventListener("click", () => {
    for (const picture of pictures()) delete picture.labels;
    byId("masks").close();
  });
  byId("mask-done").addEventListener("click", done);
  byId("masks").addEventListener("close", () => {
    save();
    change();
  });
}

// Several photographs have no regions.
const pictures = () => (chosen.contents.length === 1 ? [chosen.contents[0], ...chosen.styles] : []);
const painted = (picture) => new Set(picture.labels ?? [0]);

// The masks of the chosen pictures; null if nothing is painted on them.
export function wish() {
  if (!pictures().some((picture) => painted(picture).size > 1)) return null;
  const missing = problem();
  if (missing) throw new Error(missing);
  const [content, ...styles] = pictures().map((picture) => toPng(picture).split(",")[1]);
  return { content, styles };
}

export const note = () => {
  const found = new Set(pictures().flatMap((picture) => [...painted(picture)]));
  return found.size > 1 ? `Regions: ${[...found].sort().map((i) => names[i]).join(", ")}.` : "";
};

// What the server would refuse, said while the dialog is still open.
function problem() {
  const [content, ...styles] = pictures().map(painted);
  if (!content || !styles.length) return "";
  const seen = new Set(styles.flatMap((set) => [...set]));
  for (const i of content) if (!seen.has(i)) return `${names[i]} is on the photograph only: paint it on a painting, too`;
  for (const i of seen) if (!content.has(i)) return `${names[i]} is on a painting only: paint it on the photograph, too`;
  return "";
}

async function open() {
  history = [];
  byId("mask-trouble").textContent = "";
  boards = await Promise.all(pictures().map(makeBoard));
  byId("mask-boards").replaceChildren(...boards.map((board) => board.figure));
  byId("masks").showModal();
  zoom();
}

function zoom() {
  byId("mask-boards").style.setProperty("--zoom", byId("zoom").value);
}

async function makeBoard(picture, i) {
  const image = make("img", { src: url(picture) });
  await image.decode();
  const [width, height] = sizeOf(picture);
  picture.labels ??= empty(picture);
  const name = i ? `Painting ${chosen.styles.length > 1 ? i : ""}`.trim() : "Photograph";
  const canvas = make("canvas", { width, height, tabIndex: 0, role: "application",
    "aria-label": `${name}: arrows move the brush, Space paints, 1 to ${count()} choose a colour` });
  const board = { picture, image, width, height, canvas, cursor: [width / 2, height / 2], keyboard: false };
  const file = make("input", { type: "file", accept: "image/*", "aria-label": `${name}: load regions from a file`, change: () => load(board, file) });
  board.figure = make("figure", {}, make("div", { class: "board" }, canvas),
    make("figcaption", {}, `${name}: ${picture.name} `, make("label", { class: "link file" }, "Load from a file…", file)));
  listen(board);
  draw(board);
  return board;
}

async function load(board, input) {
  const image = make("img", { src: URL.createObjectURL(input.files[0]) });
  try {
    await image.decode();
    put(board, read(image, board.width, board.height));
  } catch {
    byId("mask-trouble").textContent = `${input.files[0].name} is not a picture: choose one with flat colours.`;
  } finally {
    URL.revokeObjectURL(image.src);
    input.value = "";
  }
}

function put(board, labels) {
  remember(board);
  board.picture.labels = labels;
  draw(board);
}

const radius = (board) => (Math.max(board.width, board.height) * Number(byId("brush").value)) / 200;

function draw(board) {
  const { canvas, image, width, height, picture } = board, context = canvas.getContext("2d");
  context.drawImage(image, 0, 0, width, height);
  context.drawImage(layer(picture.labels, width, height, [0, 150]), 0, 0);
  if (!board.keyboard || document.activeElement !== canvas) return;
  for (const [colour, line] of [["#000", 3], ["#fff", 1.5]]) {
    context.beginPath();
    context.arc(...board.cursor, radius(board), 0, 7);
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.stroke();
  }
}

function dab({ width, height, picture: { labels } }, [x, y], r) {
  for (let v = Math.max(0, Math.ceil(y - r)); v <= Math.min(height - 1, y + r); v++) {
    for (let u = Math.max(0, Math.ceil(x - r)); u <= Math.min(width - 1, x + r); u++) {
      if ((u - x) ** 2 + (v - y) ** 2 <= r * r) labels[v * width + u] = region;
    }
  }
}

function stroke(board, from, to) {
  const r = radius(board), parts = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / Math.max(1, r / 3)) || 1;
  for (let i = 1; i <= parts; i++) dab(board, [0, 1].map((k) => from[k] + ((to[k] - from[k]) * i) / parts), r);
  draw(board);
}

function remember(board) {
  const before = board.picture.labels.slice();
  history = [...history.slice(-30), () => {
    board.picture.labels = before;
    draw(board);
  }];
}

function listen(board) {
  const { canvas } = board;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * board.width) / box.width, ((event.clientY - box.top) * board.height) / box.height];
  };
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    board.keyboard = false;
    remember(board);
    from = place(event);
    stroke(board, from, from);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = place(event);
    stroke(board, from, to);
    from = to;
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { from = null; });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => {
    board.keyboard = canvas.matches(":focus-visible");
    draw(board);
  });
  canvas.addEventListener("keydown", (event) => press(board, event));
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") board.down = false; });
}

function press(board, event) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const number = Number(event.key), [x, y] = board.cursor;
  if (move) {
    const far = radius(board) * (event.shiftKey ? 3 : 0.7);
    board.cursor = [Math.max(0, Math.min(board.width, x + move[0] * far)), Math.max(0, Math.min(board.height, y + move[1] * far))];
    if (board.down) stroke(board, [x, y], board.cursor);
  } else if (event.key === " ") {
    if (!event.repeat) remember(board);
    board.down = true;
    stroke(board, board.cursor, board.cursor);
  } else if (number >= 1 && number <= count()) {
    byId("swatches").querySelectorAll("input")[number - 1].click();
    board.canvas.focus();
  } else return;
  board.keyboard = true;
  event.preventDefault();
  draw(board);
}

function done() {
  const missing = problem();
  byId("mask-trouble").textContent = missing && `${missing.charAt(0).toUpperCase()}${missing.slice(1)}.`;
  if (!missing) byId("masks").close();
}
