/** What an answer is worth: in sentences at once, and in the model card below them. */

const get = (id) => document.getElementById(id);

/** @param {object} detector */
export function explainWorth(detector) {
  get("worth-sentences").replaceChildren(...[...detector.worth, detector.rule].map(paragraph));
  get("worth-button").addEventListener("click", async () => {
    get("worth").showModal();
    await showCard();
  });
  get("worth").addEventListener("click", (event) => event.target === get("worth") && get("worth").close());
}

/** The card is a page of its own, too: here its article alone, once. */
async function showCard() {
  if (get("worth-card").hasChildNodes()) return;
  try {
    const answer = await fetch("card.html");
    const article = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("article");
    if (!article) throw new Error("no card");
    // Elsewhere than here: to leave this page would lose its results.
    for (const link of article.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener" });
    get("worth-card").replaceChildren(document.adoptNode(article));
  } catch {
    get("worth-card").replaceChildren(paragraph("The model card could not be loaded."));
  }
}

function paragraph(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}
