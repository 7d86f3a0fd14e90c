/**
 * From a file's bytes to RGB pixels as the Python package's images/decode.py gives them: upright, in sRGB, over white,
 * of an animation the first frame, and of a large JPEG a reduced copy.
 */

import { jpegHeader, refusal, wordOf } from "./formats.js";
import { reducedSize, reduceInto } from "./resize.js";

/** @typedef {import("./resize.js").Pixels} Pixels */

/** A file that gives no image. The message is the reason, in one line. */
export class Unreadable extends Error {}

/** Pixels that are read from a canvas at a time: 16 MB. */
const STRIP = 1 << 22;

/**
 * @param {Uint8Array} bytes the whole file.
 * @param {string | null} format as `formatOf` names it.
 * @param {{max_pixels: number, max_aspect: number, max_scans: number}} limits
 * @param {number | null} enough pixels a side that suffice of a JPEG; null: all that the file holds.
 * @returns {Promise<{pixels: Pixels, width: number, height: number}>} the pixels, and the image's own size.
 */
export async function decode(bytes, format, limits, enough) {
  const why = refusal(bytes, format) ?? incomplete(bytes, format);
  if (why) throw new Unreadable(why);
  if (format === "JPEG" && scans(bytes) > limits.max_scans) {
    throw new Unreadable(`JPEG with more than ${limits.max_scans} scans`);
  }
  checkSize(declaredSize(format, bytes), limits);
  const bitmap = await bitmapOf(bytes, format);
  try {
    checkSize(bitmap, limits);
    const { width, height } = bitmap;
    const factor = format === "JPEG" && enough ? factorOf(bitmap, enough) : 1;
    return { pixels: readPixels(bitmap, factor), width, height };
  } finally {
    bitmap.close();
  }
}

async function bitmapOf(bytes, format) {
  const file = new Blob([bytes], { type: `image/${format.toLowerCase()}` });
  try {
    // The browser turns the image upright and converts its colours; alpha stays as it is in the file.
    return await createImageBitmap(file, { premultiplyAlpha: "none" });
  } catch {
    throw new Unreadable(`damaged ${wordOf(format)}, or one that this browser does not read`);
  }
}

/**
 * By how much Pillow reduces a JPEG while it decodes it. The decoder does so by leaving out high frequencies, which the
 * mean of whole squares of pixels comes near.
 */
function factorOf({ width, height }, enough) {
  const fits = Math.min(Math.floor(width / enough), Math.floor(height / enough));
  return [8, 4, 2].find((factor) => fits >= factor) ?? 1;
}

/** RGB over white, reduced by a whole factor, strip by strip: a large image is not held several times. */
function readPixels(bitmap, factor) {
  const { width, height } = bitmap;
  const most = Math.max(1, Math.floor(STRIP / width / factor)) * factor;
  const rows = Math.min(height, most);
  const canvas = new OffscreenCanvas(width, rows);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Unreadable("this browser has no room for an image of this size");
  context.fillStyle = "white";
  const size = reducedSize(bitmap, factor);
  const data = new Uint8Array(size.width * size.height * 3);
  for (let top = 0, to = 0; top < height; top += rows) {
    const tall = Math.min(rows, height - top);
    context.fillRect(0, 0, width, tall);
    context.drawImage(bitmap, 0, top, width, tall, 0, 0, width, tall);
    const source = { width, height: tall, channels: 4, data: context.getImageData(0, 0, width, tall).data };
    to = factor === 1 ? copyInto(data, to, source.data) : reduceInto(data, to, source, factor);
  }
  return { ...size, data };
}

function copyInto(target, to, rgba) {
  for (let from = 0; from < rgba.length; from += 4, to += 3) {
    target[to] = rgba[from];
    target[to + 1] = rgba[from + 1];
    target[to + 2] = rgba[from + 2];
  }
  return to;
}

function checkSize(size, limits) {
  if (!size) return;
  const { width, height } = size;
  if (width * height > limits.max_pixels) {
    throw new Unreadable(
      `${width} x ${height} pixels, more than the limit of ${limits.max_pixels.toLocaleString("en")}`,
    );
  }
  if (Math.max(width, height) > limits.max_aspect * Math.min(width, height)) {
    throw new Unreadable(
      `${width} x ${height} pixels, one side more than ${limits.max_aspect.toLocaleString("en")} times the other`,
    );
  }
}

/** Width and height as the file's head says, before anything is decoded; null where they stand deeper. */
function declaredSize(format, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === "JPEG") return jpegHeader(bytes);
  if (format === "PNG" && bytes.length > 24) return { width: view.getUint32(16), height: view.getUint32(20) };
  if (format === "GIF" && bytes.length > 10) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  return null;
}

/** Why a file ends before its pixels do, which browsers show with a grey part; null where it is whole. */
function incomplete(bytes, format) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isShort =
    (format === "JPEG" && lastEnd(bytes) < scanStart(bytes)) ||
    (format === "PNG" && indexOf(bytes, [0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82]) < 0) ||
    (format === "WEBP" && (bytes.length < 12 || bytes.length < 8 + view.getUint32(4, true)));
  return isShort ? `truncated ${wordOf(format)}` : null;
}

/** Where the pixels of a JPEG begin; its length where they never do. */
function scanStart(bytes) {
  let at = 2;
  while (at + 4 < bytes.length && bytes[at] === 0xff) {
    if (bytes[at + 1] === 0xda) return at;
    at += bytes[at + 1] === 0xff ? 1 : 2 + ((bytes[at + 2] << 8) | bytes[at + 3]);
  }
  return bytes.length;
}

/** Passes over the pixels; each costs as much time as the first, whatever it brings. */
function scans(bytes) {
  let found = 0;
  for (let at = bytes.indexOf(0xff); at >= 0; at = bytes.indexOf(0xff, at + 1)) if (bytes[at + 1] === 0xda) found++;
  return found;
}

function lastEnd(bytes) {
  for (let at = bytes.length - 2; at > 0; at--) if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return at;
  return -1;
}

/** The last place of a sequence of bytes; -1 where there is none. */
function indexOf(bytes, wanted) {
  for (let at = bytes.length - wanted.length; at >= 0; at--) {
    if (wanted.every((value, index) => bytes[at + index] === value)) return at;
  }
  return -1;
}

/**
 * Whether this browser gives pages the pixels as they are. Some add noise against fingerprinting, which a detector would
 * take for the image.
 */
export async function pixelsAreExact() {
  const side = 16;
  const known = new ImageData(side, side);
  for (let at = 0; at < known.data.length; at++) known.data[at] = at % 4 === 3 ? 255 : (at * 89 + (at >> 4) * 31) % 256;
  const bitmap = await createImageBitmap(known);
  const read = readPixels(bitmap, 1).data;
  bitmap.close();
  return read.every((value, at) => value === known.data[Math.floor(at / 3) * 4 + (at % 3)]);
}
