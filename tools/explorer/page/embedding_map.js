// The vectors of the characters as points on a map of two principal axes.
import { scale } from "./charts.js";
import { h, mark, spoken, svg } from "./dom.js";
import { rowOf } from "./numbers.js";
import { principalAxes, projected } from "./pca.js";

const VOWELS = "aeiouαεηιουωаеёиоуыэюя";
const [WIDTH, HEIGHT, EDGE] = [480, 400, 24];

// Whether a character is a vowel, with or without an accent.
export function isVowel(ch) {
  return ch !== null && VOWELS.includes(ch.normalize("NFD")[0].toLowerCase());
}

// The vectors of a model's tokens: one for each of its symbols.
export function embeddingsOf(model) {
  const wte = model.tensors.wte ?? model.tensors["wte.weight"];
  return model.symbols.map((_, id) => rowOf(wte, id));
}

// A map for models with the same symbols, such as one at several steps of its training: all have
// the same axes and the same scale, so that points of different models may be compared.
// -> {node, move(index), share}: move() puts the points where they are in that model.
export function createMap(models, title) {
  const { symbols } = models[0];
  const all = models.map(embeddingsOf);
  const axes = principalAxes(all.flat());
  const places = all.map((rows) => rows.map((row) => projected(row, axes)));
  const xs = places.flat().map(([x]) => x);
  const ys = places.flat().map(([, y]) => y);
  const x = scale(Math.min(...xs), Math.max(...xs), EDGE, WIDTH - EDGE);
  const y = scale(Math.min(...ys), Math.max(...ys), HEIGHT - EDGE, EDGE);
  const points = symbols.map((ch) =>
    svg(
      "g",
      { class: isVowel(ch) ? "map-point map-vowel" : "map-point" },
      svg("circle", { r: 10 }),
      svg("text", { y: 5, "text-anchor": "middle" }, mark(ch)),
      svg("title", {}, spoken(ch)),
    ),
  );
  const node = svg(
    "svg",
    { class: "map", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title },
    points,
  );
  const move = (index) =>
    points.forEach((point, id) => {
      const [px, py] = places[index][id];
      point.style.setProperty("transform", `translate(${x(px)}px, ${y(py)}px)`);
    });
  move(0);
  return { node, move, share: axes.shares[0] + axes.shares[1] };
}

// For each symbol its nearest ones: [[id, distance], ...], nearest first.
function nearestSymbols(model, id, count = 4) {
  const rows = embeddingsOf(model);
  const distance = (other) => Math.hypot(...rows[id].map((value, i) => value - rows[other][i]));
  return [...rows.keys()]
    .filter((other) => other !== id)
    .map((other) => [other, distance(other)])
    .sort((a, b) => a[1] - b[1])
    .slice(0, count);
}

// The map in words, for those who cannot see it.
export function nearestTable(model) {
  const name = (id) => mark(model.symbols[id]);
  const row = (id) => {
    const nearest = nearestSymbols(model, id).map(([other]) => name(other));
    return h("tr", {}, h("th", { scope: "row" }, name(id)), h("td", {}, nearest.join("  ")));
  };
  const titles = ["token", "nearest tokens"].map((title) => h("th", { scope: "col" }, title));
  return h(
    "table",
    { class: "losses-table" },
    h("caption", {}, "Distances count all numbers of the vectors, not only the two of the map."),
    h("thead", {}, h("tr", {}, titles)),
    h("tbody", {}, model.symbols.map((_, id) => row(id))),
  );
}
