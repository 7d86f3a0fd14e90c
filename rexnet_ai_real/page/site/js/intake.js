/** The ways in which images come to the page: dropped, pasted, chosen, a whole folder, or from the camera. */

import { byName } from "./names.js";

/** What macOS and Windows put into folders, and nobody means. */
const PASSED_OVER = /\/(\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|__MACOSX\/.*)$/i;

/**
 * @typedef {{file?: File, name: string, error?: string}} Given A file and its path as people know it, or why it cannot be read.
 * @param {(given: Given[]) => void} take
 * @param {() => void} wait called while a folder is walked.
 */
export function listen(take, wait) {
  for (const id of ["files", "folder", "camera"]) {
    const input = /** @type {HTMLInputElement} */ (document.getElementById(id));
    input.addEventListener("change", () => {
      const given = Array.from(input.files ?? [], (file) => ({ file, name: file.webkitRelativePath || file.name }));
      input.value = ""; // or the same file could not be chosen again
      take(wanted(given));
    });
  }
  document.addEventListener("paste", ({ clipboardData }) => {
    const files = Array.from(clipboardData?.files ?? []);
    if (files.length) take(files.map((file) => ({ file, name: file.name || "pasted image" })));
  });
  listenToDrops(take, wait);
}

function listenToDrops(take, wait) {
  const page = document.documentElement;
  let depth = 0; // each element below says that it is entered and left
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    page.classList.toggle("dragging", depth > 0);
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => holdsFiles(event) && mark(1));
  document.addEventListener("dragleave", (event) => holdsFiles(event) && mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(-depth);
    const items = Array.from(event.dataTransfer?.items ?? []).filter(({ kind }) => kind === "file");
    // Both must be asked for before this function waits for anything: afterwards the list is empty.
    const entries = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
    if (entries.some(({ entry }) => entry?.isDirectory)) wait();
    const found = [];
    for (const { entry, file } of entries) {
      if (entry?.isDirectory) await addFilesBelow(found, entry, entry.name);
      else if (file) found.push({ file, name: file.name });
    }
    take(wanted(found));
  });
}

/** Every file in a folder that was dropped, folders in it included. What cannot be read is told by its name. */
async function addFilesBelow(found, folder, path) {
  const reader = folder.createReader();
  try {
    for (;;) {
      const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
      if (!entries.length) return;
      for (const entry of entries) await addEntry(found, entry, `${path}/${entry.name}`);
    }
  } catch (error) {
    found.push({ name: path, error: `the folder cannot be read: ${error.message}` });
  }
}

async function addEntry(found, entry, name) {
  if (entry.isDirectory) return addFilesBelow(found, entry, name);
  try {
    found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name });
  } catch (error) {
    found.push({ name, error: `it cannot be read: ${error.message}` });
  }
}

function wanted(given) {
  return given.filter(({ name }) => !PASSED_OVER.test(name)).sort((one, other) => byName(one.name, other.name));
}
