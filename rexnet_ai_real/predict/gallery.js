"use strict";
// Filter, sort and enlarge. Without this script the page shows everything, sorted by probability.
(() => {
  const grid = document.querySelector(".images");
  const cards = [...grid.children].map((figure) => {
    const { p, path, href } = figure.querySelector(".thumb").dataset;
    return { figure, p: Number(p), path, href, label: figure.className };
  });
  const bar = document.querySelector(".tools");
  const search = bar.querySelector("input");
  const order = bar.querySelector("select");
  const buttons = [...bar.querySelectorAll("button")];
  const shown = bar.querySelector("output");
  const orders = {
    ai: (a, b) => b.p - a.p,
    real: (a, b) => a.p - b.p,
    middle: (a, b) => Math.abs(a.p - 0.5) - Math.abs(b.p - 0.5),
    name: (a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }),
  };
  let wanted = "all";
  let visible = cards;

  const show = () => {
    const words = search.value.toLowerCase();
    cards.sort(orders[order.value]);
    visible = cards.filter((card) => {
      const fits = (wanted === "all" || card.label === wanted) && card.path.toLowerCase().includes(words);
      card.figure.hidden = !fits;
      return fits;
    });
    grid.append(...cards.map((card) => card.figure));
    shown.textContent = visible.length === cards.length ? "" : visible.length + " of " + cards.length + " shown";
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      wanted = button.value;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      show();
    });
  }
  search.addEventListener("input", show);
  order.addEventListener("change", show);

  const dialog = document.querySelector("dialog");
  const large = dialog.querySelector("img");
  const note = dialog.querySelector(".note");
  const text = dialog.querySelector(".text");
  let current = 0;

  const enlarge = (at) => {
    current = (at + visible.length) % visible.length;
    const { figure, path, href } = visible[current];
    const small = figure.querySelector("img");
    note.textContent = "";
    large.hidden = !small;
    large.onerror = () => {
      large.onerror = null;
      large.src = small.src;
      note.textContent = "This browser cannot show the original, or it is no longer there: the small image is shown.";
    };
    if (small) large.src = href;
    large.alt = path;
    text.replaceChildren(figure.querySelector("figcaption").cloneNode(true));
    text.className = "text " + figure.className;
    dialog.querySelector(".place").textContent = current + 1 + " of " + visible.length;
    if (!dialog.open) dialog.showModal();
  };
  grid.addEventListener("click", (event) => {
    const thumb = event.target.closest(".thumb");
    if (thumb) enlarge(visible.findIndex((card) => card.figure.contains(thumb)));
  });
  dialog.addEventListener("click", (event) => {
    const step = event.target.dataset.step;
    if (step) enlarge(current + Number(step));
    else if (event.target === dialog || event.target.closest(".close")) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") enlarge(current + 1);
    if (event.key === "ArrowLeft") enlarge(current - 1);
  });
  dialog.addEventListener("close", () => {
    if (visible[current]) visible[current].figure.querySelector(".thumb").focus();
  });
  bar.hidden = false;
})();
