// The losses along the training of chosen runs, over steps or over the characters seen.
import { lineChart } from "./charts.js";
import { choice, data, h } from "./dom.js";
import { header } from "./data.js";
import { sizedBox } from "./sized.js";

const MOST_AT_FIRST = 12;

// The rows that have a curve. The steps of an n-gram are lengths, so it has none here.
function rowsWithCurve(group) {
  const isNGram = (row) => row.folder.includes("/ngram/");
  return group.rows.filter((row) => row.result.curve?.length > 1 && !isNGram(row));
}

// [[x, loss], ...] from a result. column: 1 for the train loss, 2 for the val loss.
function curvePoints(result, column, overSteps) {
  const perStep = overSteps ? 1 : result.chars_seen / Math.max(result.steps, 1);
  return result.curve
    .filter((row) => row[column] !== null)
    .map((row) => [row[0] * perStep, row[column]]);
}

// One row's lines: its val loss, and its train loss if the reader wants it or if the run measured
// its val loss only once.
function curvesOf(row, number, options) {
  const val = curvePoints(row.result, 2, options.overSteps);
  const train = curvePoints(row.result, 1, options.overSteps);
  const colour = header.colours[row.stage] ?? "var(--accent)";
  const lines = [{ name: `${row.label}, val`, colour, points: val, end: String(number) }];
  if (options.withTrain || val.length < 2) {
    lines.push({ name: `${row.label}, train`, colour, points: train, dashed: true });
  }
  return lines.filter((line) => line.points.length);
}

// At first, the chart shows the models that the page has, or else the group's first runs.
function rowsAtFirst(rows) {
  const folders = new Set(header.runs.flatMap((run) => run.models.map((entry) => entry.folder)));
  const models = rows.filter((row) => folders.has(row.folder));
  return (models.length ? models : rows).slice(0, MOST_AT_FIRST);
}

// A section with the choices and the chart. isTwo: there are two runs.
export function createLossCurves(group, isTwo) {
  const rows = rowsWithCurve(group);
  if (!rows.length) return null;
  const chosen = new Set(rowsAtFirst(rows));
  const options = { overSteps: false, logX: true, logY: false, withTrain: false };
  const levels = group.baselines
    .filter((baseline) => baseline.val !== null)
    .map((baseline) => ({ y: baseline.val, name: baseline.label }));
  const seen = group.unit === "nats/point" ? "points" : "characters";

  const draw = (width) => {
    const lines = rows.flatMap((row, i) => (chosen.has(row) ? curvesOf(row, i + 1, options) : []));
    const drawn = options.logX ? lines.flatMap((l) => l.points).some(([x]) => x > 0) : lines.length;
    if (!drawn) return h("p", { class: "note" }, "Choose a run below.");
    const count = chosen.size === 1 ? "1 run" : `${chosen.size} runs`;
    return lineChart(lines, {
      width: Math.min(width, 960),
      height: 380,
      title: `Losses of ${count} along the training`,
      xLabel: options.overSteps ? "step" : `${seen} seen in training`,
      yLabel: group.unit,
      logX: options.logX,
      logY: options.logY,
      levels,
    });
  };
  const sized = sizedBox(draw, 390);
  const set = (name) => (value) => {
    options[name] = value;
    sized.redraw();
  };
  const isTrue = (yes, no) => [[true, yes], [false, no]];
  const train = h("input", { type: "checkbox", onchange: () => set("withTrain")(train.checked) });
  const controls = h(
    "div",
    { class: "losses-controls" },
    choice("Horizontal axis", [[false, `${seen} seen`], [true, "steps"]], false, set("overSteps")),
    choice("Scale of the horizontal axis", isTrue("log x", "linear x"), true, set("logX")),
    choice("Scale of the vertical axis", isTrue("log y", "linear y"), false, set("logY")),
    h("label", {}, train, " train losses too (dashed)"),
  );
  const boxes = rows.map((row, i) => {
    const box = h("input", {
      type: "checkbox",
      checked: chosen.has(row),
      onchange: () => {
        if (box.checked) chosen.add(row);
        else chosen.delete(row);
        sized.redraw();
      },
    });
    const colour = header.colours[row.stage] ?? "var(--accent)";
    const swatch = h("span", { class: "swatch", style: { background: colour } });
    const name = isTwo ? `${row.label} (${row.run})` : row.label;
    return h("li", {}, h("label", {}, box, ` ${i + 1} `, swatch, data(name)));
  });
  return h(
    "section",
    {},
    controls,
    sized.box,
    h("ul", { class: "losses-runs", "aria-label": "Runs in the chart" }, boxes),
    curveTable(rows, isTwo),
  );
}

// The curves as numbers.
function curveTable(rows, isTwo) {
  const details = h("details", {}, h("summary", {}, "The curves as numbers"));
  const fill = () => {
    if (details.childElementCount > 1) return;
    const cells = (row) =>
      row.result.curve.map(([step, train, val]) =>
        h("tr", {}, [step, train, val].map((n, i) => h("td", {}, numberText(n, i ? 3 : 0)))),
      );
    const titles = ["step", "train", "val"].map((title) => h("th", { scope: "col" }, title));
    details.append(
      h(
        "div",
        { class: "losses-numbers" },
        rows.map((row) =>
          h(
            "table",
            { class: "losses-table" },
            h("caption", {}, data(isTwo ? `${row.label} (${row.run})` : row.label)),
            h("thead", {}, h("tr", {}, titles.map((title) => title.cloneNode(true)))),
            h("tbody", {}, cells(row)),
          ),
        ),
      ),
    );
  };
  details.addEventListener("toggle", fill);
  return details;
}

function numberText(n, digits) {
  if (n === null) return "";
  return n.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
