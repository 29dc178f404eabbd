// A model at each step of its training at which its weights were kept.
import { hasBlob } from "./data.js";
import { pause } from "./dom.js";
import { loadModel } from "./models.js";
import { seeded } from "./numbers.js";
import { rowOfEntry } from "./runs.js";

const LONGEST_SAMPLE = 24; // an untrained model hardly ever ends a name
const NAMES_SCORED = 200;

// Whether the page has weights of this model from before the end of its training.
export function hasEarlier(entry) {
  return entry.earlier.some((state) => hasBlob(state.key));
}

// [{step, model}, ...] from the untrained model to the trained one.
export async function loadStates(entry) {
  const earlier = entry.earlier.filter((state) => hasBlob(state.key));
  const last = { ...entry, step: rowOfEntry(entry)?.result.steps ?? null };
  return Promise.all(
    [...earlier, last].map(async (state) => ({
      step: state.step,
      model: await loadModel(entry, state),
    })),
  );
}

// Names that a model draws. The k-th name uses the same random numbers at every step.
export async function drawNames(model, count = 5) {
  const names = [];
  for (let k = 0; k < count; k++) {
    names.push(model.sample("", { longest: LONGEST_SAMPLE, random: seeded(1000 + k) }));
    await pause();
  }
  return names;
}

export function isCut(name) {
  return [...name].length >= LONGEST_SAMPLE;
}

// Up to 200 names from all of a split, because its first ones may be the most common ones.
export function someNames(names) {
  const every = Math.max(1, names.length / NAMES_SCORED);
  const count = Math.min(names.length, NAMES_SCORED);
  return Array.from({ length: count }, (_, i) => names[Math.floor(i * every)]);
}

// The mean loss on names, in nats per character, or null if the model has never seen one of their
// characters.
export async function meanLoss(model, names) {
  let [total, count] = [0, 0];
  for (const [i, name] of names.entries()) {
    if ([...name].some((ch) => !model.stoi.has(ch))) return null;
    const losses = model.losses(name);
    total += losses.reduce((sum, loss) => sum + loss, 0);
    count += losses.length;
    if (i % 20 === 19) await pause();
  }
  return count ? total / count : null;
}
