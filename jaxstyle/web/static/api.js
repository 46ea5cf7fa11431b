// Requests to this page's own server. The message of an error is the server's one line.

let onLost = async () => {};

// Calls a function when the server does not know this visitor any more.
export const whenLost = (call) => { onLost = call; };

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw silent();
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw await refusal(answer.status, found);
  return found;
}

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });

// Posts a request whose answer is a picture; returns its address in this page.
export async function fetchPicture(path, body) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body) }).catch(() => { throw silent(); });
  if (!answer.ok) throw await refusal(answer.status, await answer.json().catch(() => ({})));
  return URL.createObjectURL(await answer.blob());
}

export const remove = (path) => ask(path, { method: "DELETE" });

// Sends a file, and reports the part that is sent; only XMLHttpRequest can.
export function upload(path, file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.loaded / event.total));
    request.addEventListener("load", async () => {
      if (request.status === 200) resolve(request.response);
      else reject(await refusal(request.status, request.response ?? {}));
    });
    request.addEventListener("error", () => reject(silent()));
    request.send(file);
  });
}

const silent = () => Object.assign(new Error("the server does not answer; is it still running?"), { silent: true });

async function refusal(status, found) {
  if (found.lost) await onLost();
  const message = found.lost ? `${found.error}. They are uploaded again; try once more` : found.error || `the server answered ${status}`;
  return Object.assign(new Error(message), { lost: found.lost });
}
