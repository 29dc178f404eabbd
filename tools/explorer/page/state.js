// What several views share: which models there are, and the reader's predictions.
import { header } from "./data.js";
import { loadModel } from "./models.js";

const two = header.runs.length > 1;

// The entries of all models of names (or of the running text), first run first.
// Each gets `label`: its title, and the run's name if there are two runs.
export function entries(isText = false) {
  return header.runs.flatMap((run) =>
    run.models
      .filter((entry) => (entry.kind === "gpt") === isText)
      .map((entry) => ({
        ...entry,
        colour: entry.colour === "#000000" ? "var(--ink)" : entry.colour, // black on a dark page
        label: two ? `${entry.title} (${run.name})` : entry.title,
      })),
  );
}

// All models of names (or of the running text) whose numbers the page has, loaded.
export async function models(isText = false) {
  const all = await Promise.all(entries(isText).map((entry) => loadModel(entry)));
  return all.filter((model) => model !== null);
}

// The last model of the first run, of some loaded models: as a rule the best one.
export function lastOfFirstRun(all) {
  const first = new Set(header.runs[0].models.map(({ key }) => key));
  return all.filter((model) => first.has(model.key)).at(-1) ?? all.at(-1);
}
