// Which names are known: the names of the page, and the split that each is in.
import { loadJson } from "./data.js";
import { h } from "./dom.js";

let names; // promise of the names, loaded once

// {train, val, test, splitOf}, or null if the page holds no names.
// splitOf: Map from a name to its split; a name in several of them counts as one from train.
export function loadNames() {
  names ??= loadJson("names").then((splits) => {
    if (!splits) return null;
    const splitOf = new Map();
    for (const split of ["test", "val", "train"]) {
      for (const name of splits[split]) splitOf.set(name, split);
    }
    return { ...splits, splitOf };
  });
  return names;
}

// "train", "val", "test" or "new".
export function originOf(known, name) {
  return known.splitOf.get(name) ?? "new";
}

export function originTag(known, name) {
  const origin = originOf(known, name);
  return h("span", { class: `known-tag known-${origin}` }, origin);
}

export function noNamesModel() {
  return h("p", {}, "No model of names is trained yet: ", h("code", {}, "make stage 2"));
}

// What to do where the page holds no names.
export function howToAddNames() {
  return h(
    "p",
    { class: "note" },
    "This page holds no names, so it cannot tell known names from new ones. Write it again with " +
      "the file that your models learned from: ",
    h("code", {}, 'make explore ARGS="--data my_names.txt"'),
  );
}
