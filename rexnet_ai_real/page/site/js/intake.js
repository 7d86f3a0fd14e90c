/** The ways in which images come to the page: dropped, pasted, chosen, a whole folder, or from the camera. */

/** What macOS and Windows put into folders, and nobody means. */
const PASSED_OVER = /\/(\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|__MACOSX\/.*)$/i;

/**
 * @typedef {{file: File, name: string}} Given A file and its path as people know it.
 * @param {(given: Given[]) => void} take
 */
export function listen(take) {
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
  listenToDrops(take);
}

function listenToDrops(take) {
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
    const found = await Promise.all(
      entries.map(({ entry, file }) => (entry?.isDirectory ? filesBelow(entry, entry.name) : file ? [{ file, name: file.name }] : [])),
    );
    take(wanted(found.flat()));
  });
}

/** Every file in a folder that was dropped, folders in it included. */
async function filesBelow(folder, path) {
  const reader = folder.createReader();
  const entries = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) break;
    entries.push(...some);
  }
  const found = [];
  for (const entry of entries) {
    const name = `${path}/${entry.name}`;
    if (entry.isDirectory) found.push(...(await filesBelow(entry, name)));
    else found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), name });
  }
  return found;
}

function wanted(given) {
  return given
    .filter(({ name }) => !PASSED_OVER.test(name))
    .sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
}
