/**
 * JSON as Python reads it. JSON.parse refuses the NaN that ComfyUI writes, and puts keys such as "3" before all others,
 * while only the first entries of a long object are looked at.
 */

/** Deeper nesting is no metadata; Python's own limit lies near. */
const DEEPEST = 900;
/** Python refuses whole numbers of more digits. */
const MOST_DIGITS = 4300;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORDS = { true: true, false: false, null: null, NaN: NaN, Infinity: Infinity, "-Infinity": -Infinity };
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** @typedef {Map<string, Value> | Value[] | string | bigint | number | boolean | null} Value whole numbers: bigint */

/**
 * @param {string} text
 * @returns {Value} the text itself if it is no JSON
 */
export function jsonOf(text) {
  try {
    return new Reader(text).whole();
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.depth = 0;
  }

  whole() {
    const value = this.value();
    this.blanks();
    if (this.at < this.text.length) throw new SyntaxError();
    return value;
  }

  value() {
    this.blanks();
    const first = this.text[this.at];
    if (first === '"') return this.string();
    if (first === "{") return this.nested(() => this.object());
    if (first === "[") return this.nested(() => this.list());
    for (const word in WORDS) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return WORDS[word];
      }
    }
    return this.number();
  }

  nested(read) {
    if (++this.depth > DEEPEST) throw new SyntaxError();
    this.at++;
    const value = read();
    this.depth--;
    return value;
  }

  object() {
    const entries = new Map();
    if (this.passes("}")) return entries;
    do {
      this.blanks();
      const key = this.string();
      this.expect(":");
      entries.set(key, this.value());
    } while (this.passes(","));
    this.expect("}");
    return entries;
  }

  list() {
    const values = [];
    if (this.passes("]")) return values;
    do values.push(this.value());
    while (this.passes(","));
    this.expect("]");
    return values;
  }

  string() {
    if (this.text[this.at] !== '"') throw new SyntaxError();
    const parts = [];
    for (let start = ++this.at; ; this.at++) {
      const character = this.text[this.at];
      if (character === undefined || character < " ") throw new SyntaxError();
      if (character !== '"' && character !== "\\") continue;
      parts.push(this.text.slice(start, this.at));
      if (character === '"') break;
      parts.push(this.escape());
      start = this.at + 1;
    }
    this.at++;
    return parts.join("");
  }

  /** The character that an escape stands for; leaves `at` on its last one. */
  escape() {
    const letter = this.text[++this.at];
    if (letter !== "u") {
      if (letter === undefined || !Object.hasOwn(ESCAPES, letter)) throw new SyntaxError();
      return ESCAPES[letter];
    }
    const digits = this.text.slice(this.at + 1, this.at + 5);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new SyntaxError();
    this.at += 4;
    return String.fromCharCode(parseInt(digits, 16));
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) throw new SyntaxError();
    this.at = NUMBER.lastIndex;
    if (found[1] || found[2]) return Number(found[0]);
    if (found[0].replace("-", "").length > MOST_DIGITS) throw new SyntaxError();
    return BigInt(found[0]);
  }

  passes(character) {
    this.blanks();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  expect(character) {
    if (!this.passes(character)) throw new SyntaxError();
  }

  blanks() {
    while (" \t\n\r".includes(this.text[this.at] ?? "end")) this.at++;
  }
}
