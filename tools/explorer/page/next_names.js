// Drawing whole names with every model of "Next letter".
import { announce, data, h, pause, show } from "./dom.js";
import { howToAddNames, loadNames, originOf, originTag } from "./known.js";
import { UnknownCharacter } from "./models.js";
import { seeded } from "./numbers.js";

const NAMES_PER_MODEL = 10;

// Every model draws name i with the same random numbers, so that only the models differ.
function randomOfName(seed, i) {
  return seeded(seed + 7919 * i);
}

// To what the name shares with the names of train.
function nameLink(known, name) {
  if (!known || !name) return data(name);
  return h("a", { href: `#copied/${encodeURIComponent(name)}` }, data(name));
}

function nameItem(known, name) {
  return h("li", {}, nameLink(known, name), " ", known ? originTag(known, name) : null);
}

// A button that draws ten names with each card's model, one name a turn, and stops on request.
// seed(), settings: as for createCard().
export function createNamesRun(cards, seed, settings) {
  const button = h("button", { type: "button" }, `Draw ${NAMES_PER_MODEL} names with each model`);
  const progress = h("span", { class: "note" });
  const hint = h("div", {});
  let running = false;

  async function drawNames() {
    running = true;
    const known = await loadNames();
    show(hint, known ? null : howToAddNames());
    const beginning = settings.text();
    const options = settings.options();
    let drawn = 0;
    let unseen = 0;
    for (const card of cards) show(card.names);
    for (let i = 0; i < NAMES_PER_MODEL; i++) {
      for (const { model, names } of cards) {
        if (!running) return;
        const name = sampleOrNull(model, beginning, {
          ...options,
          random: randomOfName(seed(), i),
        });
        if (name === null) continue;
        names.append(nameItem(known, name));
        drawn += 1;
        if (known && originOf(known, name) === "new") unseen += 1;
        progress.textContent = `name ${i + 1} of ${NAMES_PER_MODEL}: ${model.label}`;
        await pause();
      }
    }
    progress.textContent = known ? `${drawn} names, ${unseen} of them new` : `${drawn} names`;
    announce(progress.textContent);
  }

  button.addEventListener("click", async () => {
    const label = button.textContent;
    if (running) return void (running = false);
    button.textContent = "Stop";
    await drawNames();
    running = false;
    button.textContent = label;
  });
  return h("div", { class: "next-run" }, button, progress, hint);
}

function sampleOrNull(model, beginning, options) {
  try {
    return model.sample(beginning, options);
  } catch (error) {
    if (error instanceof UnknownCharacter) return null;
    throw error;
  }
}
