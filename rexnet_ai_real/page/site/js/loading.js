/** Fetches the large files of the page, which are packed by gzip, and tells how far it has come. */

/**
 * @param {{address: URL, bytes: number}[]} files with their sizes as packed.
 * @param {(progress: {loaded: number, total: number}) => void} tell
 * @returns {Promise<Uint8Array[]>} unpacked.
 */
export async function fetchAll(files, tell) {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let loaded = 0;
  const count = (bytes) => {
    loaded += bytes;
    tell({ loaded, total });
  };
  return Promise.all(files.map(({ address }) => fetchUnpacked(address, count)));
}

async function fetchUnpacked(address, count) {
  const answer = await fetch(address);
  if (!answer.ok || !answer.body) throw new Error(`The page is incomplete: ${address.pathname} (HTTP ${answer.status}).`);
  const counted = answer.body.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        count(chunk.byteLength);
        controller.enqueue(chunk);
      },
    }),
  );
  return new Uint8Array(await new Response(await unpacked(counted)).arrayBuffer());
}

/** Some hosts say that a .gz file is encoded, and the browser has unpacked it already. */
async function unpacked(stream) {
  const reader = stream.getReader();
  const { value: first, done } = await reader.read();
  const rest = new ReadableStream({
    start(controller) {
      if (!done) controller.enqueue(first);
    },
    async pull(controller) {
      const { value, done: isEnd } = await reader.read();
      if (isEnd) controller.close();
      else controller.enqueue(value);
    },
  });
  const isPacked = !done && first[0] === 0x1f && first[1] === 0x8b;
  return isPacked ? rest.pipeThrough(new DecompressionStream("gzip")) : rest;
}
