/**
 * Where the evidence lies: the class-activation map of the same pass through the network, as the Python package's
 * explain/ shows it.
 */

import { roundHalfEven } from "./rounding.js";

/** Times its even share that the strongest tenth of the positions must hold for heat to point anywhere. */
const EVEN = 2;

/**
 * Heat for one class over the positions of the map.
 * @param {Float32Array} map log-odds of "AI-generated" that each position adds, times the number of positions.
 * @param {number} rows
 * @param {number} columns
 * @param {"ai" | "real"} target the class.
 */
export function heatOf(map, rows, columns, target) {
  const sign = target === "ai" ? 1 : -1;
  const heat = Float32Array.from(map, (value) => Math.max(0, sign * value) / map.length);
  const greatest = heat.reduce((most, value) => Math.max(most, value), 0);
  const tenth = Math.max(1, roundHalfEven(heat.length / 10));
  const strongest = Array.from(heat).sort((one, other) => other - one).slice(0, tenth);
  const total = heat.reduce((sum, value) => sum + value, 0);
  const share = total > 0 ? strongest.reduce((sum, value) => sum + value, 0) / total : 0;
  return { rows, columns, heat, greatest, share, pointsSomewhere: share >= (EVEN * tenth) / heat.length };
}

/**
 * Colours of heat over the part of the image that the network saw, with the opacity that shows them best.
 * @param {ReturnType<typeof heatOf>} found
 * @param {number[][]} colours from no heat to the greatest, 0 to 255.
 * @param {number} width of the picture, in pixels.
 * @param {number} height
 * @returns {ImageData}
 */
export function heatPicture(found, colours, width, height) {
  const picture = new ImageData(width, height);
  for (let y = 0, to = 0; y < height; y++) {
    const down = place(y, height, found.rows);
    for (let x = 0; x < width; x++, to += 4) {
      const value = between(found, down, place(x, width, found.columns)) / (found.greatest || 1);
      picture.data.set(colour(colours, value), to);
      picture.data[to + 3] = 255 * value;
    }
  }
  return picture;
}

/** Where the centre of a pixel lies among the centres of the positions: the nearest two, and the share of the second. */
function place(pixel, pixels, positions) {
  const at = Math.min(Math.max(((pixel + 0.5) * positions) / pixels - 0.5, 0), positions - 1);
  const first = Math.floor(at);
  return { first, second: Math.min(first + 1, positions - 1), share: at - first };
}

function between({ heat, columns }, down, across) {
  const row = (y) => heat[y * columns + across.first] * (1 - across.share) + heat[y * columns + across.second] * across.share;
  return row(down.first) * (1 - down.share) + row(down.second) * down.share;
}

function colour(colours, value) {
  const at = value * (colours.length - 1);
  const first = Math.min(Math.floor(at), colours.length - 2);
  return colours[first].map((channel, index) => channel + (colours[first + 1][index] - channel) * (at - first));
}

/** What the heat shows, or why there is none, in a sentence. */
export function aboutHeat(found, imageOfTarget) {
  const speaks = `what speaks for ${imageOfTarget}`;
  if (found.greatest <= 0) return `No heat: nothing in this image is ${speaks}.`;
  if (!found.pointsSomewhere) {
    return (
      `No heat is painted: ${speaks} is spread too evenly to point anywhere (the strongest tenth of the image holds ` +
      `${roundHalfEven(100 * found.share)} % of it).`
    );
  }
  return (
    `Heat: ${speaks}, in the eyes of this detector. It shows what moved the answer, not which part is fake, and not ` +
    "whether the answer is right."
  );
}
