/**
 * How generators and editors are recognised in metadata: by the form of their parameters, and by name. One table of
 * forms serves every container: the same parameters stand in a PNG's text, in an EXIF or XMP comment, in the comment of
 * a JPEG or GIF, or as a JSON object within another.
 */

import { jsonOf } from "./json.js";
import { firstOf, strip } from "./text.js";

/** @typedef {import("./rules.js").Rules} Rules */

/**
 * The program that a short text (a Software field, a credit line) names, generators before editors.
 *
 * @param {string} text
 * @param {Rules} rules
 * @returns {{name: string, says: string} | null}
 */
export function namedProgram(text, rules) {
  const line = firstOf(text, 1000).replaceAll("_", " ");
  return rules.programs.find(({ pattern }) => pattern.test(line)) ?? null;
}

/** Whether a caption mentions AI-generated images; it may belong to one, or write about them. */
export function speaksOfAi(text, rules) {
  return rules.speaksOfAi.test(firstOf(text, 10_000));
}

/**
 * The generator whose parameters a text holds, by their form and by the names that they stand under.
 *
 * @param {string} field
 * @param {string} text
 * @param {Rules} rules
 * @returns {string | null}
 */
export function parametersOf(field, text, rules) {
  for (const { depth, name, part } of parts(field, text, rules)) {
    for (const form of rules.forms) {
      const isNamed = form.names.has(name) || (depth === 0 && form.texts.has(name));
      if (isNamed || (part instanceof Map ? hasKeys(form, name, part) : hasLine(form, name, part, rules))) {
        return form.program;
      }
    }
  }
  return null;
}

/** @param {import("./rules.js").Form} form */
function hasKeys(form, name, object) {
  const stands = form.under === "" || form.under === name;
  return stands && form.keys.some((keys) => keys.every((key) => object.has(key)));
}

/** Whether prose looks like this program's. Its lines may have run together, with the prompt before. */
function hasLine(form, name, text, rules) {
  if (!form.line || (form.linesOf.size > 0 && !form.linesOf.has(name))) return false;
  let tried = 0;
  for (const line of text.matchAll(form.line)) {
    if (!form.settings) return true;
    if (++tried > 20) return false;
    const start = line.index + line[0].length;
    const behind = firstOf(text.slice(start, start + 1000), 500);
    const found = new Set(Array.from(behind.matchAll(form.settings), ([, setting]) => setting.toLowerCase()));
    if (found.has(rules.settingEnough) || found.size > 1) return true;
  }
  return false;
}

/**
 * What China's mandatory label says, in words and as a statement; null for texts that hold none.
 *
 * @param {string} field
 * @param {string} text
 * @param {Rules} rules
 * @returns {[string, string] | null}
 */
export function aigcLabel(field, text, { aigc, ...rules }) {
  for (const { name, part } of parts(field, text, rules)) {
    if (!(part instanceof Map) || !part.has("Label")) continue;
    const isNamed = name.split(/[^\p{L}\p{N}_]/u).includes(aigc.name);
    if (!isNamed && aigc.keys.filter((key) => part.has(key)).length < 2) continue;
    const [label, producer] = [written(part.get("Label")), written(part.get("ContentProducer"))];
    const [meaning, says] = aigc.labels.get(label) ?? [aigc.other, "unknown"];
    return [`Label ${label} (${meaning})` + (producer ? `, ContentProducer ${producer}` : ""), says];
  }
  return null;
}

/** A text or whole number of JSON as it was written; nothing for other values, which the standard does not know. */
function written(value) {
  return typeof value === "string" || typeof value === "bigint" ? String(value) : "";
}

/** Depth, name in lower case, and the text or JSON object: the text itself, then what JSON in it holds. */
function* parts(field, text, { prefix, limits }) {
  const found = prefix.exec(text);
  const [first, rest] = found ? [found[1], text.slice(found[0].length)] : [field, text];
  const waiting = [{ depth: 0, name: first.toLowerCase(), value: rest }];
  for (let at = 0; at < Math.min(waiting.length, limits.entries); at++) {
    const { depth, name, value } = waiting[at];
    const part = typeof value === "string" && /^[[{]/.test(strip(value)) ? jsonOf(value) : value;
    if (typeof part === "string") {
      yield { depth, name, part: strip(firstOf(part, limits.prose)) };
    } else if (part instanceof Map) {
      yield { depth, name, part };
      for (const [key, inner] of firstEntries(part, limits.entries)) {
        waiting.push({ depth: depth + 1, name: key.toLowerCase(), value: inner });
      }
    } else if (Array.isArray(part)) {
      waiting.push(...part.slice(0, limits.entries).map((inner) => ({ depth: depth + 1, name, value: inner })));
    }
  }
}

function* firstEntries(object, count) {
  let seen = 0;
  for (const entry of object) {
    if (++seen > count) return;
    yield entry;
  }
}
