/** The page: takes images in, has them judged one by one, and shows what comes of it. */

import { showCard } from "./card.js";
import { csv, save } from "./csv.js";
import { Engine } from "./engine.js";
import { listen } from "./intake.js";
import { keepOffline } from "./offline.js";
import { Table } from "./table.js";
import { explainWorth } from "./worth.js";

/**
 * @typedef {object} Entry One file that was given.
 * @property {File} [file]
 * @property {string} name
 * @property {object} [result] as worker.js judges.
 * @property {string} [error] why there is no answer.
 */

const get = (id) => document.getElementById(id);
/** Milliseconds between two drawings of the table while many images are judged. */
const REDRAW = 250;

/** @type {Entry[]} */
let entries = [];
/** @type {Entry[]} */
let waiting = [];
let isWorking = false;
let detector = null;
let drawn = 0;

/** Whether the next answer is the first of what was given last, and is to be shown large. */
let isNew = true;

const table = new Table((entry) => choose(entry));
const engine = new Engine({ loading: showLoading, ready: start, failed: fail });
listen(take, () => (get("state").textContent = "Reading the folder …"));
get("cancel").addEventListener("click", cancel);
get("clear").addEventListener("click", clear);
get("download").addEventListener("click", () => save(csv(table.visible, detector.id), "verdicts.csv"));

function showLoading({ loaded, total }) {
  get("loading").value = loaded / total;
  get("state").textContent = `Loading the detector: ${mega(loaded)} of ${mega(total)} MB`;
}

function mega(bytes) {
  return (bytes / 1e6).toFixed(1);
}

function start(ready) {
  detector = ready.detector;
  get("loading").classList.add("done");
  get("state").textContent = waiting.length ? "Judging …" : "Ready.";
  get("detector").textContent = detector.name ? `Answers by ${detector.name}.` : "";
  table.start(detector);
  explainWorth(detector);
  keepOffline(detector.id);
  work();
}

function fail(reason) {
  get("loading").classList.add("done");
  document.documentElement.classList.add("failed");
  get("state").textContent = `${reason[0].toUpperCase()}${reason.slice(1)}`;
}

/** @param {import("./intake.js").Given[]} given */
function take(given) {
  if (!given.length) {
    get("state").textContent = "There is no file in what was given.";
    return;
  }
  for (const entry of given) waiting.push(entry);
  isNew = true;
  if (detector) get("state").textContent = `Judging ${count(waiting.length)} …`;
  work();
}

function count(images) {
  return images === 1 ? "1 image" : `${images} images`;
}

async function work() {
  if (isWorking || !detector) return;
  isWorking = true;
  while (waiting.length) {
    const entry = waiting.shift();
    const batch = entries;
    try {
      if (!entry.error) entry.result = await engine.judge(entry.file);
    } catch (error) {
      entry.error = error.message;
    }
    if (batch !== entries) continue; // cleared meanwhile
    entries.push(entry);
    if (isNew) choose(entry);
    isNew = false;
    show();
  }
  isWorking = false;
  show();
  get("state").textContent = entries.length ? "Ready for more." : "Ready.";
}

function choose(entry) {
  showCard(entry, detector);
  if (entries.length > 1) get("one").scrollIntoView({ block: "nearest" });
}

function show() {
  const total = entries.length + waiting.length;
  get("all").hidden = total < 2;
  get("cancel").hidden = !waiting.length;
  get("working").hidden = !waiting.length;
  get("working").value = total ? entries.length / total : 0;
  get("count").textContent = waiting.length ? `${entries.length} of ${total} judged` : count(total);
  if (waiting.length && performance.now() - drawn < REDRAW) return;
  table.show(entries);
  drawn = performance.now();
}

function cancel() {
  waiting = [];
  engine.abandon();
  get("cancel").hidden = true;
}

function clear() {
  waiting = [];
  engine.abandon();
  entries = [];
  isNew = true;
  get("one").hidden = true;
  show();
  get("state").textContent = "Ready.";
  get("files").focus();
}
