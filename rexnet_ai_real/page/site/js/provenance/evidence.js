/** What an image's metadata say of its origin: single findings, and their summary. */

import { printable, quoted } from "./text.js";

/** @typedef {"ai" | "real" | "edited" | "unknown"} Says */

/**
 * @typedef {object} Evidence one finding
 * @property {"parameters" | "software" | "source type" | "label" | "credit" | "description" | "camera" |
 *   "c2pa"} kind
 * @property {string} field the field's own name: "parameters", "Software", "Iptc4xmpExt:DigitalSourceType", ...
 * @property {string} value what the file says, made printable and shortened to 200 characters
 * @property {Says} says
 * @property {string} where the part of the file that holds it: "PNG tEXt", "EXIF", "XMP", ...
 * @property {string | null} program the generator or program recognised in it
 */

/**
 * @typedef {object} Provenance all that a file's metadata says of its origin
 * @property {Says | null} says the strongest statement; null where nothing was found
 * @property {string} verdict one line for people, with the reasons and the caveat that fits
 * @property {Evidence[]} evidence
 * @property {string | null} problem what could not be read, and why
 * @property {import("./content_credentials.js").ContentCredentials | null} c2pa
 */

/** @returns {Evidence} */
export function finding(kind, field, value, says, where, program = null) {
  return { kind, field, value, says, where, program };
}

/** Findings without those that were made before. */
export function unique(findings) {
  return [...new Map(findings.map((item) => [JSON.stringify(item), item])).values()];
}

/**
 * Generative AI outweighs editing, and editing outweighs a camera: an image from a camera that was extended by a model
 * names both, so they are no contradiction.
 *
 * @param {Evidence[]} evidence
 * @param {Provenance["c2pa"]} c2pa
 * @param {string | null} problem
 * @param {import("./rules.js").Rules} rules
 * @returns {Provenance}
 */
export function provenanceOf(evidence, c2pa, problem, rules) {
  const said = new Set(evidence.map((item) => item.says));
  if (c2pa) said.add("unknown");
  const says = rules.verdicts.find(([strength]) => said.has(strength))?.[0] ?? null;
  return { says, verdict: verdictOf(says, evidence, c2pa, problem, rules.verdicts), evidence, problem, c2pa };
}

function verdictOf(strongest, evidence, c2pa, problem, verdicts) {
  if (strongest === null) {
    return problem ? `could not be read: ${problem}` : "no provenance metadata (it may have been removed)";
  }
  const parts = verdicts
    .filter(([says]) => says !== "unknown" || strongest === "unknown")
    .map(([says, phrase]) => [phrase, evidence.filter((item) => item.says === says)])
    .filter(([, items]) => items.length > 0)
    .map(([phrase, items]) => `${phrase}: ${reasons(items)}`);
  if (c2pa) parts.push(c2pa.summary);
  return `${parts.join("; ")} (metadata can be forged or removed)`;
}

function reasons(items) {
  const all = [...new Set(items.map(reason))];
  return [...all.slice(0, 3), ...(all.length > 3 ? [`${all.length - 3} more`] : [])].join(", ");
}

function reason(item) {
  if (item.kind === "parameters" && item.program) return `${item.program} parameters (${item.where}, ${item.field})`;
  const value = printable(item.value, 60);
  if (item.kind === "label") return `China's AIGC label (${item.where}, ${item.field}): ${value}`;
  return `${item.field} ${quoted(item.program || value)} (${item.where})`;
}
