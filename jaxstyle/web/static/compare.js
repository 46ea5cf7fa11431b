// Before and after: a picture with a divider that mouse, finger and arrow keys move.

import { make } from "./dom.js";

export function compare(before, after, shape, at = 50) {
  const divider = make("div", { class: "divider" });
  const photograph = make("img", { src: before, alt: "", class: "before", draggable: false });
  const set = (value) => {
    slider.value = Math.max(0, Math.min(100, value));
    photograph.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`;
    divider.style.left = `${slider.value}%`;
  };
  const slider = make("input", { type: "range", min: 0, max: 100, class: "compare", id: "compare",
    "aria-label": "Before and after: percent of the photograph that is shown", input: () => set(slider.value) });
  const inner = make("div", { class: "inner" }, after, photograph, divider, slider);
  const follow = (event) => {
    const box = inner.getBoundingClientRect();
    set(Math.round((100 * (event.clientX - box.left)) / box.width));
  };
  inner.addEventListener("pointerdown", (event) => {
    inner.setPointerCapture(event.pointerId);
    follow(event);
  });
  inner.addEventListener("pointermove", (event) => {
    if (inner.hasPointerCapture(event.pointerId)) follow(event);
  });
  set(at);
  return frame(inner, shape);
}

// A frame as wide as the stage, but no higher than the window.
export function frame(content, [height, width], kind = "") {
  const element = make("div", { class: `frame ${kind}` }, content);
  element.style.width = `min(100%, calc(${width / height} * var(--highest)))`;
  return element;
}
