/** Which image format a file has, from its first bytes: the same rules as `sniff` in images/decode.py. */

import { bigEndian, holds, littleEndian } from "./block.js";
import { latin1 } from "./text.js";

/**
 * @param {Uint8Array} data the file, or its beginning
 * @param {import("./rules.js").Rules} rules
 * @returns {string | null} "JPEG", "PNG", ...; null for files that are no image
 */
export function formatOf(data, rules) {
  const head = data.subarray(0, rules.headBytes);
  for (const [signature, kind] of rules.signatures) if (holds(head, 0, signature)) return kind;
  if (holds(head, 0, "\0\0\x02\0") && (head[4] > 0 || head[5] > 0) && head[9] === 0) return "CUR";
  if (holds(head, 0, "RIFF") && holds(head, 8, "WEBP")) return "WEBP";
  if (holds(head, 4, "ftyp")) return byBrand(head, rules.brands);
  if (holds(head, 0, "BM") && head.length >= 30 && isBmp(head)) return "BMP";
  if (/^P[1-6][\t-\r ]/.test(latin1(head.subarray(0, 3)))) return "PPM";
  return null;
}

function byBrand(head, brands) {
  const end = Math.min(bigEndian(head, 0, 4), head.length);
  const found = [];
  for (let at = 8; at === 8 || at < end - 3; at += at === 8 ? 8 : 4) {
    const kind = brands.get(latin1(head.subarray(at, at + 4)));
    if (kind) found.push(kind);
  }
  return found.includes("AVIF") ? "AVIF" : (found[0] ?? null);
}

/** Many texts begin with "BM": the reserved fields, or those of planes and depth, must fit as well. */
function isBmp(head) {
  const header = littleEndian(head, 14, 4);
  if (bigEndian(head, 6, 4) === 0 && header >= 12 && header <= 124) return true;
  const at = header === 12 ? 22 : 26;
  const [planes, depth] = [littleEndian(head, at, 2), littleEndian(head, at + 2, 2)];
  return [12, 40, 52, 56, 64, 108, 124].includes(header) && planes === 1 && [1, 2, 4, 8, 16, 24, 32].includes(depth);
}
