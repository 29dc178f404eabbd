// What the results of the runs say: the losses of a model, and tables that may be compared.
import { header } from "./data.js";

// The row of the loss table for a folder of a run, such as "05_microgpt/twin", or undefined.
export function rowOfFolder(runIndex, folder) {
  const rows = header.runs[runIndex].groups.flatMap((group) => group.rows);
  return rows.find((row) => row.folder === folder);
}

// The run of an entry of the header. Its key begins with it: "0:05_microgpt".
export function runIndexOf(entry) {
  return Number(entry.key.split(":")[0]);
}

export function rowOfEntry(entry) {
  return rowOfFolder(runIndexOf(entry), entry.folder);
}

// The groups of all runs. Rows are in one group only if data set, targets and unit are the same.
// Each row gets `run`, the name of its run.
export function comparableGroups() {
  const groups = new Map();
  for (const run of header.runs) {
    for (const group of run.groups) {
      const key = JSON.stringify([group.sha256, group.targets, group.unit]);
      if (!groups.has(key)) groups.set(key, { ...group, rows: [] });
      groups.get(key).rows.push(...group.rows.map((row) => ({ ...row, run: run.name })));
    }
  }
  return [...groups.values()];
}

export function groupTitle(group) {
  const manyDocs = Object.values(group.docs).some((count) => count > 1);
  const sizes = manyDocs ? group.docs : group.targets;
  const parts = ["train", "val", "test"]
    .filter((split) => sizes[split])
    .map((split) => `${split} ${sizes[split].toLocaleString("en")}`);
  const what = group.unit === "nats/point" ? "points" : manyDocs ? "documents" : "characters";
  return `${group.dataset}, ${group.unit} (${what}: ${parts.join(", ")})`;
}
