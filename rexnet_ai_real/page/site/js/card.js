/** One image with its verdict: the picture under its heat, the answer, and what the file says of itself. */

import { aboutHeat, heatPicture } from "./heat.js";
import { answerOf, percent } from "./verdict.js";

const get = (id) => document.getElementById(id);
/** Pixels of the longer side of the heat's picture, which the browser stretches over the image. */
const HEAT_SIDE = 256;

let address = "";

get("opacity").addEventListener("input", showOpacity);

/**
 * @param {import("./main.js").Entry} entry
 * @param {object} detector
 */
export function showCard(entry, detector) {
  get("one").hidden = false;
  get("one").dataset.label = entry.error ? "error" : entry.result.verdict.label;
  get("name").textContent = entry.name;
  showImage(entry);
  if (entry.error) showError(entry.error);
  else showResult(entry, detector);
}

function showImage({ file, name, result }) {
  URL.revokeObjectURL(address);
  address = result ? URL.createObjectURL(file) : "";
  const image = get("image");
  image.src = address || "icon.svg";
  image.alt = name;
  const { width, height } = result?.size ?? { width: 4, height: 3 };
  const frame = image.parentElement;
  frame.style.setProperty("--width", width);
  frame.style.setProperty("--height", height);
  frame.classList.toggle("nothing", !result);
}

function showError(error) {
  get("label").textContent = "No answer";
  get("reason").textContent = sentence(error);
  for (const id of ["remark", "provenance", "caveat", "about-heat"]) get(id).textContent = "";
  get("evidence").replaceChildren();
  get("heat").hidden = true;
  get("opacity").disabled = true;
}

function showResult({ result }, detector) {
  const { verdict } = result;
  get("label").textContent = answerOf(verdict, detector);
  get("reason").textContent = verdict.reason ? sentence(verdict.reason) : "";
  get("remark").textContent = verdict.remark && verdict.remark !== verdict.reason ? sentence(verdict.remark) : "";
  showScale(verdict.probability, detector.calibration);
  showHeat(result, detector);
  showProvenance(result.provenance, detector);
}

function showScale(probability, { threshold, unsure_low: low, unsure_high: high }) {
  const percents = { "--mark": probability, "--threshold": threshold, "--low": low, "--high": Math.min(1, high) };
  for (const [name, value] of Object.entries(percents)) get("scale").style.setProperty(name, `${100 * value}%`);
  const band = low < high ? `, unsure between ${percent(low)} and ${percent(high)}` : "";
  get("scale").setAttribute("aria-label", `${percent(probability)}; threshold ${percent(threshold)}${band}`);
  get("mark").dataset.text = percent(probability);
}

function showHeat({ heat, size, box, verdict }, detector) {
  const canvas = get("heat");
  const isPainted = Boolean(heat?.pointsSomewhere);
  canvas.hidden = !isPainted;
  get("opacity").disabled = !isPainted;
  get("about-heat").textContent = heat
    ? aboutHeat(heat, detector.image_of[verdict.leaning])
    : "This network gives no heat map in the same pass.";
  if (isPainted) {
    const [left, top, right, bottom] = box;
    const scale = HEAT_SIDE / Math.max(right - left, bottom - top);
    canvas.width = Math.max(1, Math.round((right - left) * scale));
    canvas.height = Math.max(1, Math.round((bottom - top) * scale));
    canvas.getContext("2d").putImageData(heatPicture(heat, detector.colours, canvas.width, canvas.height), 0, 0);
    const place = { left, top, width: right - left, height: bottom - top };
    for (const [side, value] of Object.entries(place)) {
      const whole = side === "left" || side === "width" ? size.width : size.height;
      canvas.style.setProperty(side, `${(100 * value) / whole}%`);
    }
  }
  showOpacity();
}

function showOpacity() {
  const opacity = get("heat").hidden ? 0 : get("opacity").value / 100;
  get("heat").style.setProperty("opacity", opacity);
  // Grey below, so that a colour always means heat.
  get("image").style.setProperty("filter", opacity > 0 ? "grayscale(1)" : "none");
}

function showProvenance(provenance, detector) {
  get("provenance").textContent = sentence(provenance.verdict);
  get("evidence").replaceChildren(
    ...provenance.evidence.map(({ field, value, where }) => {
      const item = document.createElement("li");
      item.textContent = `${field}: ${value} (${where})`;
      return item;
    }),
  );
  get("caveat").textContent = detector.caveat;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
