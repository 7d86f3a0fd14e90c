/** From a file to the evidence in its metadata: the facts that `rexnet_ai_real.provenance` gives, by the same rules. */

import { block, Damaged, isManifestStore } from "./block.js";
import { blocks } from "./containers.js";
import { uncheckedCredentials } from "./content_credentials.js";
import { finding, provenanceOf, unique } from "./evidence.js";
import { C2PA, IPTC, PHOTOSHOP, readDirectory, textsOf, XMP } from "./exif.js";
import { formatOf } from "./format.js";
import { aigcLabel, namedProgram, parametersOf, speaksOfAi } from "./generators.js";
import { photoshopIptc, records, sourceType } from "./iptc.js";
import { rulesOf } from "./rules.js";
import { printable, thousands, utf8 } from "./text.js";
import { properties } from "./xmp.js";

/** @typedef {import("./block.js").Block} Block */
/** @typedef {import("./evidence.js").Evidence} Evidence */
/** @typedef {import("./evidence.js").Provenance} Provenance */
/** @typedef {import("./rules.js").Rules} Rules */

/**
 * What an image file's metadata says of its origin. Never throws for damaged files: see `problem`. No pixel is decoded
 * and nothing is fetched from the network.
 *
 * @param {Uint8Array} data the whole file
 * @param {object} table the parsed provenance.json
 * @returns {Promise<Provenance>}
 */
export async function readProvenance(data, table) {
  const rules = rulesOf(table);
  const kind = formatOf(data, rules);
  if (kind === null) return provenanceOf([], null, data.length ? "not an image" : "empty file", rules);
  const problems = [];
  const { fields, stores } = contentsOf(data, kind, rules, problems);
  const { fields: mostFields, evidence: mostEvidence } = rules.limits;
  if (fields.length > mostFields) {
    problems.push(`more than ${thousands(mostFields)} fields of metadata: the rest is not read`);
  }
  const found = unique(fields.slice(0, mostFields).flatMap((field) => findingOf(...field, rules) ?? []));
  if (found.length > mostEvidence) {
    problems.push(`only the first ${mostEvidence} of ${found.length} findings are kept`);
  }
  const c2pa = stores.length ? uncheckedCredentials(stores[0]) : null;
  const problem = printable([...new Set(problems)].join("; "), 500) || null;
  return provenanceOf(found.slice(0, mostEvidence), c2pa, problem, rules);
}

/** Fields (name, text and part of the file), and the parts of the file that hold C2PA manifests. */
function contentsOf(data, kind, rules, problems) {
  const [fields, stores] = [[], []];
  for (const one of sound(bounded(unfolded(blocks(data, kind, rules, problems), rules, problems), rules), problems)) {
    if (one.kind === "c2pa") {
      stores.push(one.where);
      continue;
    }
    let left = rules.limits.fields + 1 - fields.length;
    if (left === 0) continue;
    for (const field of sound(fieldsOf(one, rules), problems)) {
      fields.push(field);
      if (--left === 0) break;
    }
  }
  return { fields, stores };
}

/** Items up to the first damage, which is added to `problems`. */
function* sound(items, problems) {
  try {
    yield* items;
  } catch (error) {
    if (!(error instanceof Damaged)) throw error;
    problems.push(error.message);
  }
}

function* bounded(found, { limits }) {
  let [count, total] = [0, 0];
  for (const one of found) {
    total += one.kind === "c2pa" ? 0 : one.data.length;
    if (count >= limits.blocks || total > limits.total_bytes) {
      const most = `${thousands(limits.blocks)} blocks or ${limits.total_bytes >> 20} MiB`;
      throw new Damaged(`more metadata than ${most}: the rest is not read`);
    }
    count++;
    yield one;
  }
}

/** Blocks of text; EXIF and TIFF directories are replaced by what they hold. */
function* unfolded(found, rules, problems) {
  for (const one of found) {
    if (one.kind === "exif") yield* sound(ofDirectory(one, rules, problems), problems);
    else yield one;
  }
}

/** @returns {Generator<Block>} */
function* ofDirectory({ data, where }, rules, problems) {
  const directory = readDirectory(data, rules);
  problems.push(...directory.problems);
  const tags = directory.tags;
  for (const [field, text] of textsOf(tags, rules)) yield block("text", "EXIF", new TextEncoder().encode(text), field);
  if (tags.has(XMP)) yield block("xmp", where, tags.get(XMP));
  if (tags.has(IPTC)) yield block("iptc", where, tags.get(IPTC));
  if (tags.has(PHOTOSHOP)) {
    for (const iim of photoshopIptc(tags.get(PHOTOSHOP))) yield block("iptc", where, iim);
  }
  if (tags.has(C2PA) && isManifestStore(tags.get(C2PA))) yield block("c2pa", where, tags.get(C2PA));
}

function* fieldsOf({ kind, data, where, field }, rules) {
  if (kind === "text") {
    yield [printable(field, 80), utf8(data), where];
    return;
  }
  const [read, name] = kind === "xmp" ? [properties, "XMP"] : [records, "IPTC"];
  for (const [property, text] of read(data, rules)) yield [property, text, name];
}

/**
 * What one field says: parameters are recognised by their form first, then the field by its purpose.
 *
 * @param {string} field
 * @param {string} text
 * @param {string} where
 * @param {Rules} rules
 * @returns {Evidence | null}
 */
function findingOf(field, text, where, rules) {
  const [name, value] = [field.toLowerCase(), printable(text)];
  if (!value) return null;
  const made = (kind, says, program = null, what = value) => finding(kind, field, what, says, where, program);
  const label = aigcLabel(field, text, rules);
  const named = namedProgram(text, rules);
  if (label) return made("label", label[1], named?.name, printable(label[0]));
  const generator = parametersOf(field, text, rules);
  if (generator) return made("parameters", "ai", generator);
  if (name.slice(name.lastIndexOf(":") + 1) === "digitalsourcetype") {
    const [code, says] = sourceType(text, rules);
    return made("source type", says, null, printable(code));
  }
  if (name.startsWith(rules.aiFields)) {
    return made(rules.software.has(name) ? "software" : "description", "ai", named?.name);
  }
  if (rules.software.has(name)) return made("software", named?.says ?? "unknown", named?.name);
  if (rules.credit.has(name)) return named?.says === "ai" ? made("credit", "ai", named.name) : null;
  if (["make", "model"].includes(name) && where === "EXIF") return made("camera", "real");
  if (name === "dcterms:provenance") return made("c2pa", "unknown");
  if (name === "comment" && text.startsWith(rules.canva)) return made("software", "edited", "Canva");
  return speaksOfAi(text, rules) ? made("description", "unknown") : null;
}
