// Requests to this page's own server; an error's message is the server's one line.

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(found.error || `the server answered ${answer.status}`);
    error.gone = answer.status === 404;
    throw error;
  }
  return found;
}

export const post = (path, body) =>
  ask(path, {
    method: "POST",
    headers: body instanceof Blob ? {} : { "Content-Type": "application/json" },
    body: body === undefined || body instanceof Blob ? body : JSON.stringify(body),
  });

export const remove = (path) => ask(path, { method: "DELETE" });

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

export const trouble = (error) => {
  byId("trouble").textContent = error ? sentence(error.message ?? String(error)) : "";
};

export const say = (text) => {
  byId("status").textContent = text;
};

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
