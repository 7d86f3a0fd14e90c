/**
 * What an image file is, from its first bytes, and whether this page can judge it as the Python package does.
 */

const text = (bytes, start, end) => String.fromCharCode(...bytes.subarray(start, end));
const starts = (bytes, ...values) => values.every((value, index) => bytes[index] === value);

/** Brands of the ISO base media format that hold one image. */
const BRANDS = { avif: "AVIF", avis: "AVIF", mif1: "HEIC", msf1: "HEIC" };
for (const brand of ["heic", "heix", "hevc", "hevx", "heim", "heis"]) BRANDS[brand] = "HEIC";

/** @param {Uint8Array} bytes of the whole file, or its beginning. */
export function sniff(bytes) {
  if (starts(bytes, 0xff, 0xd8, 0xff)) return "JPEG";
  if (starts(bytes, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "PNG";
  if (["GIF87a", "GIF89a"].includes(text(bytes, 0, 6))) return "GIF";
  if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP") return "WebP";
  if (text(bytes, 0, 2) === "BM" && bytes.length > 30) return "BMP";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(text(bytes, 0, 4))) return "TIFF";
  if (text(bytes, 4, 8) === "ftyp") return brandOf(bytes);
  if (starts(bytes, 0, 0, 1, 0)) return "ICO";
  if (text(bytes, 4, 8) === "jP  " || starts(bytes, 0xff, 0x4f, 0xff, 0x51)) return "JPEG 2000";
  if (starts(bytes, 0xff, 0x0a) || text(bytes, 4, 8) === "JXL ") return "JPEG XL";
  if (/^P[1-6]\s/.test(text(bytes, 0, 3))) return "PPM";
  return null;
}

function brandOf(bytes) {
  const end = Math.min(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0), 256, bytes.length);
  const brands = [text(bytes, 8, 12)];
  for (let at = 16; at + 4 <= end; at += 4) brands.push(text(bytes, at, at + 4));
  const found = brands.map((brand) => BRANDS[brand]).filter(Boolean);
  return found.includes("AVIF") ? "AVIF" : (found[0] ?? null);
}

/** Formats that every browser of 2023 on decodes. The others differ from browser to browser. */
const DECODED = new Set(["JPEG", "PNG", "GIF", "WebP", "BMP", "AVIF"]);
const ELSEWHERE = "Convert it to PNG or JPEG, or judge it with `rexnet-ai-real predict`.";

/**
 * Why a file cannot be judged here; null where it can be.
 * @param {Uint8Array} bytes
 * @returns {string | null}
 */
export function refusal(bytes) {
  if (bytes.length === 0) return "empty file";
  const format = sniff(bytes);
  if (format === null) return "not an image";
  if (!DECODED.has(format)) return `${format}: this page does not read it. ${ELSEWHERE}`;
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
