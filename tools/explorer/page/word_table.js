// The table of surprises: a row for each model, a column for each letter.
import { shade } from "./charts.js";
import { h, mark, spoken, svg } from "./dom.js";
import { cellLabel, leastLosses, lineStyles, nats } from "./word_surprise.js";

const DARKEST = 5; // nats
const FULL = 0.5; // share of the colour at DARKEST; more would make the numbers hard to read

// A short piece of a model's line in the chart.
export function lineKey({ colour, dash }) {
  return svg(
    "svg",
    { class: "word-key", viewBox: "0 0 30 8", "aria-hidden": "true" },
    svg("line", {
      x1: 0, x2: 30, y1: 4, y2: 4, stroke: colour, "stroke-width": 3, "stroke-dasharray": dash,
    }),
  );
}

// onchoose(row, i) is called for the cell that the reader chooses, onlook(text) for the one that
// he looks at. chosen: {model, i} or null.
export function surpriseTable(rows, targets, { chosen, onchoose, onlook }) {
  const least = leastLosses(rows);
  const smallest = Math.min(...rows.map((row) => row.sum));
  const styles = lineStyles(rows.map((row) => row.model));
  const isBest = (loss, best) => rows.length > 1 && loss <= best + 1e-9;
  const buttons = rows.map((row, r) =>
    row.losses.map((loss, i) => {
      const best = isBest(loss, least[i]);
      const label = cellLabel(row, i, targets, best);
      const isChosen = chosen !== null && chosen.model === row.model && chosen.i === i;
      return h(
        "button",
        {
          type: "button",
          class: best ? "word-cell word-best" : "word-cell",
          tabindex: "-1",
          "aria-label": label,
          "aria-pressed": String(isChosen),
          style: { "--shade": shade((FULL * Math.min(loss, DARKEST)) / DARKEST) },
          onclick: (event) => press(event.currentTarget, row, i),
          onfocus: (event) => {
            makeStop(event.currentTarget);
            onlook(label);
          },
          onpointerenter: () => onlook(label),
          onkeydown: (event) => move(event, r, i),
        },
        nats(loss),
      );
    }),
  );
  const all = buttons.flat();

  function press(button, row, i) {
    all.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    onchoose(row, i);
  }

  // Only one cell is a stop of the Tab key; the arrow keys go on from there.
  function makeStop(button) {
    all.forEach((b) => b.setAttribute("tabindex", b === button ? "0" : "-1"));
  }

  function move(event, r, i) {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    buttons[r + step[0]]?.[i + step[1]]?.focus();
  }

  makeStop(all.find((b) => b.getAttribute("aria-pressed") === "true") ?? all[0]);
  return h(
    "table",
    { class: "word-table" },
    h("caption", { class: "unseen" }, "Surprise in nats: a row for each model, a column for each letter"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "model"),
        targets.map((ch) =>
          h("th", { scope: "col", class: "word-letter" }, h("span", { "aria-label": spoken(ch) }, mark(ch))),
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
          h("td", { class: isBest(row.sum, smallest) ? "word-sum word-best" : "word-sum" }, nats(row.sum)),
          h("td", { class: "word-sum" }, nats(row.mean, 3)),
        ),
      ),
    ),
  );
}
