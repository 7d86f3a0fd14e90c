/** Keeps the page for use without a network, and tells which version of it is open. */

const get = (id) => document.getElementById(id);

/** @param {string} detector its id, which changes with every detector. */
export async function keepOffline(detector) {
  const said = [`Detector ${detector}`];
  const show = (...more) => (get("version").textContent = [...said, ...more].join(" · "));
  show();
  if (!("serviceWorker" in navigator)) return show("this browser does not keep the page for use offline");
  try {
    const registration = await navigator.serviceWorker.register("sw.js");
    registration.addEventListener("updatefound", () => offerUpdate(registration));
    if (registration.waiting) offerUpdate(registration);
    await navigator.serviceWorker.ready;
    return show("works offline");
  } catch {
    return show("not kept for use offline here");
  }
}

function offerUpdate(registration) {
  const worker = registration.installing ?? registration.waiting;
  const offer = () => {
    if (worker.state !== "installed" || !navigator.serviceWorker.controller) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "link";
    button.textContent = "A newer version of this page is ready: use it";
    button.addEventListener("click", () => {
      navigator.serviceWorker.addEventListener("controllerchange", () => location.reload());
      worker.postMessage("take over");
    });
    get("newer").replaceChildren(button);
  };
  worker.addEventListener("statechange", offer);
  offer();
}
