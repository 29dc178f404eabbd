// Drawing whole names with every model of "Next letter".
import { announce, data, h, pause, runButton, show } from "./dom.js";
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
  const progress = h("span", { class: "note" });
  const hint = h("div", {});

  async function drawNames(isStopped) {
    progress.textContent = "";
    for (const card of cards) show(card.names);
    const known = await loadNames();
    show(hint, known ? null : howToAddNames());
    const beginning = settings.text();
    let drawn = 0;
    let unseen = 0;
    for (let i = 0; i < NAMES_PER_MODEL; i++) {
      for (const { model, names } of cards) {
        if (isStopped()) return;
        const options = { ...settings.options(), random: randomOfName(seed(), i) };
        const name = sampleOrNull(model, beginning, options);
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

  const button = runButton(`Draw ${NAMES_PER_MODEL} names with each model`, drawNames);
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
