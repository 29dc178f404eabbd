// Losses and pictures: all runs in tables and curves, the bigram tables, the embedding maps.
import { createBigramTables } from "./bigram_tables.js";
import { choice, data, h, pause, show } from "./dom.js";
import { createMap, embeddingsOf, isVowel, nearestTable } from "./embedding_map.js";
import { createLossCurves } from "./loss_curves.js";
import { createLossTable } from "./loss_table.js";
import { loadModel } from "./models.js";
import { comparableGroups, groupTitle } from "./runs.js";
import { entries } from "./state.js";

function lossSections(header) {
  const isTwo = header.runs.length > 1;
  const groups = comparableGroups();
  const models = groups.filter((group) => group.unit === "nats/char");
  const others = groups.filter((group) => group.unit !== "nats/char");
  return [...models, ...others].map((group) => [
    h("h3", { class: "losses-title" }, data(groupTitle(group))),
    createLossTable(group, isTwo),
    createLossCurves(group, isTwo),
  ]);
}

// ---- 02 and 03 ------------------------------------------------------------------------------
// Tables with the same characters are side by side.
async function bigramSection() {
  const tables = entries().filter((entry) => entry.kind === "counts" || entry.kind === "learned");
  const load = async (entry) => ({ label: entry.label, model: await loadModel(entry) });
  const loaded = await Promise.all(tables.map(load));
  const known = loaded.filter(({ model }) => model);
  if (!known.length) return null;
  const alike = new Map();
  for (const table of known) {
    const alphabet = JSON.stringify(table.model.chars);
    alike.set(alphabet, [...(alike.get(alphabet) ?? []), table]);
  }
  return [
    h("h2", {}, "Counted and learned"),
    h(
      "p",
      {},
      "Rows are the character before, columns the next one. The stronger the colour, the likelier",
      " the pair. Stage 02 counted its table; stage 03 found its own by gradient descent. Where do",
      " they differ most? Point at a cell, or move over the cells with the arrow keys.",
    ),
    [...alike.values()].map(createBigramTables),
  ];
}

// ---- 04 to 06 -------------------------------------------------------------------------------
function mapSection() {
  const kinds = ["mlp", "microgpt", "gpt"];
  const all = [...entries(), ...entries(true)].filter((entry) => kinds.includes(entry.kind));
  if (!all.length) return null;
  const place = h("div", { class: "losses-map" });
  let opened = 0;
  async function open(entry) {
    const turn = ++opened;
    const model = await loadModel(entry);
    if (turn !== opened) return;
    if (!model) {
      show(place, h("p", {}, "The numbers of this model did not fit into the page."));
      return;
    }
    const map = createMap([model], `${entry.label}: a map of the tokens' vectors`);
    const size = embeddingsOf(model)[0].length;
    const share = `${Math.round(100 * map.share)}% of the spread`;
    const details = h("details", {}, h("summary", {}, "The nearest tokens of each token"));
    details.addEventListener("toggle", () => {
      if (details.childElementCount === 1) details.append(nearestTable(model));
    });
    const vowels = model.symbols.some(isVowel) ? " Vowels have a circle." : "";
    show(
      place,
      map.node,
      h("p", { class: "note" }, `Two directions of ${size}: ${share}.${vowels}`),
      details,
    );
  }
  const first = all[0];
  const choices = choice("Model", all.map((entry) => [entry, entry.label]), first, open);
  const section = [
    h("h2", {}, "A map of the embeddings"),
    h(
      "p",
      {},
      "Each token has a vector, its row of wte. The map shows all of them along the two directions",
      " in which they differ most. Which tokens did the model put near each other, and why?",
    ),
    choices,
    place,
  ];
  return { section, start: () => open(first) };
}

async function renderLosses(panel, header) {
  const later = h("div", {});
  const maps = mapSection();
  show(
    panel,
    h("h2", {}, "The losses of all runs"),
    h(
      "p",
      {},
      "Every loss is the mean over a whole split; lower is better. Press the name of a column to",
      " sort by it. Which model has a val loss far above its train loss? It has learned names by heart.",
    ),
    lossSections(header),
    later,
    maps?.section,
  );
  await pause();
  show(later, await bigramSection());
  await maps?.start();
}

export const lossesView = { id: "losses", title: "Losses and pictures", render: renderLosses };
