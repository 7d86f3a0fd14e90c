/**
 * From a logit to an answer, as the Python package's detector/calibration.py and detector/verdict.py do.
 */

import { roundHalfEven } from "./rounding.js";

/**
 * @typedef {object} Verdict
 * @property {string} label ai, real, unsure or "out of scope".
 * @property {number} probability calibrated P(AI-generated).
 * @property {"ai" | "real"} leaning the answer at the threshold.
 * @property {string} reason why the image is unsure or out of scope; "" otherwise.
 * @property {string} remark what makes it hard to judge; "" otherwise.
 * @property {number} logit before calibration.
 */

/**
 * @param {number} logit
 * @param {object} detector its description.
 * @param {string | null} remark
 * @param {string | null} outside why the image is out of scope.
 * @returns {Verdict}
 */
export function verdict(logit, detector, remark, outside) {
  const { temperature, threshold, unsure_low: low, unsure_high: high } = detector.calibration;
  if (!Number.isFinite(logit)) {
    throw new Error(`the network answers ${logit} instead of a finite logit: its weights are damaged`);
  }
  const probability = 1 / (1 + Math.exp(-logit / temperature));
  const leaning = probability >= threshold ? "ai" : "real";
  const certain = probability >= high ? "ai" : probability < low ? "real" : "unsure";
  const label = outside === null ? certain : "out of scope";
  const reason = outside ?? (label === "unsure" ? detector.why_unsure : "");
  return { label, probability, leaning, reason, remark: remark ?? "", logit };
}

/** The answer in words, with the way that an open one leans. */
export function answerOf({ label, leaning }, { titles, words }) {
  const isOpen = label === "unsure" || label === "out of scope";
  return titles[label] + (isOpen ? `, leans ${words[leaning]}` : "");
}

/** P(AI-generated) as every output shows it. No answer is certain: the ends are "< 1 % AI" and "> 99 % AI". */
export function percent(probability) {
  if (probability < 0.01) return "< 1 % AI";
  return probability > 0.99 ? "> 99 % AI" : `${roundHalfEven(100 * probability)} % AI`;
}
