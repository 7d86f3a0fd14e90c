/** Results as a CSV file, in the columns of `rexnet-ai-real predict --provenance`. */

export const COLUMNS = [
  "path", "label", "probability", "leaning", "reason", "remark", "logit", "error", "detector", "provenance_says", "provenance",
]; // prettier-ignore

const NUMBERS = new Set(["probability", "logit"]);

/**
 * @param {import("./main.js").Entry[]} entries
 * @param {string} detector its id.
 */
export function csv(entries, detector) {
  const lines = entries.map((entry) => {
    const row = values(entry, detector);
    return COLUMNS.map((column) => cell(NUMBERS.has(column) ? row[column] : guarded(column, row[column]))).join(",");
  });
  return `${[COLUMNS.join(","), ...lines].join("\r\n")}\r\n`;
}

function values({ name, result, error }, detector) {
  const verdict = result?.verdict;
  return {
    ...{ path: name, error: error ?? "", detector },
    ...(verdict && { ...verdict, probability: verdict.probability.toFixed(6), logit: verdict.logit.toFixed(6) }),
    ...(result && { provenance_says: result.provenance.says ?? "", provenance: result.provenance.verdict }),
  };
}

/** A spreadsheet would compute what begins like a formula, and a file's name may be anybody's. As cli/cells.py does. */
function guarded(column, value) {
  const text = String(value ?? "");
  if (!/^[=+\-@\t\r\n]/.test(text)) return text;
  return column === "path" ? `./${text}` : `'${text}`;
}

function cell(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Lets the browser save a text as a file. */
export function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
