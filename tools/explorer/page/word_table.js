// The table of surprises: a row for each model, a column for each letter.
import { shade } from "./charts.js";
import { h, mark, MOVES, spoken, svg } from "./dom.js";
import { cellLabel, leastLosses, lineStyles, nats } from "./word_surprise.js";

const FULL_COST = 5; // nats that get the strongest colour
const STRONGEST = 0.5; // share of the colour; with more of it the numbers would be hard to read

// A short piece of a model's line in the chart.
export function lineKey({ colour, dash }) {
  const line = { x1: 0, x2: 30, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": dash };
  return svg(
    "svg",
    { class: "word-key", viewBox: "0 0 30 8", "aria-hidden": "true" },
    svg("line", { ...line, style: { stroke: colour } }),
  );
}

// rows: as from surprises(), without problems. chosen: {row, i}, the cell that is pressed.
// onchoose(row, i) is called for the cell that the reader presses, onlook(text) for the one that
// the reader points at or moves to.
export function wordTable(rows, targets, chosen, { onchoose, onlook }) {
  const least = leastLosses(rows);
  const smallest = Math.min(...rows.map((row) => row.sum));
  const styles = lineStyles(rows.map((row) => row.model));
  const isBest = (loss, best) => rows.length > 1 && loss <= best + 1e-9;
  const buttons = rows.map((row, r) => row.losses.map((_, i) => cell(row, r, i)));
  const all = buttons.flat();

  function cell(row, r, i) {
    const best = isBest(row.losses[i], least[i]);
    const label = cellLabel(row, i, targets, best);
    return h(
      "button",
      {
        type: "button",
        class: best ? "word-cell word-best" : "word-cell",
        "aria-label": label,
        "aria-pressed": String(chosen.row === row && chosen.i === i),
        style: { "--shade": shade((STRONGEST * Math.min(row.losses[i], FULL_COST)) / FULL_COST) },
        onclick: (event) => press(event.currentTarget, row, i),
        onfocus: (event) => {
          makeStop(event.currentTarget);
          onlook(label);
        },
        onpointerenter: () => onlook(label),
        onkeydown: (event) => move(event, r, i),
      },
      nats(row.losses[i]),
    );
  }

  function press(button, row, i) {
    all.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    onchoose(row, i);
  }

  // Only one cell is a stop of the Tab key; the arrow keys move to the others.
  function makeStop(button) {
    all.forEach((b) => b.setAttribute("tabindex", b === button ? "0" : "-1"));
  }

  function move(event, r, i) {
    if (!(event.key in MOVES)) return;
    event.preventDefault();
    const [down, right] = MOVES[event.key];
    buttons[r + down]?.[i + right]?.focus();
  }

  makeStop(buttons[rows.indexOf(chosen.row)][chosen.i]);
  return h(
    "table",
    { class: "word-table" },
    h("caption", { class: "unseen" }, "Surprise in nats, a row for each model"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "model"),
        targets.map((ch) =>
          h("th", { scope: "col", class: "word-letter", "aria-label": spoken(ch) }, mark(ch)),
        ),
        h("th", { scope: "col" }, "sum"),
        h("th", { scope: "col" }, "mean"),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((row, r) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, lineKey(styles[r]), row.model.label),
          buttons[r].map((button) => h("td", {}, button)),
          h(
            "td",
            { class: isBest(row.sum, smallest) ? "word-sum word-best" : "word-sum" },
            nats(row.sum),
          ),
          h("td", { class: "word-sum" }, nats(row.mean, 3)),
        ),
      ),
    ),
  );
}
