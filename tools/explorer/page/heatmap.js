// A table of next characters as coloured cells. A row is the character before, a column the next.
import { shade } from "./charts.js";
import { announce, h, mark, MOVES, setStyle, svg } from "./dom.js";

const CELL = 20;
const [LEFT, TOP] = [46, 22];
const MOST = 80; // rows and columns: more cells would be too small to tell apart

// The likeliest first character, from rows of probabilities of which the last one is for the start.
export function likeliestStart(P) {
  return P.at(-1).indexOf(Math.max(...P.at(-1)));
}

// symbols: of the columns; the last one is the end. A row has the same ids, and the last one is
// the beginning. onselect(row, column): the reader went to a cell. describe(row, column): its text.
// -> {node, fill(P), select(row, column)}. P: the rows of probabilities.
export function createHeatmap({ symbols, title, onselect, describe }) {
  const ids = [...symbols.keys()];
  const shown = ids.length <= MOST ? ids : [...ids.slice(0, MOST - 1), ids.at(-1)];
  const name = (id, ofBOS) => (symbols[id] === null ? ofBOS : mark(symbols[id]));
  const at = (k) => k * CELL;
  const cells = shown.map((_, r) =>
    shown.map((_, c) =>
      svg("rect", { x: LEFT + at(c), y: TOP + at(r), width: CELL - 1, height: CELL - 1 }),
    ),
  );
  const rowNames = shown.map((id, r) =>
    svg("text", { x: LEFT - 6, y: TOP + at(r) + 15, "text-anchor": "end" }, name(id, "start")),
  );
  const columnNames = shown.map((id, c) =>
    svg("text", { x: LEFT + at(c) + 10, y: TOP - 6, "text-anchor": "middle" }, name(id, "end")),
  );
  const frame = svg("rect", { class: "heatmap-frame", width: CELL - 1, height: CELL - 1 });
  const [width, height] = [LEFT + at(shown.length) + 8, TOP + at(shown.length)];
  const picture = svg(
    "svg",
    { class: "heatmap", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    cells,
    rowNames,
    columnNames,
    frame,
  );
  const node = h(
    "div",
    { tabindex: 0, role: "group", "aria-label": `${title}. Arrow keys move over the cells.` },
    picture,
  );
  let [row, column] = [0, 0];

  function select(r, c) {
    const place = [shown.indexOf(r), shown.indexOf(c)];
    if (place.includes(-1)) return;
    [row, column] = place;
    frame.setAttribute("x", LEFT + at(column));
    frame.setAttribute("y", TOP + at(row));
    rowNames.forEach((text, i) => text.classList.toggle("heatmap-chosen", i === row));
    columnNames.forEach((text, i) => text.classList.toggle("heatmap-chosen", i === column));
  }

  function fill(P) {
    cells.forEach((line, r) =>
      line.forEach((cell, c) => setStyle(cell, { fill: shade(Math.sqrt(P[shown[r]][shown[c]])) })),
    );
  }

  node.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const limit = (k) => Math.max(0, Math.min(shown.length - 1, k));
    onselect(shown[limit(row + move[0])], shown[limit(column + move[1])]);
    announce(describe(shown[row], shown[column]));
  });
  // On a touch screen, a tap selects, and moving the finger scrolls the page.
  const point = (event) => {
    const box = picture.getBoundingClientRect();
    const unit = box.width / width;
    const r = Math.floor(((event.clientY - box.top) / unit - TOP) / CELL);
    const c = Math.floor(((event.clientX - box.left) / unit - LEFT) / CELL);
    if (shown[r] !== undefined && shown[c] !== undefined) onselect(shown[r], shown[c]);
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerdown", point);
  select(0, 0);
  return { node, fill, select, rest: ids.length - shown.length };
}
