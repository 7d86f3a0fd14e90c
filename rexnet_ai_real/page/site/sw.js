/**
 * Keeps the whole page, so that it opens without a network. version.js names the files and changes whenever one of them
 * does; the new ones are then fetched together, and used from the next visit on.
 */
importScripts("version.js");

/** Of this page alone: other pages may live on the same host. */
const PREFIX = `rexnet-page ${self.registration.scope} `;
const CACHE = PREFIX + self.VERSION;
/** Milliseconds that a visit waits for the network before it shows what is kept. */
const PATIENCE = 1000;

self.addEventListener("install", (event) => event.waitUntil(keepAll()));
self.addEventListener("activate", (event) => event.waitUntil(forget(CACHE).then(() => self.clients.claim())));
self.addEventListener("message", ({ data }) => data === "take over" && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  if (method !== "GET" || new URL(url).origin !== self.location.origin) return;
  event.respondWith(mode === "navigate" ? visit(event.request) : answer(event.request));
});

async function keepAll() {
  const cache = await caches.open(CACHE);
  await Promise.all(
    self.FILES.map(async (file) => {
      const found = await fetch(file, { cache: "no-cache" });
      if (!found.ok) throw new Error(`${file}: HTTP ${found.status}`);
      // Without the mark of a redirection, with which a browser would not show a kept page.
      await cache.put(file, new Response(await found.blob(), { headers: found.headers }));
    }),
  );
}

/** Removes what older versions kept; everything where no version is named. */
async function forget(except) {
  const names = await caches.keys();
  return Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== except).map((name) => caches.delete(name)));
}

async function answer(request) {
  return (await caches.match(request, { ignoreSearch: true, cacheName: CACHE })) ?? fetch(request);
}

/** Another site may answer at this address by now, as on the ports of one's own machine: it must not stay hidden. */
async function visit(request) {
  if (!(await isGone())) return answer(request);
  await self.registration.unregister();
  await forget();
  return fetch(request);
}

/** Whether this address answers, and with something else than this page, whatever its version. */
async function isGone() {
  try {
    const found = await fetch("version.js", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return !found.ok || !(await found.text()).startsWith("self.VERSION");
  } catch {
    return false; // no network, or a slow one: this is what the page is kept for
  }
}
