/**
 * Judges images, one after the other, off the page's own thread. The page sends {id, file}; the worker answers
 * {id, result} or {id, error}, and before that tells how loading goes: {loading: {loaded, total}}, then {ready} or
 * {failed}.
 */

import * as ort from "../ort/ort.wasm.bundle.min.mjs";
import { decode, pixelsAreExact, Unreadable } from "./decode.js";
import { heatOf } from "./heat.js";
import { fetchAll } from "./loading.js";
import { formatOf } from "./provenance/format.js";
import { readProvenance } from "./provenance/reader.js";
import { rulesOf } from "./provenance/rules.js";
import { resized, seen } from "./resize.js";
import { outOfScope, remarkOn } from "./scope.js";
import { verdict } from "./verdict.js";

const THUMBNAIL = 112;
/** Logits by which two builds of the engine may differ on the same pixels. Of 768 images the largest was 0.04. */
const TOLERANCE = 0.25;

const loaded = load();
loaded.then(
  ({ detector }) => postMessage({ ready: { detector } }),
  (error) => postMessage({ failed: String(error.message ?? error) }),
);

async function load() {
  const [detector, table] = await Promise.all(["../facts.json", "../provenance.json"].map(readJson));
  const files = [
    { address: new URL("../ort/ort-wasm-simd-threaded.wasm.gz", import.meta.url), bytes: detector.bytes.engine },
    { address: new URL("../model.onnx.gz", import.meta.url), bytes: detector.bytes.model },
  ];
  const [engine, model] = await fetchAll(files, (progress) => postMessage({ loading: progress }));
  if (!(await pixelsAreExact())) {
    throw new Error(
      "This browser changes the pixels that pages read, as a protection against fingerprinting: verdicts would be " +
        "wrong. Allow this page to read canvas data, or use another browser.",
    );
  }
  ort.env.wasm.wasmBinary = engine.buffer;
  // On two cores, two threads took 1.2 to 1.5 times as long for 30 images: the network is small, and they wait for each
  // other. So no host needs to send the headers that SharedArrayBuffer asks for.
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "disabled", // done when the page was made
  });
  const network = { session, side: detector.preprocessing.image_size };
  await checkItself(network, detector.self_test);
  return { detector, table, network };
}

async function readJson(path) {
  const answer = await fetch(new URL(path, import.meta.url));
  if (!answer.ok) throw new Error(`The page is incomplete: ${path.slice(3)} is missing (HTTP ${answer.status}).`);
  return answer.json();
}

/** Pixels of no meaning, the same as `page/site.py` draws: their logit is known. */
async function checkItself(network, expected) {
  const pixels = Uint8Array.from({ length: network.side ** 2 * 3 }, (_, at) => (at * 7919) % 251);
  const { logit } = await run(network, pixels);
  if (!(Math.abs(logit - expected) <= TOLERANCE)) {
    throw new Error(
      `This browser computes differently from what the detector expects (${logit.toFixed(2)} instead of ` +
        `${expected.toFixed(2)} on a test image): its verdicts would be wrong. Use another browser.`,
    );
  }
}

async function run({ session, side }, pixels) {
  const { logit, cam } = await session.run({ images: new ort.Tensor("uint8", pixels, [1, side, side, 3]) });
  return { logit: logit.data[0], map: cam?.data ?? null, shape: cam?.dims ?? [] };
}

self.onmessage = async ({ data: { id, file } }) => {
  try {
    postMessage({ id, result: await judge(file, await loaded) });
  } catch (error) {
    const reason = error instanceof Unreadable ? error.message : `this browser could not judge it: ${error.message}`;
    postMessage({ id, error: reason });
  }
};

async function judge(file, { detector, table, network }) {
  const { preprocessing, limits } = detector;
  if (file.size > limits.max_bytes) throw new Unreadable(`${file.size.toLocaleString("en")} bytes are too many`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const { pixels, width, height } = await decode(bytes, formatOf(bytes, rulesOf(table)), limits, detector.enough);
  const box = seen(preprocessing, pixels.width, pixels.height);
  const input = resized(pixels, network.side, preprocessing.interpolation, box);
  const { logit, map, shape } = await run(network, input);
  const remark = remarkOn(pixels, input, network.side, detector.familiar_side, limits);
  const said = verdict(logit, detector, remark, remark ?? outOfScope(pixels, limits));
  return {
    verdict: said,
    heat: map && heatOf(map, shape[1], shape[2], said.leaning),
    size: { width, height },
    box: seen(preprocessing, width, height),
    provenance: await readProvenance(bytes, table),
    thumbnail: await thumbnail(pixels),
  };
}

/**
 * A small copy for the table, which a folder of ten thousand images can afford: nearest pixels, since it is to be seen and
 * not to be judged.
 * @returns {Promise<Blob>}
 */
async function thumbnail({ width, height, data }) {
  const scale = Math.min(1, THUMBNAIL / Math.max(width, height));
  const across = Math.max(1, Math.round(width * scale));
  const down = Math.max(1, Math.round(height * scale));
  const picture = new ImageData(across, down);
  for (let y = 0, to = 0; y < down; y++) {
    for (let x = 0; x < across; x++, to += 4) {
      const from = (Math.floor((y * height) / down) * width + Math.floor((x * width) / across)) * 3;
      picture.data.set([data[from], data[from + 1], data[from + 2], 255], to);
    }
  }
  const canvas = new OffscreenCanvas(across, down);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.7 });
}
