/** IPTC metadata: the records of the Information Interchange Model, and the code list of digital source types. */

import { bigEndian, Damaged, holds } from "./block.js";
import { latin1, strip, stripEnd, utf8 } from "./text.js";

/** @typedef {import("./rules.js").Rules} Rules */

/**
 * The code in an address, a "digsrctype:" short form, a label or alone, and what it says. Case, query strings and
 * blanks make no difference. Codes off the list are given as written and say nothing.
 *
 * @param {string} value
 * @param {Rules} rules
 * @returns {[string, string]}
 */
export function sourceType(value, rules) {
  const address = stripEnd(strip(value).split(/[?#]/)[0], new Set("/")).replaceAll(":", "/");
  const written = address.slice(address.lastIndexOf("/") + 1);
  const letters = written.replace(/[^\p{L}\p{N}]/gu, "").toLowerCase();
  const code = rules.sourceTypesByLetters.get(letters) ?? written;
  return [code, rules.sourceTypes.get(code) ?? "unknown"];
}

/**
 * The IPTC records among Photoshop's image resources; other resources are stepped over.
 *
 * @param {Uint8Array} data
 * @returns {Generator<Uint8Array>}
 * @throws {Damaged} a resource is cut off
 */
export function* photoshopIptc(data) {
  let at = 0;
  while (at + 12 <= data.length && holds(data, at, "8BIM")) {
    const number = bigEndian(data, at + 4, 2);
    at += 6 + ((data[at + 6] + 2) >> 1) * 2; // a name, filled up to an even length with its length byte
    const size = bigEndian(data, at, 4);
    if (at + 4 + size > data.length) throw new Damaged("the Photoshop resources are cut off");
    if (number === 0x0404) yield data.subarray(at + 4, at + 4 + size);
    at += 4 + size + (size % 2);
  }
}

/**
 * Field and text of the datasets of record 2 that the rules name (IPTC-IIM 4.2, chapter 6).
 *
 * @param {Uint8Array} data
 * @param {Rules} rules
 * @returns {Generator<[string, string]>}
 * @throws {Damaged} a dataset is cut off
 */
export function* records(data, rules) {
  let [isUtf8, at] = [false, 0];
  while (at + 5 <= data.length && data[at] === 0x1c) {
    const [record, dataset, size] = [data[at + 1], data[at + 2], bigEndian(data, at + 3, 2)];
    // Longer datasets hold previews.
    if (size & 0x8000 || at + 5 + size > data.length) throw new Damaged("the IPTC records are cut off");
    const value = data.subarray(at + 5, at + 5 + size);
    at += 5 + size;
    if (record === 1 && dataset === 90) isUtf8 = latin1(value) === "\x1b%G";
    else if (record === 2 && rules.iptc.has(dataset)) {
      yield [rules.iptc.get(dataset), isUtf8 ? utf8(value) : latin1(value)];
    }
  }
}
