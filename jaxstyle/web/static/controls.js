// The look: presets as cards, and the main settings.

import { byId, make, say, shown } from "./dom.js";
import * as store from "./store.js";
import { settings } from "./settings.js";

const SIZES = [256, 384, 512, 768, 1024, 1536];
const MAIN = ["style_weight", "style_scale", "size", "colour"];
const STROKES = [0.25, 4];

let told, values, presetName = "default", change = () => {};

const preset = () => told.presets.find((found) => found.name === presetName);
const control = (name) => told.controls.find((found) => found.name === name);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export function setUp(description, onChange) {
  told = description;
  change = onChange;
  byId("reset").addEventListener("click", () => choosePreset(presetName));
  const { preset: name, settings: changed = {} } = store.read();
  if (usable(name)) presetName = name;
  values = { ...structuredClone(preset().settings), ...changed };
  draw();
}

const usable = (name) => told.presets.some((found) => found.name === name && found.here);

export function choosePreset(name) {
  presetName = name;
  values = structuredClone(preset().settings);
  draw();
}

// Takes over the settings of a picture. Returns a sentence on those that name a file which is not here.
export function adopt(found, name) {
  presetName = usable(name) ? name : "default";
  values = structuredClone(found);
  const choices = { encoder: told.encoders, ...Object.fromEntries(told.controls.filter(({ kind }) => kind === "choice").map((each) => [each.name, each.choices])) };
  const missing = Object.keys(choices).filter((field) => values[field] != null && !choices[field].includes(values[field]));
  const lost = missing.map((field) => `${field === "encoder" ? "Network" : control(field).label} ${values[field]} is not here; the preset’s own is used.`);
  for (const field of missing) values[field] = preset().settings[field];
  draw();
  return lost.join(" ");
}

export function set(name, value) {
  values[name] = value;
  draw();
}

// Strength of the instant picture, from 0 to 1: that of the preset is 1.
export const strength = () => Math.min(1, Math.sqrt(values.style_weight / (preset().settings.style_weight || 1)));

// What differs from the preset.
export function wish() {
  const own = preset().settings, changed = {};
  for (const name of Object.keys({ ...own, ...values })) {
    const value = values[name] ?? null; // A table omits None.
    if (!same(value, own[name] ?? null)) changed[name] = value;
  }
  return { preset: presetName, settings: changed };
}

function keep(name, value) {
  values[name] = value;
  changed();
}

function changed() {
  store.write(wish());
  change();
}

function draw() {
  const { strengths } = told;
  byId("cards").replaceChildren(...told.presets.filter(({ first }) => first).map(card));
  byId("more-cards").replaceChildren(...told.presets.filter(({ first }) => !first).map(card));
  byId("main-controls").replaceChildren(
    slider("style_weight", ["more of the photograph", "more of the painting"], [strengths[0], strengths.at(-1)]),
    slider("style_scale", ["fine", "broad"], STROKES),
    make("div", { class: "pair" }, sizeControl(), select("colour", control("colour"))),
  );
  const encoder = { name: "encoder", label: "Network", kind: "choice", choices: told.encoders, labels: {}, group: "For experts",
    help: "The network that compares the pictures. More of them: jaxstyle weights download." };
  byId("more-controls").replaceChildren(...settings([...told.controls.filter(({ name }) => !MAIN.includes(name)), encoder], values, keep));
  changed();
}

function card({ name, title, text, here, first, settings: { encoder } }) {
  const input = make("input", { type: "radio", name: "preset", value: name, checked: name === presetName, disabled: !here,
    change: () => {
      choosePreset(name);
      document.querySelector(`[name=preset][value="${name}"]`).focus();
    } });
  return make("label", { class: "card" }, input, first ? make("img", { src: `/static/presets/${name}.jpg`, alt: "" }) : null,
    make("span", {}, make("b", {}, title), make("small", {}, here ? text : `${text}. A download first: jaxstyle weights download ${encoder}`)));
}

// A slider between two multiples of the preset's value.
function slider(name, ends, range) {
  const { label, help } = control(name), base = preset().settings[name] || 1;
  const [min, max] = range.map(Math.log10);
  const output = make("output", { htmlFor: name }, shown(values[name]));
  const at = Math.max(min, Math.min(max, Math.log10((values[name] || 1e-9) / base)));
  const input = make("input", { type: "range", id: name, min, max, step: "any", value: at, "aria-valuetext": shown(values[name]), input: () => {
    keep(name, Number((base * 10 ** Number(input.value)).toPrecision(3)));
    output.textContent = shown(values[name]);
    input.setAttribute("aria-valuetext", output.textContent);
  } });
  return make("div", { class: "control" },
    make("div", { class: "head" }, make("label", { htmlFor: name, title: help }, label), output), input,
    make("div", { class: "ends", "aria-hidden": "true" }, ...ends.map((end) => make("span", {}, end))));
}

function sizeControl() {
  const choices = [...new Set([...SIZES, values.size, "original"])];
  const labels = Object.fromEntries(choices.map((size) => [size, size === "original" ? "As the photograph" : Number.isInteger(size) ? `${size} pixels` : size]));
  return select("size", { label: "Size", choices, labels }, (text) => (/^\d+$/.test(text) ? Number(text) : text));
}

function select(name, { label, choices, labels }, parse = (text) => text) {
  const input = make("select", { id: name, change: () => keep(name, parse(input.value)) },
    ...choices.map((choice) => make("option", { value: choice, selected: choice === values[name] }, labels[choice] ?? choice)));
  return make("div", { class: "control" }, make("label", { htmlFor: name }, label), input);
}

// Says where settings come from, and takes them over if that was asked for.
export function offer({ name, settings: found, sources }, asked, near) {
  if (!asked) {
    say(`${name} was painted by jaxstyle. `, near);
    byId("status").append(make("button", { type: "button", class: "link", click: () => offer({ name, settings: found, sources }, true, near) }, "Use its settings"));
    return;
  }
  const { content, styles, preset: from, masks, continued_from: preview } = sources;
  const parts = [`The settings are those of ${name}.`];
  if (content) parts.push(`It was painted from ${[content, ...(styles ?? [])].join(" and ")}.`);
  if (preview) parts.push("It is a print; the settings are those of its preview.");
  if (masks) parts.push("Its regions are not saved in it; paint them again.");
  parts.push(adopt(found, from));
  say(parts.join(" ").trim(), near);
}
