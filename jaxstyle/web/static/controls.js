// The controls: the main ones by hand, all others made of the recipe's fields as the server tells them.

import { byId, make } from "./api.js";

const COLOURS = {
  style: "The painting’s",
  content: "The photograph’s",
  luminance: "The photograph’s, brightness painted",
  match: "The photograph’s, by histogram",
};
const SIZES = [256, 384, 512, 768, 1024, 1536];
const MAIN = ["style_weight", "style_scale", "size", "colour", "memory"];

let told, values, presetName = "default", change = () => {};

const preset = () => told.presets.find((found) => found.name === presetName);
const control = (name) => told.controls.find((found) => found.name === name);
const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export function setUp(description, onChange) {
  told = description;
  change = onChange;
  choosePreset("default");
}

export function choosePreset(name) {
  presetName = name;
  values = structuredClone(preset().settings);
  draw();
}

// Takes a whole recipe over, as a picture of ours carries it, and returns a sentence on what the page does
// not have: an encoder or a start that was a file.
export function adopt(settings, name) {
  presetName = told.presets.some((found) => found.name === name && found.here) ? name : "default";
  values = structuredClone(settings);
  const choices = { encoder: told.encoders, ...Object.fromEntries(told.controls.filter((found) => found.kind === "choice").map((found) => [found.name, found.choices])) };
  const missing = Object.keys(choices).filter((field) => values[field] != null && !choices[field].includes(values[field]));
  const lost = missing.map((field) => `${words(field)} ${values[field]} is not here; the recipe’s own is chosen.`);
  for (const field of missing) values[field] = preset().settings[field];
  draw();
  return lost.join(" ");
}

export function set(name, value) {
  values[name] = value;
  draw();
}

export const get = (name) => values[name];

export function wish() {
  const own = preset().settings, settings = {};
  for (const name of Object.keys({ ...own, ...values })) {
    const value = values[name] ?? null; // what a table leaves out is none
    if (!same(value, own[name] ?? null)) settings[name] = value;
  }
  return { preset: presetName, settings };
}

function draw() {
  byId("main-controls").replaceChildren(
    presetControl(),
    slider("style_weight", "Strength", ["more of the photograph", "more of the painting"], 2),
    slider("style_scale", "Stroke size", ["fine", "broad"], 0.6),
    make("div", { class: "pair" }, sizeControl(), colourControl()),
    memoryControl(),
  );
  byId("more-controls").replaceChildren(
    encoderControl(),
    ...told.controls.filter((found) => !MAIN.includes(found.name)).map(plainControl),
  );
  change();
}

const shown = (value) => Number(Number(value).toPrecision(3)).toString();

function presetControl() {
  const note = make("p", { class: "note", id: "preset-note" }, preset().source);
  const select = make("select", { id: "preset", "aria-describedby": "preset-note", change: () => {
    choosePreset(select.value);
    byId("preset").focus();
  } }, ...told.presets.map((found) => make("option", { value: found.name, disabled: !found.here, selected: found.name === presetName },
    words(found.name) + (found.here ? "" : ` – needs ${found.settings.encoder}`))));
  return make("div", { class: "control" }, make("label", { htmlFor: "preset" }, "Recipe"), select, note);
}

// A slider whose ends are the preset's value times and by a power of ten.
function slider(name, label, ends, reach) {
  const base = preset().settings[name] || 1;
  const output = make("output", { htmlFor: name }, shown(values[name]));
  const at = Math.max(-reach, Math.min(reach, Math.log10((values[name] || 1e-9) / base)));
  const tell = (input) => input.setAttribute("aria-valuetext", shown(values[name]));
  const input = make("input", { type: "range", id: name, min: -reach, max: reach, step: reach / 40, value: at, input: () => {
    values[name] = Number((base * 10 ** Number(input.value)).toPrecision(3));
    output.textContent = shown(values[name]);
    tell(input);
  } });
  tell(input);
  return make("div", { class: "control" },
    make("div", { class: "head" }, make("label", { htmlFor: name, title: control(name).help }, label), output), input,
    make("div", { class: "ends", "aria-hidden": "true" }, ...ends.map((end) => make("span", {}, end))));
}

function sizeControl() {
  const sizes = SIZES.includes(values.size) ? SIZES : [...SIZES, values.size];
  const name = (size) => (size === "original" ? "The photograph’s own" : Number.isInteger(size) ? `${size} pixels` : String(size));
  const options = [...new Set([...sizes, "original"])];
  const select = make("select", { id: "size", change: () => {
    const text = select.value;
    values.size = /^\d+$/.test(text) ? Number(text) : text;
  } }, ...options.map((size) => make("option", { value: size, selected: size === values.size }, name(size))));
  return make("div", { class: "control" }, make("label", { htmlFor: "size" }, "Size"), select);
}

function colourControl() {
  const select = make("select", { id: "colour", change: () => { values.colour = select.value; } },
    ...control("colour").choices.map((choice) => make("option", { value: choice, selected: choice === values.colour }, COLOURS[choice] ?? choice)));
  return make("div", { class: "control" }, make("label", { htmlFor: "colour" }, "Colours"), select);
}

function memoryControl() {
  const segments = control("memory").choices.map((choice) =>
    make("label", {}, make("input", { type: "radio", name: "memory", value: choice, checked: choice === values.memory,
      change: () => { values.memory = choice; } }),
    { auto: "As it fits", high: "Fastest", low: "Less", tiles: "Least" }[choice] ?? choice));
  return make("div", { class: "control", role: "radiogroup", "aria-label": "Memory" },
    make("span", { class: "legend" }, "Memory"), make("div", { class: "segments" }, ...segments));
}

function encoderControl() {
  const select = make("select", { id: "encoder", change: () => { values.encoder = select.value; } },
    ...told.encoders.map((name) => make("option", { value: name, selected: name === values.encoder }, name)));
  return make("div", { class: "control" }, make("label", { htmlFor: "encoder" }, "Encoder"), select);
}

const layersText = (layers) => Object.entries(layers ?? {}).map(([name, weight]) => `${name}=${shown(weight)}`).join(", ");

function readLayers(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return Object.fromEntries(parts.map((part) => {
    const [name, weight] = part.split("=");
    return [name.trim(), weight === undefined ? 1 : Number(weight)];
  }));
}

function plainControl({ name, kind, choices, help }) {
  const value = values[name], id = `setting-${name}`, note = `${id}-note`;
  const common = { id, "aria-describedby": note };
  const keep = (found) => { values[name] = found; };
  let input;
  if (kind === "choice") {
    input = make("select", { ...common, change: () => keep(input.value || null) },
      ...choices.map((choice) => make("option", { value: choice, selected: choice === (value ?? "") }, choice || "as it was trained")));
  } else if (kind === "flag") {
    input = make("input", { ...common, type: "checkbox", checked: value, change: () => keep(input.checked) });
  } else if (kind === "layers") {
    input = make("input", { ...common, type: "text", value: layersText(value), change: () => keep(readLayers(input.value)) });
  } else {
    input = make("input", { ...common, type: "number", step: kind === "whole" ? 1 : "any", value: value ?? "",
      change: () => keep(input.value === "" ? null : Number(input.value)) });
  }
  return make("div", { class: "control" }, make("label", { htmlFor: id }, words(name), kind === "flag" ? " " : ""), input,
    make("p", { class: "note", id: note }, help));
}
