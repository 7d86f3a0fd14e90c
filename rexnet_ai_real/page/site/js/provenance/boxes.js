/** The metadata of files made of boxes: AVIF and HEIC (ISO 14496-12 and 23008-12), JPEG 2000 and JPEG XL. */

import { bigEndian, block, byteAt, Damaged, holds, isManifestStore, joined } from "./block.js";
import { latin1, quoted, thousands } from "./text.js";

const C2PA_BOX = "\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81"; // C2PA 2.1, section A.5.1
const XMP_BOX = "\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac"; // ISO 16684-1, annex A
const JPEG2000_STREAM = "\xff\x4f\xff\x51";
const JXL_STREAM = "\xff\x0a";

/** @typedef {import("./block.js").Block} Block */

/**
 * All metadata of a file of boxes; a bare JPEG 2000 or JPEG XL stream has none.
 *
 * @param {Uint8Array} data
 * @param {{parts: number, block_bytes: number}} limits
 * @returns {Generator<Block>}
 * @throws {Damaged} a box is cut off or points outside the file; what came before was yielded
 */
export function* boxFileBlocks(data, limits) {
  if (holds(data, 0, JPEG2000_STREAM) || holds(data, 0, JXL_STREAM)) return;
  for (const { name, start, end } of boxes(data, 0, data.length, limits)) {
    if (name === "meta") {
      yield* itemBlocks(data, start + 4, end, limits);
    } else if (name === "uuid") {
      yield* uuidBlocks(data.subarray(start), data.subarray(start + 16, Math.max(start + 16, end)));
    } else if (name === "Exif") {
      yield exif("JPEG XL Exif", data.subarray(start, end));
    } else if (name === "xml ") {
      yield block("xmp", "xml box", data.subarray(start, end));
    } else if (name === "jumb" && isManifestStore(data.subarray(start - 8))) {
      yield block("c2pa", "JUMBF box", data.subarray(start - 8, end));
    }
  }
}

function* uuidBlocks(uuid, body) {
  if (holds(uuid, 0, XMP_BOX)) {
    yield block("xmp", "uuid box", body);
  } else if (holds(uuid, 0, C2PA_BOX)) {
    // Version and flags, the box's purpose up to a zero byte, and the place of an auxiliary box.
    const purpose = body.indexOf(0, 4);
    const store = purpose < 0 ? new Uint8Array() : body.subarray(purpose + 9);
    if (isManifestStore(store)) yield block("c2pa", "uuid box", store);
  }
}

/** Type of each box, and where its content begins and ends. */
function* boxes(data, first, end, limits) {
  let at = first;
  for (let count = 0; count < limits.parts; count++) {
    if (at + 8 > end) return;
    const name = latin1(data.subarray(at + 4, at + 8));
    let [size, start] = [bigEndian(data, at, 4), at + 8];
    if (size === 0) size = end - at; // to the end of what encloses it
    else if (size === 1) [size, start] = [bigEndian(data, at + 8, 8), at + 16];
    if (size < start - at || at + size > end) {
      throw new Damaged(`box ${quoted(name)} at byte ${thousands(at)} reaches past the end of the file`);
    }
    yield { name, start, end: at + size };
    at += size;
  }
  throw new Damaged(`more than ${thousands(limits.parts)} boxes`);
}

/** Items of a `meta` box: `iinf` names them, `iloc` says where their bytes are. */
function* itemBlocks(data, start, end, limits) {
  const inner = new Map();
  for (const box of boxes(data, start, end, limits)) inner.set(box.name, box);
  const [iinf, iloc] = [inner.get("iinf"), inner.get("iloc")];
  if (!iinf || !iloc) return;
  const wanted = new Map(metadataItems(data, iinf, limits));
  const places = itemPlaces(data.subarray(iloc.start, iloc.end), inner.get("idat")?.start ?? 0, limits);
  for (const [item, extents] of places) {
    if (!wanted.has(item)) continue;
    if (extents.reduce((sum, [, length]) => sum + length, 0) > limits.block_bytes) {
      throw new Damaged(`an item of metadata holds more than ${thousands(limits.block_bytes)} bytes`);
    }
    const content = joined(extents.map(([first, length]) => data.subarray(first, first + length)));
    yield wanted.get(item) === "Exif" ? exif("EXIF item", content) : block("xmp", "XMP item", content);
  }
}

/** Number and type of the items that hold EXIF or XMP. */
function* metadataItems(data, iinf, limits) {
  const first = iinf.start + (byteAt(data, iinf.start) === 0 ? 6 : 8);
  for (const { name, start, end } of boxes(data, first, iinf.end, limits)) {
    if (name !== "infe" || byteAt(data, start) < 2) continue; // earlier versions have no item types
    const wide = data[start] > 2 ? 4 : 2;
    const number = bigEndian(data, start + 4, wide);
    const kind = latin1(data.subarray(start + 6 + wide, start + 10 + wide));
    if (kind === "Exif" || (kind === "mime" && isXmp(data.subarray(start + 10 + wide, end)))) yield [number, kind];
  }
}

/** Whether an item's name is followed by XMP's media type. */
function isXmp(texts) {
  const at = texts.indexOf(0) + 1;
  if (at === 0) return false;
  const end = texts.indexOf(0, at);
  const type = "application/rdf+xml";
  return (end < 0 ? texts.length : end) - at === type.length && holds(texts, at, type);
}

/** Number and extents (first byte, length) of each item (ISO 14496-12, section 8.11.3). */
function* itemPlaces(iloc, idat, limits) {
  let [at, parts] = [0, 0];
  const number = (size) => {
    at += size;
    if (at > iloc.length) throw new Damaged("the table of items is cut off");
    return bigEndian(iloc, at - size, size);
  };
  const version = number(1);
  number(3); // flags
  const sizes = number(2);
  const [offsetSize, lengthSize, baseSize, indexSize] = [12, 8, 4, 0].map((shift) => (sizes >> shift) & 15);
  const wide = version === 2 ? 4 : 2;
  for (let left = number(wide); left > 0; left--) {
    const item = number(wide);
    const method = version ? number(2) & 15 : 0;
    number(2); // which file: this one
    const base = number(baseSize) + (method === 1 ? idat : 0);
    const extents = [];
    for (let more = number(2); more > 0; more--) {
      // Where no number has any bytes, a table of bytes can claim extents by the billion.
      if (++parts > limits.parts) throw new Damaged(`more than ${thousands(limits.parts)} extents of items`);
      number(version ? indexSize : 0);
      const offset = number(offsetSize);
      extents.push([base + offset, number(lengthSize)]);
    }
    if (method < 2) yield [item, extents]; // 2: cut out of another item
  }
}

/** The TIFF structure, which stands behind a four-byte distance. */
function exif(where, content) {
  return block("exif", where, content.subarray(4 + bigEndian(content, 0, 4)));
}
