/**
 * A strict reader of XML 1.0 with namespaces, without document types: Web Workers have no DOMParser. It reads as
 * Python's expat does: what stands before an error was reported when the error is thrown. Each character is read a few
 * times at most, whatever the text.
 */

import { Damaged } from "./block.js";

const XML = "http://www.w3.org/XML/1998/namespace";
const XMLNS = "http://www.w3.org/2000/xmlns/";
const PART = "[\\p{L}\\p{Nl}_][\\p{L}\\p{Nl}\\p{Nd}\\p{M}\u00b7.\\-_]*";
const NAME = new RegExp(`(?:(${PART}):)?${PART}`, "uy");
const TARGET = new RegExp(PART, "uy");
const BLANKS = /[ \t\r\n]*/y;
const FORBIDDEN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;
const REFERENCE = /&(?:#([0-9]+);|#x([0-9a-fA-F]+);|(lt|gt|amp|quot|apos);)?/g;
const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/**
 * @typedef {object} Handler
 * @property {(name: string, attributes: [string, string][]) => void} start names as "namespace name"
 * @property {() => void} end
 * @property {(text: string) => void} text a piece of text, with references replaced
 */

/**
 * @param {string} text
 * @param {Handler} handler
 * @throws {Damaged} no sound XML, or one with a document type
 */
export function parseXml(text, handler) {
  new Parser(text, handler).parse();
}

class Parser {
  constructor(text, handler) {
    this.text = text;
    this.handler = handler;
    this.at = 0;
    /** Of each open element: its name as written, and the prefixes that it declares. */
    this.open = [];
    this.hasRoot = false;
    /** Addresses of each prefix, the innermost last. Copies of a map for each element would grow with the square. */
    this.bindings = new Map([["xml", [XML]]]);
  }

  parse() {
    while (this.at < this.text.length) {
      const next = this.text.indexOf("<", this.at);
      const end = next < 0 ? this.text.length : next;
      if (end > this.at) this.characters(this.text.slice(this.at, end));
      this.at = end;
      if (next >= 0) this.markup();
    }
    if (this.open.length || !this.hasRoot) this.fail("it ends too early");
  }

  fail(reason) {
    throw new Damaged(`XMP is no sound XML: ${reason} at character ${this.at + 1}`);
  }

  characters(piece) {
    this.check(piece);
    if (piece.includes("]]>")) this.fail("the end of a CDATA section");
    if (this.open.length) this.handler.text(this.replaced(piece.replace(/\r\n?/g, "\n")));
    else if (/[^ \t\r\n]/.test(piece)) this.fail("text outside the root element");
  }

  check(piece) {
    if (FORBIDDEN.test(piece)) this.fail("a forbidden character");
  }

  /** Text with the characters that references stand for. */
  replaced(piece) {
    return piece.replace(REFERENCE, (reference, decimal, hexadecimal, entity) => {
      if (entity) return ENTITIES[entity];
      const code = decimal ? Number(decimal) : hexadecimal ? parseInt(hexadecimal, 16) : Infinity;
      if (code > 0x10ffff || FORBIDDEN.test(String.fromCodePoint(code))) this.fail("an unknown reference");
      return String.fromCodePoint(code);
    });
  }

  markup() {
    const second = this.text[this.at + 1];
    if (second === "/") this.endTag();
    else if (second === "?") this.instruction();
    else if (second === "!") this.declaration();
    else this.startTag();
  }

  declaration() {
    if (this.text.startsWith("<!--", this.at)) {
      const end = this.upTo("--", 4);
      if (this.text[end + 2] !== ">") this.fail("a comment with two hyphens");
      this.at = end + 3;
    } else if (this.open.length && this.text.startsWith("<![CDATA[", this.at)) {
      const end = this.upTo("]]>", 9);
      this.handler.text(this.text.slice(this.at + 9, end).replace(/\r\n?/g, "\n"));
      this.at = end + 3;
    } else if (!this.hasRoot && this.text.startsWith("<!DOCTYPE", this.at)) {
      throw new Damaged("XMP declares a document type, which no honest packet does");
    } else {
      this.fail("an unknown declaration");
    }
  }

  instruction() {
    const target = this.match(TARGET, this.at + 2)?.[0];
    const end = this.upTo("?>", 2);
    const behind = this.at + 2 + (target?.length ?? 0);
    const separated = end === behind || " \t\r\n".includes(this.text[behind]);
    if (!target || target.toLowerCase() === "xml" || !separated) this.fail("an unsound processing instruction");
    this.at = end + 2;
  }

  /** Where `mark` stands, at least `skipped` characters further; the piece up to there is checked. */
  upTo(mark, skipped) {
    const end = this.text.indexOf(mark, this.at + skipped);
    if (end < 0) this.fail("markup without an end");
    this.check(this.text.slice(this.at, end));
    return end;
  }

  endTag() {
    const name = this.match(NAME, this.at + 2)?.[0];
    const element = this.open.at(-1);
    if (!element || name !== element.name) this.fail("an end tag that closes nothing");
    const end = this.blanks(this.at + 2 + name.length);
    if (this.text[end] !== ">") this.fail("an unsound end tag");
    this.at = end + 1;
    this.close();
  }

  startTag() {
    if (!this.open.length && this.hasRoot) this.fail("a second root element");
    const name = this.match(NAME, this.at + 1);
    if (!name) this.fail("an unsound tag");
    const { attributes, end } = this.attributes(this.at + 1 + name[0].length);
    const isEmpty = this.text[end] === "/";
    if (this.text[isEmpty ? end + 1 : end] !== ">") this.fail("an unsound tag");
    const declarations = attributes.filter(isDeclaration);
    const others = attributes.filter((attribute) => !isDeclaration(attribute));
    this.open.push({ name: name[0], declared: declarations.map((declaration) => this.declare(declaration)) });
    const named = new Map(others.map((own) => [own.prefix ? this.expanded(own) : own.name, own.value]));
    if (named.size < others.length) this.fail("an attribute twice");
    this.handler.start(this.expanded({ name: name[0], prefix: name[1] ?? "" }), [...named]);
    this.hasRoot = true;
    this.at = isEmpty ? end + 2 : end + 1;
    if (isEmpty) this.close();
  }

  /** The attributes from `start` on, as written, and where the first other character stands. */
  attributes(start) {
    const [attributes, names] = [[], new Set()];
    for (let end = start; ; ) {
      const at = this.blanks(end);
      if (">/".includes(this.text[at] ?? "end")) return { attributes, end: at };
      const name = this.match(NAME, at);
      if (at === end || !name || names.has(name[0])) this.fail("an unsound attribute");
      names.add(name[0]);
      const equals = this.blanks(at + name[0].length);
      const first = this.blanks(equals + 1);
      const mark = this.text[first];
      const last = mark === '"' || mark === "'" ? this.text.indexOf(mark, first + 1) : -1;
      if (this.text[equals] !== "=" || last < 0) this.fail("an unsound attribute");
      attributes.push({ name: name[0], prefix: name[1] ?? "", value: this.value(first + 1, last) });
      end = last + 1;
    }
  }

  value(first, last) {
    const written = this.text.slice(first, last);
    this.check(written);
    if (written.includes("<")) this.fail("an unsound attribute");
    return this.replaced(written.replace(/\r\n|[\t\r\n]/g, " "));
  }

  /** Bind a prefix, or "" for names without one. */
  declare({ name, prefix, value }) {
    const bound = prefix ? localOf(name) : "";
    const isReserved = value === XMLNS || (value === XML) !== (bound === "xml") || bound === "xmlns";
    if (isReserved || (bound && !value) || value.includes(" ")) this.fail("an unsound namespace");
    const addresses = this.bindings.get(bound) ?? [];
    addresses.push(value);
    this.bindings.set(bound, addresses);
    return bound;
  }

  /** "namespace name", or the name alone where it lies in none. */
  expanded({ name, prefix }) {
    const address = this.bindings.get(prefix)?.at(-1);
    if (prefix && !address) this.fail("an undeclared prefix");
    return address ? `${address} ${localOf(name)}` : name;
  }

  close() {
    for (const prefix of this.open.pop().declared) this.bindings.get(prefix).pop();
    this.handler.end();
  }

  match(expression, at) {
    expression.lastIndex = at;
    return expression.exec(this.text);
  }

  blanks(at) {
    this.match(BLANKS, at);
    return BLANKS.lastIndex;
  }
}

function isDeclaration({ name, prefix }) {
  return prefix === "xmlns" || name === "xmlns";
}

function localOf(name) {
  return name.slice(name.indexOf(":") + 1);
}
