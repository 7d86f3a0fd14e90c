/** A block of metadata as it lies in a file, not yet parsed, and how numbers and names are read from bytes. */

import { latin1 } from "./text.js";

/**
 * @typedef {object} Block
 * @property {"text" | "exif" | "xmp" | "iptc" | "c2pa"} kind how `data` is to be read: UTF-8 text, a TIFF structure,
 *   XML, IPTC-IIM records or a JUMBF box
 * @property {string} where the part of the file that holds it
 * @property {Uint8Array} data
 * @property {string} field the keyword of a text
 */

// ISO 19566-5 (JUMBF) with the type that C2PA 2.1, section 11.1.4 gives its manifest store.
const C2PA_TYPE = "\x63\x32\x70\x61\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71";

/** A damaged structure; the message says where, in one short line. */
export class Damaged extends Error {}

/** @returns {Block} */
export function block(kind, where, data, field = "") {
  return { kind, where, data, field };
}

/** Whether a JUMBF box is a C2PA manifest store, by its own description box. */
export function isManifestStore(data) {
  return holds(data, 4, "jumb") && holds(data, 12, "jumd") && holds(data, 16, C2PA_TYPE);
}

/** Whether the bytes from `at` on begin with these characters, a byte each. */
export function holds(data, at, characters) {
  return at + characters.length <= data.length && latin1(data.subarray(at, at + characters.length)) === characters;
}

/** The bytes without a beginning that some writers put before them. */
export function withoutPrefix(data, characters) {
  return holds(data, 0, characters) ? data.subarray(characters.length) : data;
}

/** The number in the bytes of `data` from `at` to before `at + size`, as many of them as there are. */
export function bigEndian(data, at, size) {
  return data.subarray(at, at + size).reduce((number, byte) => number * 256 + byte, 0);
}

/** As `bigEndian`, the lowest byte first. */
export function littleEndian(data, at, size) {
  return data.subarray(at, at + size).reduceRight((number, byte) => number * 256 + byte, 0);
}

/** One byte. @throws {Damaged} the data ends before it. */
export function byteAt(data, at) {
  if (at >= data.length) throw new Damaged("metadata is cut off");
  return data[at];
}

/** Parts one behind the other. */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
