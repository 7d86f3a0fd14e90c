/** Properties of XMP packets (ISO 16684-1), read as XML without DTD or entities, of bounded size. */

import { Damaged } from "./block.js";
import { beginningUtf8, charactersOf, latin1, soundUtf8, strip, thousands } from "./text.js";
import { parseXml } from "./xml.js";

const RESOURCE = "http://www.w3.org/1999/02/22-rdf-syntax-ns# resource";
const FILLING = [0x00, 0x20, 0x0d, 0x0a, 0x09];
const BLANK = "[ \\t\\r\\n]";
const EQUALS = `${BLANK}*=${BLANK}*`;
const DECLARATION = new RegExp(
  `^<\\?xml${BLANK}+version${EQUALS}(["'])[\\w.:-]+\\1` +
    `(?:${BLANK}+encoding${EQUALS}(["'])(?<encoding>[A-Za-z][\\w.-]*)\\2)?` +
    `(?:${BLANK}+standalone${EQUALS}(["'])(?:yes|no)\\4)?${BLANK}*\\?>`,
);
/** Stands for bytes that are no text; XML allows it nowhere, so that reading ends there. */
const NO_TEXT = "\0";

/**
 * Name ("photoshop:Credit") and text of each property that the rules name, in the packet's order, each once.
 *
 * @param {Uint8Array} packet
 * @param {import("./rules.js").Rules} rules
 * @returns {Generator<[string, string]>}
 * @throws {Damaged} too large, no XML, or XML with a document type; properties before the damage are yielded
 */
export function* properties(packet, rules) {
  const limit = rules.limits.block_bytes;
  if (packet.length > limit) {
    throw new Damaged(`XMP holds ${thousands(packet.length)} bytes, more than the limit of ${thousands(limit)}`);
  }
  const collector = new Collector(rules);
  let damage = null;
  try {
    parseXml(withoutDeclaration(textOf(packet)), collector);
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    damage = error;
  }
  yield* collector.found.values();
  if (damage) throw damage;
}

/** Collects the wanted properties, written as attributes, as elements, as lists or as references. */
class Collector {
  constructor(rules) {
    this.rules = rules;
    /** @type {Map<string, [string, string]>} */
    this.found = new Map();
    /** Of each open element: the wanted property that it is or lies in. */
    this.path = [];
    this.pieces = [];
  }

  start(name, attributes) {
    const own = this.wanted(name) ?? this.path.at(-1) ?? null;
    this.path.push(own);
    this.pieces = [];
    for (const [attribute, value] of attributes) {
      const field = this.wanted(attribute) ?? (attribute === RESOURCE ? own : null);
      if (field) this.add(field, value);
    }
  }

  end() {
    const [own, text] = [this.path.pop(), strip(this.pieces.join(""))];
    this.pieces = [];
    if (own && text) this.add(own, text);
  }

  text(piece) {
    this.pieces.push(piece);
  }

  /** The property that an expanded name stands for, in whatever case; the AIGC label in whatever namespace. */
  wanted(name) {
    return this.rules.xmp.get(name.toLowerCase()) ?? (name.endsWith(" AIGC") ? this.rules.xmpLabel : null);
  }

  add(field, value) {
    const key = `${field} ${value}`;
    if (!this.found.has(key)) this.found.set(key, [field, value]);
  }
}

/** The packet's text, in the encodings that XML readers have to know and the two others that expat knows. */
function textOf(packet) {
  // Packets are filled up with blanks or zero bytes; in UTF-16, zero bytes are half of the text.
  const data = packet.subarray(0, 4).includes(0) ? packet : withoutFilling(packet);
  const [first, second] = data;
  if (first === 0xfe && second === 0xff) return wideText(data.subarray(2), false);
  if (first === 0xff && second === 0xfe) return wideText(data.subarray(2), true);
  if (first === 0 || second === 0) return wideText(data, second === 0 && first !== 0);
  const start = first === 0xef && second === 0xbb && data[2] === 0xbf ? 3 : 0;
  return narrowText(data.subarray(start));
}

function withoutFilling(packet) {
  let [first, last] = [0, packet.length];
  while (first < last && FILLING.includes(packet[first])) first++;
  while (last > first && FILLING.includes(packet[last - 1])) last--;
  return packet.subarray(first, last);
}

function wideText(data, little) {
  const whole = data.subarray(0, data.length - (data.length % 2));
  // Unpaired surrogates stay what they are, which XML does not allow; TextDecoder would make them a character.
  const units = new Uint16Array(whole.length / 2);
  const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
  for (let at = 0; at < units.length; at++) units[at] = view.getUint16(2 * at, little);
  const text = charactersOf(units) + (data.length % 2 ? NO_TEXT : "");
  return encodingOf(text, "utf-16") === "utf-16" ? text : NO_TEXT;
}

function narrowText(data) {
  const encoding = encodingOf(latin1(data.subarray(0, 1000)), "utf-8");
  if (encoding === "iso-8859-1") return latin1(data);
  if (encoding === "us-ascii") return upTo(latin1(data), /[\x80-\xff]/);
  return encoding === "utf-8" ? (soundUtf8(data) ?? soundBeginning(data)) : NO_TEXT;
}

/** The encoding that the declaration names; `usual` if it names none. */
function encodingOf(text, usual) {
  return DECLARATION.exec(text.slice(0, 1000))?.groups.encoding?.toLowerCase() ?? usual;
}

/** The text before the first bytes that are no UTF-8, which are found by halving. */
function soundBeginning(data) {
  let [sound, unsound] = [0, data.length + 1];
  while (unsound - sound > 1) {
    const middle = (sound + unsound) >> 1;
    if (beginningUtf8(data.subarray(0, middle)) === null) unsound = middle;
    else sound = middle;
  }
  return beginningUtf8(data.subarray(0, sound)) + NO_TEXT;
}

function upTo(text, expression) {
  const at = text.search(expression);
  return at < 0 ? text : text.slice(0, at) + NO_TEXT;
}

/** Blanks in its place, so that errors are found where they stand. */
function withoutDeclaration(text) {
  return text.replace(DECLARATION, (declaration) => " ".repeat(declaration.length));
}
