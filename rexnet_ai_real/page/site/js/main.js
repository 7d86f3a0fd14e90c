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
 * @property {File} file
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

const table = new Table((entry) => choose(entry));
const engine = new Engine({ loading: showLoading, ready: start, failed: fail });
listen(take);
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
  get("state").textContent = reason;
}

/** @param {import("./intake.js").Given[]} given */
function take(given) {
  if (!given.length) {
    get("state").textContent = "There is no file in what was given.";
    return;
  }
  waiting.push(...given);
  get("state").textContent = detector ? "Judging …" : get("state").textContent;
  work();
}

async function work() {
  if (isWorking || !detector) return;
  isWorking = true;
  const first = entries.length;
  while (waiting.length) {
    const entry = waiting.shift();
    entries.push(entry);
    try {
      entry.result = await engine.judge(entry.file);
    } catch (error) {
      entry.error = error.message;
    }
    if (!entries.includes(entry)) continue; // cleared meanwhile
    if (entries.length === first + 1) choose(entry);
    show(waiting.length === 0);
  }
  isWorking = false;
  show(true);
}

function choose(entry) {
  showCard(entry, detector);
  if (entries.length > 1) get("one").scrollIntoView({ block: "nearest" });
}

function show(isEnd) {
  const judged = entries.filter(({ result, error }) => result || error);
  const total = judged.length + waiting.length;
  get("all").hidden = total < 2;
  get("cancel").hidden = !waiting.length;
  get("working").hidden = !waiting.length;
  get("working").value = total ? judged.length / total : 0;
  get("count").textContent = waiting.length ? `${judged.length} of ${total} judged` : `${total} images`;
  get("state").textContent = waiting.length ? `Judging ${judged.length + 1} of ${total} …` : "Ready for more.";
  if (!isEnd && performance.now() - drawn < REDRAW) return;
  drawn = performance.now();
  table.show(judged);
}

function cancel() {
  waiting = [];
  get("cancel").hidden = true;
}

function clear() {
  waiting = [];
  entries = [];
  get("one").hidden = true;
  table.show([]);
  get("all").hidden = true;
  get("state").textContent = "Ready.";
  get("files").focus();
}
