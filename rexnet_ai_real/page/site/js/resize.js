/**
 * Resizing as Pillow does it (Image.resize, 8-bit channels), to the bit: a filter of triangular or cubic shape, widened
 * where the image is reduced, in whole numbers of 22 fractional bits.
 *
 * A browser's own resizing differs from browser to browser and moves probabilities by several points.
 */

const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/** @typedef {{width: number, height: number, data: Uint8Array | Uint8ClampedArray}} Pixels RGB, three bytes a pixel. */
/** @typedef {[number, number, number, number]} Box Left, top, right, bottom, in pixels. */

const FILTERS = {
  bilinear: { support: 1, weight: (x) => (Math.abs(x) < 1 ? 1 - Math.abs(x) : 0) },
  bicubic: { support: 2, weight: cubic },
};

/** Keys (1981) with a = -0.5. */
function cubic(position) {
  const a = -0.5;
  const x = Math.abs(position);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/**
 * A part of an image as a square.
 * @param {Pixels} image
 * @param {number} side of the square, in pixels.
 * @param {"bilinear" | "bicubic"} interpolation
 * @param {Box} box the part.
 * @returns {Uint8Array} (side, side, 3)
 */
export function resized(image, side, interpolation, box) {
  const filter = FILTERS[interpolation];
  const across = weightsOf(image.width, box[0], box[2], side, filter);
  const down = weightsOf(image.height, box[1], box[3], side, filter);
  // Both orders are rounded in between, so they differ. Pillow 13 takes that of the smaller intermediate image, more or
  // less: found by comparing 393 sizes and parts.
  const isColumnsFirst = image.height - side > 2 * Math.max(0, image.width - side);
  const passes = isColumnsFirst ? [alongColumns, alongRows] : [alongRows, alongColumns];
  return passes.reduce((made, pass) => pass(made, pass === alongRows ? across : down, side), image).data;
}

/** For each pixel of the result: the first source pixel, how many there are, and their weights. */
function weightsOf(size, low, high, count, { support: reach, weight }) {
  const scale = (high - low) / count;
  const widened = Math.max(scale, 1);
  const support = reach * widened;
  const most = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Int32Array(count * most);
  const exact = new Float64Array(most);
  for (let at = 0; at < count; at++) {
    const centre = low + (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const length = Math.min(size, Math.trunc(centre + support + 0.5)) - start;
    let total = 0;
    for (let step = 0; step < length; step++) {
      exact[step] = weight((step + start - centre + 0.5) * (1 / widened));
      total += exact[step];
    }
    for (let step = 0; step < length; step++) {
      const share = (total === 0 ? exact[step] : exact[step] / total) * (1 << PRECISION);
      weights[at * most + step] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
    starts[at] = start;
    counts[at] = length;
  }
  return { starts, counts, weights, most };
}

/** Every row to `side` pixels. */
function alongRows({ width, height, data }, { starts, counts, weights, most }, side) {
  const result = new Uint8ClampedArray(height * side * 3);
  for (let row = 0, to = 0; row < height; row++) {
    for (let at = 0; at < side; at++, to += 3) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = (row * width + starts[at]) * 3;
      for (let step = at * most, end = step + counts[at]; step < end; step++, from += 3) {
        const weight = weights[step];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      result[to] = red >> PRECISION;
      result[to + 1] = green >> PRECISION;
      result[to + 2] = blue >> PRECISION;
    }
  }
  return { width: side, height, data: new Uint8Array(result.buffer) };
}

/** Every column to `side` pixels. */
function alongColumns({ width, data }, { starts, counts, weights, most }, side) {
  const stride = width * 3;
  const result = new Uint8ClampedArray(side * stride);
  const sums = new Int32Array(stride);
  for (let at = 0; at < side; at++) {
    sums.fill(HALF);
    for (let step = 0; step < counts[at]; step++) {
      const weight = weights[at * most + step];
      const from = (starts[at] + step) * stride;
      for (let column = 0; column < stride; column++) sums[column] += data[from + column] * weight;
    }
    for (let column = 0; column < stride; column++) result[at * stride + column] = sums[column] >> PRECISION;
  }
  return { width, height: side, data: new Uint8Array(result.buffer) };
}

/**
 * The part of an image that the network sees, by the detector's rule.
 * @param {{image_size: number, resize: string}} preprocessing
 * @returns {Box}
 */
export function seen({ image_size: side, resize }, width, height) {
  if (resize === "squash") return [0, 0, width, height];
  if (resize === "crop") {
    const square = Math.min(width, height);
    const left = (width - square) / 2;
    const top = (height - square) / 2;
    return [left, top, left + square, top + square];
  }
  const square = Math.min(side, width, height);
  const left = Math.floor((width - square) / 2);
  const top = Math.floor((height - square) / 2);
  return [left, top, left + square, top + square];
}

/**
 * The mean of whole squares of pixels, as Pillow's Image.reduce gives it; at the right and the bottom of what is left.
 * @param {Pixels} image
 * @param {number} factor pixels a side of each square.
 * @returns {Pixels}
 */
export function reduced(image, factor) {
  if (factor <= 1) return image;
  const size = reducedSize(image, factor);
  const data = new Uint8Array(size.width * size.height * 3);
  reduceInto(data, 0, { ...image, channels: 3 }, factor);
  return { ...size, data };
}

/** @returns {{width: number, height: number}} */
export function reducedSize({ width, height }, factor) {
  return { width: Math.ceil(width / factor), height: Math.ceil(height / factor) };
}

/**
 * Writes the means of whole squares of pixels as RGB, row after row.
 * @param {Uint8Array} target
 * @param {number} to where in it the first row begins.
 * @param {{width: number, height: number, channels: 3 | 4, data: Uint8Array | Uint8ClampedArray}} source
 * @param {number} factor pixels a side of each square.
 * @returns {number} where the next row begins.
 */
export function reduceInto(target, to, source, factor) {
  const { width } = reducedSize(source, factor);
  const sums = new Int32Array(width * 3);
  for (let top = 0; top < source.height; top += factor) {
    const bottom = Math.min(top + factor, source.height);
    sums.fill(0);
    for (let y = top; y < bottom; y++) addRow(source, y, factor, sums);
    const tall = bottom - top;
    for (let column = 0, at = 0; column < width; column++) {
      const pixels = tall * Math.min(factor, source.width - column * factor);
      for (const end = at + 3; at < end; at++) target[to++] = Math.floor((sums[at] + pixels / 2) / pixels);
    }
  }
  return to;
}

function addRow({ width, channels, data }, y, factor, sums) {
  let from = y * width * channels;
  for (let at = 0, x = 0; x < width; at += 3) {
    let red = 0;
    let green = 0;
    let blue = 0;
    for (const end = Math.min(x + factor, width); x < end; x++, from += channels) {
      red += data[from];
      green += data[from + 1];
      blue += data[from + 2];
    }
    sums[at] += red;
    sums[at + 1] += green;
    sums[at + 2] += blue;
  }
}
