// Files that are dropped on the page or pasted into it. Outside a slot, the photograph comes first.

import { byId, trouble } from "./dom.js";

export function acceptDrops(take, hasPhotograph) {
  let over = null;
  const light = (element) => {
    over?.classList.remove("over");
    over = element;
    over?.classList.add("over");
  };
  const accept = (data, slot) => {
    const files = [...data.files];
    if (!files.length) {
      if (data.types.some((type) => /uri|html/.test(type)))
        trouble(new Error("the other page gave a link instead of a picture: save the picture first, or copy it and paste it here"), slot ?? byId("content-slot"));
      return;
    }
    if (slot) take(slot.dataset.role, files);
    else if (hasPhotograph()) take("style", files);
    else {
      take("content", files.slice(0, 1));
      take("style", files.slice(1));
    }
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    light(event.target.closest?.(".slot") ?? byId("easel"));
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) light(null); });
  addEventListener("drop", (event) => {
    event.preventDefault();
    light(null);
    accept(event.dataTransfer, event.target.closest?.(".slot"));
  });
  addEventListener("paste", (event) => {
    if (!event.target.matches?.("input[type=text], input[type=number]")) accept(event.clipboardData, event.target.closest?.(".slot"));
  });
}
