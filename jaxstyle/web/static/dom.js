// Elements, and messages beside the control that they are about.

// Makes an element: tag, attributes (functions become listeners), children.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
const box = byId("trouble"), status = byId("status");

// Shows an error at the end of an element, on a phone as a toast; null clears it.
export function trouble(error, near = byId("actions")) {
  const name = /^(\w+)[ :]/.exec(error?.message ?? "")?.[1];
  const control = (name && (byId(name) ?? byId(`setting-${name}`)))?.closest(".control");
  for (let fold = control?.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  (control ?? near).append(box);
  box.hidden = !error;
  box.querySelector("span").textContent = error ? sentence(error.message) : "";
}

box.querySelector("button").addEventListener("click", () => trouble(null));

// Says what happens; `near` is the element that it is about if that is not the picture.
export function say(text, near = null) {
  (near ?? byId("said")).append(status);
  status.classList.toggle("toast", Boolean(near && text));
  status.textContent = text;
}

export const duration = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);
export const shown = (value) => Number(Number(value).toPrecision(3)).toString();
