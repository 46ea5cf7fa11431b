// Regions as a number for each pixel, and as a picture in flat colours.

import { make } from "./dom.js";

let colours = [];

export const setColours = (hexes) => {
  colours = hexes.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
};
export const count = () => colours.length;

const LONGEST = 512;

// Width and height of the regions of a picture.
export function sizeOf(picture) {
  const scale = LONGEST / Math.max(picture.width, picture.height);
  return [picture.width, picture.height].map((side) => Math.max(16, Math.round(side * scale)));
}

export const empty = (picture) => new Uint8Array(sizeOf(picture).reduce((a, b) => a * b));

// A layer in the regions' colours; the opacity is that of marked and of other pixels.
export function layer(labels, width, height, opacity = [255, 255]) {
  const data = new ImageData(width, height);
  labels.forEach((label, i) => data.data.set([...colours[label], opacity[label ? 1 : 0]], 4 * i));
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

// Reads regions from a picture: each pixel belongs to the nearest colour.
export function read(image, width, height) {
  const context = make("canvas", { width, height }).getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const distance = ([r, g, b], i) => (r - data[i]) ** 2 + (g - data[i + 1]) ** 2 + (b - data[i + 2]) ** 2;
  return Uint8Array.from({ length: width * height }, (_, i) => {
    const all = colours.map((colour) => distance(colour, 4 * i));
    return all.indexOf(Math.min(...all));
  });
}

export const toPng = (picture) => layer(picture.labels ?? empty(picture), ...sizeOf(picture)).toDataURL("image/png");

export const toStore = (labels, width, height) => layer(labels, ...sizeOf({ width, height })).toDataURL("image/png");

export async function fromStore(source) {
  const image = make("img", { src: source });
  await image.decode();
  return read(image, image.naturalWidth, image.naturalHeight);
}
