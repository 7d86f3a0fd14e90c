/** Texts in EXIF and TIFF directories (TIFF 6.0; EXIF 2.32, section 4.6). */

import { bigEndian, Damaged, littleEndian } from "./block.js";
import { latin1, soundUtf8, strip, stripBytes, stripEnd, thousands, utf16, utf8, utf8OrLatin1 } from "./text.js";

/** Tags of a TIFF file that hold other formats of metadata. */
export const [XMP, IPTC, PHOTOSHOP, C2PA] = [700, 33723, 34377, 0xcd41];

const EXIF_DIRECTORY = 0x8769;
const USER_COMMENT = 0x9286;
const OTHERS = [XMP, IPTC, PHOTOSHOP, C2PA, EXIF_DIRECTORY];
const UNITS = new Map([[1, 1], [2, 1], [3, 2], [4, 4], [6, 1], [7, 1], [9, 4], [13, 4], [16, 8]]);
const ZEROS = new Set("\0");
const ZEROS_AND_MARKS = new Set("\0\ufeff");
const OUTSIDE = "an EXIF directory lies outside its block";

/**
 * The wanted tags of the first directory of a TIFF structure (BigTIFF included) and of its EXIF directory, as bytes.
 *
 * @param {Uint8Array} data
 * @param {import("./rules.js").Rules} rules
 * @returns {{tags: Map<number, Uint8Array>, problems: string[]}} problems: a line for each entry that points outside
 * @throws {Damaged} not a TIFF structure, or its first directory lies outside it
 */
export function readDirectory(data, rules) {
  const order = data[0] === data[1] ? data[0] : 0;
  const little = order === 0x49;
  const version = (little ? littleEndian : bigEndian)(data, 2, 2);
  if ((!little && order !== 0x4d) || data.length < 8 || (version !== 42 && version !== 43)) {
    throw new Damaged("EXIF does not begin like a TIFF structure");
  }
  const problems = [];
  const directory = new Directories(data, little, version === 43, rules, problems);
  let tags = new Map();
  try {
    tags = directory.entries(directory.address(version === 43 ? 8 : 4));
    const pointer = tags.get(EXIF_DIRECTORY);
    if (pointer && tags.delete(EXIF_DIRECTORY)) {
      const second = (little ? littleEndian : bigEndian)(pointer, 0, pointer.length);
      for (const [tag, value] of directory.entries(second)) if (rules.exif.has(tag)) tags.set(tag, value);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    if (tags.size === 0) throw new Damaged(OUTSIDE);
    problems.push(OUTSIDE);
  }
  return { tags, problems };
}

/** Field and text of each tag that holds a text. */
export function* textsOf(tags, rules) {
  for (const [tag, field] of rules.exif) {
    const text = strip(textOf(tag, tags.get(tag) ?? new Uint8Array()));
    if (text) yield [field, text];
  }
}

/** DataView throws RangeError for numbers outside the structure. */
class Directories {
  constructor(data, little, big, rules, problems) {
    Object.assign(this, { data, little, big, rules, problems });
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  short(at) {
    return this.view.getUint16(at, this.little);
  }

  /** A number of 64 bits where the structure is a BigTIFF, of 32 otherwise. */
  address(at) {
    return this.big ? Number(this.view.getBigUint64(at, this.little)) : this.view.getUint32(at, this.little);
  }

  entries(first) {
    const found = new Map();
    if (first >= this.data.length) throw new RangeError();
    const count = Math.min(this.big ? this.address(first) : this.short(first), 4096); // real ones hold below a hundred
    const [start, step] = this.big ? [first + 8, 20] : [first + 2, 12];
    for (let at = start; at < start + count * step; at += step) {
      if (at + step > this.data.length) throw new RangeError();
      const [tag, unit] = [this.short(at), UNITS.get(this.short(at + 2))];
      if (!(this.rules.exif.has(tag) || OTHERS.includes(tag)) || found.has(tag) || !unit) continue;
      const value = this.value(tag, unit * this.address(at + 4), at + (this.big ? 12 : 8));
      if (value) found.set(tag, value);
    }
    return found;
  }

  /** The bytes of an entry: those at `at` if they hold it, else those that they point to. */
  value(tag, size, at) {
    if (size <= (this.big ? 8 : 4)) return this.data.subarray(at, at + size);
    const offset = this.address(at);
    const name = `EXIF tag 0x${tag.toString(16).padStart(4, "0")}`;
    const most = this.rules.limits.block_bytes;
    if (size > most && tag !== C2PA) this.problems.push(`${name} holds more than ${thousands(most)} bytes`);
    else if (offset + size > this.data.length) this.problems.push(`${name} reaches past the end of its block`);
    else return this.data.subarray(offset, offset + size);
    return null;
  }
}

function textOf(tag, value) {
  if (tag >= 0x9c9b && tag <= 0x9c9e) return stripEnd(utf16(value, "utf-16le"), ZEROS); // Windows' own tags
  if (tag !== USER_COMMENT) {
    const end = value.indexOf(0);
    return utf8OrLatin1(end < 0 ? value : value.subarray(0, end));
  }
  const [code, text] = [latin1(value.subarray(0, 8)), value.subarray(8)];
  if (code.startsWith("UNICODE")) return strip(unicodeComment(text), ZEROS_AND_MARKS);
  const named = ["ASCII\0\0\0", "\0".repeat(8), "JIS\0\0\0\0\0"].includes(code);
  return strip(utf8(named ? text : value), ZEROS);
}

function unicodeComment(text) {
  // Some writers mean UTF-8; UTF-16 of blanks holds zeros.
  const meant = stripBytes(text, 0).includes(0) ? null : soundUtf8(text);
  if (meant !== null) return meant;
  // EXIF leaves the byte order open; writers use the structure's, big-endian or a mark. In European text the zero bytes
  // tell, and the wrong order turns other scripts into few zero bytes either way.
  const zeros = [0, 0];
  text.forEach((byte, at) => byte === 0 && zeros[at % 2]++);
  return utf16(text, zeros[0] > zeros[1] ? "utf-16be" : "utf-16le");
}
