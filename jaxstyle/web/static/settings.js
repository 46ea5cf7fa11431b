// All settings, in the groups of the command's help.

import { make, shown } from "./dom.js";

export function settings(controls, values, keep) {
  const groups = new Map();
  for (const control of controls) groups.set(control.group, [...(groups.get(control.group) ?? []), control]);
  return [...groups].map(([title, members]) => make("fieldset", {}, make("legend", {}, title), ...members.map((control) => field(control, values, keep))));
}

const layersText = (layers) => Object.entries(layers ?? {}).map(([name, weight]) => `${name}=${shown(weight)}`).join(", ");

function readLayers(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return Object.fromEntries(parts.map((part) => {
    const [name, weight] = part.split("=");
    return [name.trim(), weight === undefined ? 1 : Number(weight)];
  }));
}

function field({ name, label, kind, choices, labels, help }, values, keep) {
  const value = values[name], id = `setting-${name}`, note = `${id}-note`;
  const common = { id, "aria-describedby": note };
  let input;
  if (kind === "choice") {
    input = make("select", { ...common, change: () => keep(name, input.value || null) },
      ...choices.map((choice) => make("option", { value: choice, selected: choice === (value ?? "") }, labels[choice] ?? choice)));
  } else if (kind === "flag") {
    input = make("input", { ...common, type: "checkbox", checked: value, change: () => keep(name, input.checked) });
  } else if (kind === "layers") {
    input = make("input", { ...common, type: "text", value: layersText(value), change: () => keep(name, readLayers(input.value)) });
  } else {
    input = make("input", { ...common, type: "number", step: kind === "whole" ? 1 : "any", value: value ?? "",
      change: () => keep(name, input.value === "" ? null : Number(input.value)) });
  }
  return make("div", { class: `control ${kind}` }, make("label", { htmlFor: id }, label), input, make("p", { class: "note", id: note }, help === `${label}.` ? "" : help));
}
