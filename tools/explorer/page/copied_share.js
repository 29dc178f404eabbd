// How many of 200 drawn names are known, at several temperatures.
import { lineChart, legend } from "./charts.js";
import { announce, h, runButton, show, takeTurns } from "./dom.js";
import { originOf } from "./known.js";
import { seeded } from "./numbers.js";

const SAMPLES = 200;
const TEMPERATURES = [0.25, 0.5, 0.75, 1, 1.5, 2];

// {train, val, test, new, different} of SAMPLES names, or null once isStopped(). different: how
// many names are left when each counts once.
async function countOrigins(model, known, temperature, tell, isStopped) {
  const counts = { train: 0, val: 0, test: 0, new: 0 };
  const seen = new Set();
  const turn = takeTurns();
  for (let i = 0; i < SAMPLES; i++) {
    const name = model.sample("", { temperature, random: seeded(i) });
    counts[originOf(known, name)] += 1;
    seen.add(name);
    if (!(await turn())) continue;
    tell(i + 1);
    if (isStopped()) return null;
  }
  return { ...counts, different: seen.size };
}

function shareTable(results) {
  const head = ["model", "temperature", "train", "val or test", "new", "different names"];
  const percent = (n) => `${((100 * n) / SAMPLES).toFixed(1)}%`;
  return h(
    "table",
    { class: "copied-table" },
    h("caption", {}, `Of ${SAMPLES} names drawn`),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((text) => h("th", { scope: "col" }, text)),
      ),
    ),
    h(
      "tbody",
      {},
      results.map(({ model, temperature, counts }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, model.label),
          h("td", {}, temperature.toFixed(2)),
          h("td", {}, percent(counts.train)),
          h("td", {}, percent(counts.val + counts.test)),
          h("td", {}, percent(counts.new)),
          h("td", {}, counts.different),
        ),
      ),
    ),
  );
}

// Models of one stage share their colour: the second line is dashed, the third one darker.
function lineStyle({ colour }, earlier) {
  const same = earlier.filter((model) => model.colour === colour).length;
  const dark = `color-mix(in oklab, ${colour} 50%, var(--ink))`;
  return { colour: same > 1 ? dark : colour, dashed: same % 2 === 1 };
}

function shareChart(results) {
  const models = [...new Set(results.map(({ model }) => model))];
  const series = models.map((model, i) => ({
    name: model.label,
    ...lineStyle(model, models.slice(0, i)),
    points: results
      .filter((result) => result.model === model)
      .map(({ temperature, counts }) => [temperature, (100 * counts.train) / SAMPLES]),
  }));
  const title = `How many of ${SAMPLES} names are in train, by temperature; numbers in the table`;
  const labels = { xLabel: "temperature", yLabel: "% in train" };
  const ranges = { xRange: [0, TEMPERATURES.at(-1)], yRange: [0, 100] };
  return [legend(series), lineChart(series, { title, ...labels, ...ranges, height: 260 })];
}

// A button that draws with the chosen model; the results of several models stay side by side.
export function createShares(known, chosenModel) {
  const progress = h("span", { class: "note" });
  const shown = h("div", { class: "copied-shares" });
  let results = [];

  async function drawShares(model, isStopped) {
    results = results.filter((result) => result.model !== model);
    for (const temperature of TEMPERATURES) {
      const tell = (n) => {
        progress.textContent = `${model.label}, temperature ${temperature}: ${n} of ${SAMPLES}`;
      };
      const counts = await countOrigins(model, known, temperature, tell, isStopped);
      if (!counts) return "stopped";
      results.push({ model, temperature, counts });
      show(
        shown,
        h("div", {}, shareChart(results)),
        h("div", { class: "scroll" }, shareTable(results)),
      );
    }
    return `${model.label}: done`;
  }

  const label = `Draw ${SAMPLES} names at ${TEMPERATURES.length} temperatures`;
  const button = runButton(label, async (isStopped) => {
    progress.textContent = await drawShares(chosenModel(), isStopped);
    announce(progress.textContent);
  });
  return h("div", {}, button, " ", progress, shown);
}
