/** Which image formats this page can judge as the Python package does, and why not the others. */

/** Formats that every browser of 2023 on decodes. The others differ from browser to browser. */
const DECODED = new Set(["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"]);
const ELSEWHERE = "Convert it to PNG or JPEG, or judge it with `rexnet-ai-real predict`.";
const WORDS = { WEBP: "WebP", JPEG2000: "JPEG 2000", JXL: "JPEG XL" };

/** A format, as `formatOf` names it, in the words of people. */
export function wordOf(format) {
  return WORDS[format] ?? format;
}

/**
 * Why a file cannot be judged here; null where it can be.
 * @param {Uint8Array} bytes
 * @param {string | null} format as `formatOf` names it.
 * @returns {string | null}
 */
export function refusal(bytes, format) {
  if (bytes.length === 0) return "empty file";
  if (format === null) return "not an image";
  if (!DECODED.has(format)) return `${wordOf(format)}: this page does not read it. ${ELSEWHERE}`;
  if (format === "PNG" && bytes[24] === 16) {
    return `a PNG of 16 bits a channel, which browsers round each in its own way. ${ELSEWHERE}`;
  }
  if (format === "JPEG" && jpegHeader(bytes)?.components === 4) {
    return `a JPEG of CMYK colours, which browsers convert each in its own way. ${ELSEWHERE}`;
  }
  return null;
}

/** Width, height and number of colour components of a JPEG; null where they cannot be found. */
export function jpegHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) {
      at++;
      continue;
    }
    const marker = bytes[at + 1];
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: bytes[at + 9] };
    }
    if (marker === 0xda || marker === 0xd9) return null;
    const isAlone = marker === 0xff || marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8) || marker === 0;
    at += isAlone ? (marker === 0xff ? 1 : 2) : 2 + view.getUint16(at + 2);
  }
  return null;
}
