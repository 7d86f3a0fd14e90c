/**
 * The metadata of JPEG, PNG, WebP and GIF files, in file order. Each reader follows the lengths that the format
 * declares, and throws `Damaged` where they point outside the file.
 */

import { bigEndian, block, Damaged, holds, isManifestStore, joined, littleEndian, withoutPrefix } from "./block.js";
import { boxFileBlocks } from "./boxes.js";
import { inflate } from "./inflate.js";
import { photoshopIptc } from "./iptc.js";
import { latin1, quoted, stripBytes, thousands, utf8OrLatin1 } from "./text.js";

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";

/** @typedef {import("./block.js").Block} Block */
/** @typedef {import("./rules.js").Rules} Rules */

/**
 * All metadata of a file; none for formats that hold none.
 *
 * @param {Uint8Array} data the whole file
 * @param {string} kind as `formatOf` names it
 * @param {Rules} rules
 * @param {string[]} problems receives a line for each block that was skipped
 * @returns {Generator<Block>}
 * @throws {Damaged} the structure ends early or is no structure; what came before was yielded
 */
export function* blocks(data, kind, rules, problems) {
  if (kind === "JPEG") yield* jpeg(data, rules.limits);
  else if (kind === "PNG") yield* png(data, rules, problems);
  else if (kind === "WEBP") yield* webp(data, rules.limits);
  else if (kind === "GIF") yield* gif(data, rules.limits, problems);
  else if (kind === "TIFF") yield block("exif", "TIFF", data);
  else if (["AVIF", "HEIC", "JXL", "JPEG2000"].includes(kind)) yield* boxFileBlocks(data, rules.limits);
}

/** Marker segments up to the first scan (ITU-T T.81, annex B). */
function* jpeg(data, limits) {
  let at = 2;
  for (let count = 0; count < limits.parts; count++) {
    if (at + 4 > data.length || data[at] !== 0xff) throw new Damaged(`no JPEG segment at byte ${thousands(at)}`);
    const marker = data[at + 1];
    if (marker === 0xd9 || marker === 0xda) return;
    // A fill byte, or a marker without a length.
    if (marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    const end = at + 2 + bigEndian(data, at + 2, 2);
    if (end < at + 4 || end > data.length) {
      throw new Damaged(`JPEG segment at byte ${thousands(at)} reaches past the end of the file`);
    }
    yield* jpegSegment(marker, data.subarray(at + 4, end));
    at = end;
  }
  throw new Damaged(`more than ${thousands(limits.parts)} JPEG segments`);
}

function* jpegSegment(marker, body) {
  if (marker === 0xe1 && holds(body, 0, EXIF)) {
    yield block("exif", "JPEG APP1", body.subarray(EXIF.length));
  } else if (marker === 0xe1 && holds(body, 0, XMP)) {
    yield block("xmp", "JPEG APP1", body.subarray(XMP.length));
  } else if (marker === 0xeb && holds(body, 0, "JP") && isManifestStore(body.subarray(8))) {
    yield block("c2pa", "JPEG APP11", body.subarray(8));
  } else if (marker === 0xed && holds(body, 0, "Photoshop 3.0\0")) {
    for (const records of photoshopIptc(body.subarray(14))) yield block("iptc", "JPEG APP13", records);
  } else if (marker === 0xfe) {
    yield block("text", "JPEG comment", utf8Bytes(stripBytes(body, 0)), "Comment");
  }
}

/** Chunks (PNG, third edition, sections 11.3.3 and 11.3.4), those after the pixels included. */
function* png(data, rules, problems) {
  let at = 8;
  for (let count = 0; count < rules.limits.parts; count++) {
    if (at + 12 > data.length) throw new Damaged(`no PNG chunk at byte ${thousands(at)}`);
    const end = at + 8 + bigEndian(data, at, 4);
    const name = latin1(data.subarray(at + 4, at + 8));
    if (name === "IEND") return;
    if (end + 4 > data.length) throw new Damaged(`PNG chunk at byte ${thousands(at)} reaches past the end of the file`);
    const body = data.subarray(at + 8, end);
    at = end + 4;
    if (["tEXt", "zTXt", "iTXt"].includes(name)) {
      try {
        yield* pngText(name, body, rules);
      } catch (error) {
        if (!(error instanceof Damaged)) throw error;
        problems.push(error.message);
        if (problems.length > rules.limits.damaged_texts) {
          throw new Damaged("too many damaged PNG texts: the rest is not read");
        }
      }
    } else if (name === "eXIf") {
      yield block("exif", "PNG eXIf", body);
    } else if (name === "caBX" && isManifestStore(body)) {
      yield block("c2pa", "PNG caBX", body);
    }
  }
  throw new Damaged(`more than ${thousands(rules.limits.parts)} PNG chunks`);
}

function* pngText(chunk, body, rules) {
  const [keywordBytes, rest] = divided(body);
  const keyword = latin1(keywordBytes.subarray(0, 80));
  const text = chunk === "tEXt" ? rest : unpacked(chunk, rest, keyword, rules.limits.block_bytes);
  if (text.length > rules.limits.block_bytes) {
    throw new Damaged(`PNG text ${quoted(keyword)} holds more than ${thousands(rules.limits.block_bytes)} bytes`);
  }
  const profile = /^Raw profile type ([\p{L}\p{N}_]+)$/u.exec(keyword);
  if (profile) yield* rawProfile(profile[1].toLowerCase(), text, rules.rawProfiles);
  else if (keyword === "XML:com.adobe.xmp") yield block("xmp", `PNG ${chunk}`, text);
  else yield block("text", `PNG ${chunk}`, chunk === "iTXt" ? text : utf8Bytes(text), keyword);
}

/** What stands before the first zero byte, and behind it. */
function divided(data) {
  const at = data.indexOf(0);
  return at < 0 ? [data, new Uint8Array()] : [data.subarray(0, at), data.subarray(at + 1)];
}

/** The text of a zTXt chunk (compression method, text) or iTXt chunk (flag, method, language, translation, text). */
function unpacked(chunk, rest, keyword, limit) {
  let text = rest.subarray(chunk === "zTXt" ? 1 : 2);
  if (chunk === "iTXt") {
    for (let field = 0; field < 2; field++) {
      if (!text.includes(0)) throw new Damaged(`PNG iTXt chunk ${quoted(keyword)} is damaged`);
      text = divided(text)[1];
    }
    if (rest[0] !== 1) return text;
  }
  const found = inflate(text, limit + 1);
  if (!found) throw new Damaged(`PNG text ${quoted(keyword)} cannot be unpacked`);
  return found;
}

/** How ImageMagick keeps the metadata of other formats in a PNG: name, length and hexadecimal digits on lines. */
function* rawProfile(name, text, profiles) {
  const kind = profiles.get(name);
  if (!kind) return;
  const digits = latin1(text).split(/[\t-\r ]+/).filter(Boolean).slice(2).join("");
  if (digits.length % 2 || /[^0-9a-fA-F]/.test(digits)) {
    throw new Damaged(`PNG raw profile ${quoted(name)} is not hexadecimal`);
  }
  const profile = Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const where = `PNG raw profile ${name}`;
  if (holds(profile, 0, XMP)) yield block("xmp", where, profile.subarray(XMP.length));
  else if (kind === "exif") yield block("exif", where, withoutPrefix(profile, EXIF));
  else if (kind === "xmp") yield block("xmp", where, profile);
  else for (const records of photoshopIptc(profile)) yield block("iptc", where, records);
}

/** RIFF chunks (RFC 9649). */
function* webp(data, limits) {
  let at = 12;
  for (let count = 0; count < limits.parts; count++) {
    if (at + 8 > data.length) return;
    const [name, size] = [latin1(data.subarray(at, at + 4)), littleEndian(data, at + 4, 4)];
    if (at + 8 + size > data.length) {
      throw new Damaged(`WebP chunk at byte ${thousands(at)} reaches past the end of the file`);
    }
    const body = data.subarray(at + 8, at + 8 + size);
    at += 8 + size + (size % 2);
    if (name === "EXIF") yield block("exif", "WebP EXIF", withoutPrefix(body, EXIF));
    else if (name === "XMP ") yield block("xmp", "WebP XMP", body);
    else if (name === "C2PA" && isManifestStore(body)) yield block("c2pa", "WebP C2PA", body);
  }
  throw new Damaged(`more than ${thousands(limits.parts)} WebP chunks`);
}

/** Extensions (GIF89a, sections 24 and 26). */
function* gif(whole, limits, problems) {
  const data = whole.subarray(0, limits.gif_bytes);
  if (data.length < whole.length) {
    problems.push(`GIF metadata was looked for in the first ${limits.gif_bytes >> 20} MiB`);
  }
  let at = 13 + colourTable(data, 10);
  while (at < data.length && data[at] !== 0x3b) {
    if (data[at] === 0x2c) {
      at += 11 + colourTable(data, at + 9); // the descriptor, its colours and the code size
      [at] = subBlocks(data, at);
    } else if (data[at] === 0x21 && at + 2 < data.length) {
      const [label, start] = [data[at + 1], at + 2];
      const [end, parts] = subBlocks(data, start);
      at = end;
      yield* gifExtension(label, parts, data.subarray(start + 12, Math.max(start + 12, end - 258)));
    } else {
      throw new Damaged(`no GIF block at byte ${thousands(at)}`);
    }
  }
}

/** `packet`: Adobe writes XMP without sub-blocks; 258 bytes after it lead readers of sub-blocks to its end. */
function* gifExtension(label, parts, packet) {
  if (label === 0xfe) {
    yield block("text", "GIF comment", utf8Bytes(joined(parts)), "Comment");
  } else if (label === 0xff && parts.length > 0) {
    if (latin1(parts[0]) === "XMP DataXMP") {
      yield block("xmp", "GIF XMP", packet);
    } else if (holds(parts[0], 0, "C2PA_GIF")) {
      const store = joined(parts.slice(1));
      if (isManifestStore(store)) yield block("c2pa", "GIF C2PA", store);
    }
  }
}

function subBlocks(data, at) {
  const parts = [];
  for (; at < data.length && data[at]; at += 1 + data[at]) parts.push(data.subarray(at + 1, at + 1 + data[at]));
  return [at + 1, parts];
}

/** Bytes of the table that the flags at `at` announce. */
function colourTable(data, at) {
  const flags = at < data.length ? data[at] : 0;
  return flags & 0x80 ? 3 << ((flags & 7) + 1) : 0;
}

/** Text that the format declares as Latin-1, to UTF-8. */
function utf8Bytes(text) {
  return new TextEncoder().encode(utf8OrLatin1(text));
}
