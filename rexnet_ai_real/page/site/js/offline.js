/** Keeps the page for use without a network, and tells which version of it is open. */

const get = (id) => document.getElementById(id);

/** Whether the visitor asked for the newer version here, and not in another tab. */
let isAskedFor = false;

/** @param {string} detector its id, which changes with every detector. */
export async function keepOffline(detector) {
  const said = [`Detector ${detector}`];
  const show = (...more) => (get("version").textContent = [...said, ...more].join(" · "));
  show();
  if (!("serviceWorker" in navigator)) return show("this browser does not keep the page for use offline");
  const isControlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (isAskedFor) location.reload();
    else if (isControlled) offer("This page has changed in another tab: load it anew", () => location.reload());
  });
  try {
    const registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    registration.addEventListener("updatefound", () => watch(registration));
    watch(registration);
    await navigator.serviceWorker.ready;
    return show("works offline");
  } catch {
    return show("not kept for use offline here");
  }
}

/** Offers what is newer than this page, once it is there as a whole. */
function watch(registration) {
  const worker = registration.installing ?? registration.waiting;
  const ask = () => {
    if (worker.state !== "installed" || !navigator.serviceWorker.controller) return;
    offer("A newer version of this page is ready: use it", () => {
      isAskedFor = true;
      worker.postMessage("take over");
    });
  };
  worker?.addEventListener("statechange", ask);
  if (worker) ask();
}

function offer(text, take) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = text;
  button.addEventListener("click", take);
  get("newer").replaceChildren(button);
}
