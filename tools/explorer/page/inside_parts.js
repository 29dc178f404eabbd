// The parts of a microGPT that can be switched off, and what names cost without them.
import { pause } from "./dom.js";

const MANY_NAMES = 200; // of the val split
const SLICE = 12; // milliseconds of computing before the page may draw and listen

// As GPT.step() calls them: "positions", "head0.1" (layer 0, head 1), "mlp0".
export function partsOf({ n_layer, n_head }) {
  const parts = ["positions"];
  for (let layer = 0; layer < n_layer; layer++) {
    for (let head = 0; head < n_head; head++) parts.push(`head${layer}.${head}`);
    parts.push(`mlp${layer}`);
  }
  return parts;
}

export function hasParts(model, parts) {
  const all = partsOf(model);
  return [...parts].every((part) => all.includes(part));
}

// A part in the reader's words.
export function partName(part, { n_layer }) {
  if (part === "positions") return "positions";
  const [, kind, layer, head] = /^(head|mlp)(\d+)\.?(\d*)$/.exec(part);
  const name = kind === "mlp" ? "MLP" : `head ${head}`;
  return n_layer > 1 ? `${name} of layer ${layer}` : name;
}

// -log P of each letter of a name and of its end, in nats, with some parts off.
function lossesWithout(model, name, off) {
  const targets = [...model.encode(name), model.BOS];
  return model.rowsWithout(name, off).map((row, i) => -row[targets[i]]);
}

export function sumWithout(model, name, off) {
  return lossesWithout(model, name, off).reduce((a, b) => a + b, 0);
}

// `count` names spread evenly over a list, or all if there are not so many.
export function spreadNames(names, count = MANY_NAMES) {
  const n = Math.min(count, names.length);
  return Array.from({ length: n }, (_, i) => names[Math.floor((i * names.length) / n)]);
}

// Mean nats per character over names. onprogress(done) is called now and then; null if isOld() was
// true then.
export async function meanWithout(model, names, off, onprogress, isOld) {
  let sum = 0;
  let targets = 0;
  let start = performance.now();
  for (const [i, name] of names.entries()) {
    sum += sumWithout(model, name, off);
    targets += [...name].length + 1;
    if (performance.now() - start < SLICE) continue;
    onprogress(i + 1);
    await pause();
    if (isOld()) return null;
    start = performance.now();
  }
  return sum / targets;
}
