// A photograph from the camera.

import { byId, make, trouble } from "./dom.js";

let take;

export function setUpCamera(onPicture) {
  take = onPicture;
  byId("shoot").addEventListener("click", shoot);
  byId("camera-close").addEventListener("click", () => byId("camera").close());
  byId("camera").addEventListener("close", () => {
    byId("video").srcObject?.getTracks().forEach((track) => track.stop());
    byId("video").srcObject = null;
  });
}

export async function openCamera() {
  trouble(null);
  try {
    byId("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 } }, audio: false });
    byId("camera").showModal();
    byId("shoot").focus();
  } catch {
    trouble(new Error("the camera cannot be used: there is none, or the browser or system does not allow it"), byId("content-slot"));
  }
}

function shoot() {
  const video = byId("video");
  if (!video.videoWidth) return;
  const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  byId("camera").close();
  canvas.toBlob((blob) => take(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.95);
}
