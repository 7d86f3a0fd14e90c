/**
 * What makes an image hard to judge, or none that a detector can judge: the same rules and words as the Python package's
 * images/remarks.py and images/scope.py, whose limits come with the detector.
 */

import { reduced } from "./resize.js";
import { roundHalfEven } from "./rounding.js";

/** @typedef {import("./resize.js").Pixels} Pixels */

/**
 * A remark on an image that is blank or far too small; null for all others.
 * @param {{width: number, height: number}} image
 * @param {Uint8Array} seen what the network sees, (side, side, 3).
 * @param {number} side
 * @param {number | null} familiarSide shorter side of the images that the network was trained on.
 * @param {{far_below: number, blank: number}} limits
 */
export function remarkOn({ width, height }, seen, side, familiarSide, limits) {
  if (span(seen) <= limits.blank) return "blank or fully transparent: there is nothing to judge";
  const shorter = Math.min(width, height);
  const isFamiliar = familiarSide !== null && shorter >= familiarSide;
  if (limits.far_below * shorter <= side && !isFamiliar) {
    return `only ${width} x ${height} pixels, and the detector expects ${side} a side: too few to judge by`;
  }
  return null;
}

function span(pixels) {
  let widest = 0;
  for (let channel = 0; channel < 3; channel++) {
    let low = 255;
    let high = 0;
    for (let at = channel; at < pixels.length; at += 3) {
      low = Math.min(low, pixels[at]);
      high = Math.max(high, pixels[at]);
    }
    widest = Math.max(widest, high - low);
  }
  return widest;
}

/**
 * Why an image is a screenshot, text or a flat graphic; null for all others.
 * @param {Pixels} image
 * @param {Object<string, number>} limits
 */
export function outOfScope(image, limits) {
  const found = flatness(image, limits);
  if (found.shades < limits.few_shades || found.shaded > limits.shaded || found.sharp < limits.sharp) return null;
  const percent = (share) => `${roundHalfEven(100 * share)}%`;
  if (found.twoShades >= limits.text_shades && found.sharp >= limits.text_sharp) {
    return `text or a line drawing: ${percent(found.twoShades)} of it are of two colours, with sharp edges between them`;
  }
  if (found.flat < limits.flat) return null;
  return (
    `a screenshot or flat graphic: ${percent(found.shades)} of it are of ${limits.shades} colours, and ` +
    `${percent(found.flat)} of its pixels are exactly like the next`
  );
}

const NONE = { flat: 0, shades: 0, twoShades: 0, shaded: 0, sharp: 0 };

function flatness(whole, limits) {
  const image = reduced(whole, Math.floor(Math.max(whole.width, whole.height) / limits.side));
  const { width, height, data } = image;
  if (Math.min(width, height) < 2) return NONE;
  const size = (width - 1) * (height - 1);
  const contrasts = new Uint8Array(size);
  const shades = new Uint16Array(size);
  const counts = new Uint32Array(4096);
  let alike = 0;
  for (let y = 1, to = 0; y < height; y++) {
    for (let x = 1; x < width; x++, to++) {
      const here = (y * width + x) * 3;
      const across = contrast(data, here, here - 3);
      contrasts[to] = Math.max(across, contrast(data, here, here - 3 * width));
      shades[to] = ((data[here] >> 4) << 8) | ((data[here + 1] >> 4) << 4) | (data[here + 2] >> 4);
      counts[shades[to]]++;
      if (across === 0) alike++;
    }
  }
  const ground = counts.indexOf(counts.reduce((most, count) => Math.max(most, count)));
  const most = Array.from(counts).sort((one, other) => other - one);
  const { total, soft, hard } = standingOut(contrasts, shades, ground, limits);
  return {
    flat: alike / size,
    shades: sum(most.slice(0, limits.shades)) / size,
    twoShades: sum(most.slice(0, 2)) / size,
    shaded: soft / Math.max(1, total),
    sharp: hard / Math.max(1, total),
  };
}

/** Of the pixels whose shade is not that of the ground: how many, how many softly shaded, how many sharply bounded. */
function standingOut(contrasts, shades, ground, limits) {
  const found = { total: 0, soft: 0, hard: 0 };
  for (let at = 0; at < shades.length; at++) {
    if (isNear(shades[at], ground)) continue;
    found.total++;
    if (contrasts[at] > limits.hard_edge) found.hard++;
    else if (contrasts[at] > limits.soft_edge) found.soft++;
  }
  return found;
}

function isNear(shade, ground) {
  for (let shift = 0; shift <= 8; shift += 4) {
    if (Math.abs(((shade >> shift) & 15) - ((ground >> shift) & 15)) > 1) return false;
  }
  return true;
}

/** The largest difference between two pixels over the channels, in grey levels. */
function contrast(data, one, other) {
  const red = Math.abs(data[one] - data[other]);
  const green = Math.abs(data[one + 1] - data[other + 1]);
  const blue = Math.abs(data[one + 2] - data[other + 2]);
  return Math.max(red, green, blue);
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
