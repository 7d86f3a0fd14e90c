/** The table of all results: sorted, filtered, and no longer than a browser shows with ease. */

import { byName } from "./names.js";
import { answerOf, percent } from "./verdict.js";

const get = (id) => document.getElementById(id);
/** Rows that are made at a time: a folder may hold tens of thousands of images. */
const PAGE = 200;

export class Table {
  /**
   * @param {(entry: import("./main.js").Entry) => void} choose what to do with the one that is clicked.
   */
  constructor(choose) {
    this.choose = choose;
    this.entries = [];
    this.order = { by: "name", isUp: true };
    this.shown = PAGE;
    for (const button of document.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.sortBy(button.dataset.sort));
    }
    get("filter").addEventListener("change", () => this.draw());
    get("search").addEventListener("input", () => this.draw());
    get("more").addEventListener("click", () => {
      this.shown += PAGE;
      this.draw();
    });
  }

  /** @param {object} detector whose words the filter shows. */
  start(detector) {
    this.detector = detector;
    const labels = { ...detector.titles, error: "No answer" };
    for (const [value, text] of Object.entries(labels)) get("filter").append(new Option(text, value));
  }

  /** @param {import("./main.js").Entry[]} entries all that were judged, in their order. */
  show(entries) {
    this.entries = entries;
    this.draw();
  }

  /** The entries that the filter lets through, sorted. */
  get visible() {
    const label = get("filter").value;
    const part = get("search").value.toLowerCase();
    const sign = this.order.isUp ? 1 : -1;
    return this.entries
      .filter((entry) => (!label || labelOf(entry) === label) && entry.name.toLowerCase().includes(part))
      .sort((one, other) => sign * compare(key(one, this.order.by), key(other, this.order.by)));
  }

  sortBy(by) {
    this.order = { by, isUp: this.order.by === by ? !this.order.isUp : by !== "probability" };
    this.draw();
  }

  draw() {
    const visible = this.visible;
    for (const button of document.querySelectorAll("[data-sort]")) {
      const isIt = button.dataset.sort === this.order.by;
      button.closest("th").setAttribute("aria-sort", isIt ? (this.order.isUp ? "ascending" : "descending") : "none");
    }
    place(visible.slice(0, this.shown).map((entry) => this.row(entry)));
    get("more").hidden = visible.length <= this.shown;
  }

  row(entry) {
    if (entry.row) return entry.row;
    const row = document.createElement("tr");
    const { verdict, provenance } = entry.result ?? {};
    const open = document.createElement("button");
    open.type = "button";
    open.className = "link name";
    open.textContent = entry.name;
    open.addEventListener("click", () => this.choose(entry));
    const answer = entry.error ? `No answer: ${entry.error}` : answerOf(verdict, this.detector);
    const says = provenance?.says ? provenance.verdict : "";
    row.dataset.label = labelOf(entry);
    row.append(cell(thumbnail(entry)), cell(open), cell(answer, "answer"), cell(verdict ? percent(verdict.probability) : "", "number"), cell(says, "says"));
    entry.row = row;
    return row;
  }
}

function labelOf({ error, result }) {
  return error ? "error" : result.verdict.label;
}

function key(entry, by) {
  if (by === "name") return entry.name;
  if (by === "label") return labelOf(entry);
  if (by === "probability") return entry.result?.verdict.probability ?? -1;
  return entry.result?.provenance.says ?? "";
}

function compare(one, other) {
  return typeof one === "number" ? one - other : byName(one, other);
}

/** Rows that stay are left alone: moved, they would lose the focus, and a click that is under way. */
function place(rows) {
  const body = get("rows");
  const wanted = new Set(rows);
  for (const row of [...body.children]) if (!wanted.has(row)) row.remove();
  let next = body.firstElementChild;
  for (const row of rows) {
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
  }
}

function cell(content, className = "") {
  const made = document.createElement("td");
  made.className = className;
  made.append(content);
  return made;
}

function thumbnail({ result }) {
  const image = document.createElement("img");
  image.alt = "";
  if (!result) return image;
  image.src = URL.createObjectURL(result.thumbnail);
  image.onload = () => URL.revokeObjectURL(image.src);
  return image;
}
