// The nats of a word added up, a line for each model.
import { lineChart } from "./charts.js";
import { h, mark } from "./dom.js";
import { lineStyles, nats } from "./word_surprise.js";
import { lineKey } from "./word_table.js";

// rows: as from surprises(), without problems. width: what the page has for it, in pixels.
export function wordChart(rows, targets, width) {
  const styles = lineStyles(rows.map((row) => row.model));
  const series = rows.map((row, r) => {
    let sum = 0;
    const points = [[0, 0], ...row.losses.map((loss, i) => [i + 1, (sum += loss)])];
    return { name: row.model.label, ...styles[r], points: points.filter(([, y]) => isFinite(y)) };
  });
  const sums = rows.map((row) => `${row.model.label} ${nats(row.sum)}`).join(", ");
  return h(
    "figure",
    { class: "word-chart" },
    h(
      "figcaption",
      {},
      "The nats add up from left to right. The lower a line ends, the better its model predicts ",
      "the word.",
    ),
    lineChart(series, {
      width: Math.max(320, Math.min(640, width)),
      height: 300,
      title: `Nats added up over the letters. At the end: ${sums}.`,
      xLabel: "letters read so far",
      yLabel: "nats",
      xTicks: targets.map((ch, i) => [i + 1, mark(ch)]),
    }),
    h(
      "ul",
      { class: "legend", "aria-hidden": "true" },
      rows.map((row, r) => h("li", {}, lineKey(styles[r]), row.model.label)),
    ),
  );
}
