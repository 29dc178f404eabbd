// The loss along the training, with a mark at the step that the slider shows.
import { lineChart } from "./charts.js";
import { h, show } from "./dom.js";
import { sizedBox } from "./sized.js";
import { panelOf } from "./training_panels.js";
import { meanLoss } from "./training_states.js";

const BEFORE_1 = 0.5; // where a log axis shows step 0

// row: of the loss table, or undefined. valNames: some val names for a loss at each kept step, or
// null.
export function createCurvePanel({ steps, row, unit, valNames = null }) {
  const curve = row?.result.curve ?? [];
  const at = (step) => Math.max(step, BEFORE_1);
  const points = (column) =>
    curve.filter((r) => r[column] !== null).map((r) => [at(r[0]), r[column]]);
  const own = []; // [step, loss], computed here
  const some = valNames && `${valNames.length} val names`;
  let k = 0;
  const series = () => {
    const scored = own.map(([step, loss]) => [at(step), loss]);
    const lines = [
      { name: "train loss", colour: "var(--soft)", points: points(1), dashed: true },
      { name: "val loss, whole split", colour: "var(--ink)", points: points(2) },
      { name: `on ${some}, computed here`, colour: "var(--accent)", points: scored },
    ];
    return lines.filter((line) => line.points.length);
  };
  const draw = (width) => {
    const lines = series();
    if (!lines.length) return h("p", { class: "note" }, "No losses are known for this run.");
    return h(
      "div",
      {},
      lineChart(lines, {
        width: Math.min(width, 960),
        height: 260,
        title: `Loss along the training, now at step ${steps[k]}`,
        xLabel: "step (the left edge is step 0)",
        yLabel: unit,
        logX: true,
        xRange: [BEFORE_1, Math.max(10, steps.at(-1) ?? 10)],
        marks: steps[k] === null ? [] : [{ x: at(steps[k]) }],
      }),
      h("ul", { class: "legend" }, lines.map(keyOf)),
    );
  };
  const sized = sizedBox(draw, 300);
  const sentence = h("p", { class: "training-loss" });
  const node = panelOf("The loss", sentence, sized.box);

  function update(now) {
    k = now;
    const whole = curve.findLast((r) => r[0] === steps[k] && r[2] !== null);
    const scored = own.find(([step]) => step === steps[k]);
    let loss = "";
    if (whole) loss = `: ${whole[2].toFixed(3)} ${unit} on the whole val split`;
    else if (scored) loss = `: ${scored[1].toFixed(3)} ${unit} on ${some}`;
    show(sentence, `The line marks step ${stepText(steps[k])}${loss}.`);
    sized.redraw();
  }
  // Adds the loss of each kept step, one after the other.
  async function score(states) {
    if (!valNames) return;
    for (const { step, model } of states) {
      const loss = step === null ? null : await meanLoss(model, valNames);
      if (loss === null) return;
      own.push([step, loss]);
      update(k);
    }
  }
  return { node, update, score };
}

function keyOf({ name, colour, dashed }) {
  const kind = dashed ? "training-key training-dashed" : "training-key";
  return h("li", {}, h("span", { class: kind, style: { "border-color": colour } }), name);
}

export function stepText(step) {
  return step === null ? "the end" : step.toLocaleString("en");
}
