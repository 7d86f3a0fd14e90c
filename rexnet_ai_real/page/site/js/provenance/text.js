/** Text from files, decoded and shown as Python does it, so that both say the same of a file. */

// What Python's str.strip() takes away; JavaScript's trim() differs in six characters.
const BLANKS = new Set(
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
    "\u2028\u2029\u202f\u205f\u3000",
);
const UNPRINTABLE = /[\p{C}\p{Z}]/gu;

/** UTF-8, with U+FFFD for what is none. */
export function utf8(data) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(data);
}

/** UTF-8, or null where some of it is none. */
export function soundUtf8(data) {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(data);
  } catch {
    return null;
  }
}

/** UTF-16 in the order "utf-16le" or "utf-16be", with U+FFFD for what is none. */
export function utf16(data, order) {
  return new TextDecoder(order, { ignoreBOM: true }).decode(data);
}

/** As `soundUtf8`, for the beginning of a text: a character that is cut off at its end is left out. */
export function beginningUtf8(data) {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(data, { stream: true });
  } catch {
    return null;
  }
}

/** A character for each byte. TextDecoder's "latin1" is another encoding, that of Windows. */
export function latin1(data) {
  return charactersOf(data);
}

/** A UTF-16 unit for each number. */
export function charactersOf(numbers) {
  let text = "";
  for (let at = 0; at < numbers.length; at += 8192) text += String.fromCharCode(...numbers.subarray(at, at + 8192));
  return text;
}

/** UTF-8, or Latin-1 where some of it is none: most writers use UTF-8 whatever their format declares. */
export function utf8OrLatin1(data) {
  return soundUtf8(data) ?? latin1(data);
}

/** Text without blanks, or without the given characters, at both ends. A loop: expressions take n squared steps. */
export function strip(text, characters = BLANKS) {
  let first = 0;
  while (first < text.length && characters.has(text[first])) first++;
  return stripEnd(text.slice(first), characters);
}

/** As `strip`, at the end alone. */
export function stripEnd(text, characters = BLANKS) {
  let last = text.length;
  while (last > 0 && characters.has(text[last - 1])) last--;
  return text.slice(0, last);
}

/** Bytes without the given ones at the end. */
export function stripBytes(data, byte) {
  let last = data.length;
  while (last > 0 && data[last - 1] === byte) last--;
  return data.subarray(0, last);
}

/** The first characters of a text, those beyond 16 bits counted as one. */
export function firstOf(text, count) {
  if (text.length <= count) return text;
  let at = 0;
  for (let seen = 0; seen < count && at < text.length; seen++) at += text.codePointAt(at) > 0xffff ? 2 : 1;
  return text.slice(0, at);
}

/** Text from a file as one short line without control characters. */
export function printable(text, length = 200) {
  const line = firstOf(text, 8 * length).replace(UNPRINTABLE, " ").split(" ").filter(Boolean).join(" ");
  const characters = Array.from(line);
  return characters.length <= length ? line : `${characters.slice(0, length - 1).join("")}…`;
}

/** A text in quotation marks, as Python's repr() writes it. */
export function quoted(text) {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  return mark + Array.from(text, (character) => escaped(character, mark)).join("") + mark;
}

function escaped(character, mark) {
  if (character === mark || character === "\\") return `\\${character}`;
  const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[character];
  if (short) return short;
  if (character === " " || !/[\p{C}\p{Z}]/u.test(character)) return character;
  const code = character.codePointAt(0).toString(16);
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

/** A whole number with commas between thousands. */
export function thousands(number) {
  return String(number).replace(/\B(?=(?:\d{3})+$)/g, ",");
}
