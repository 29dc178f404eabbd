// The tables and sentences of the autodiff view.
import { data, h } from "./dom.js";
import { fixedNumber } from "./autodiff_graph.js";

// Why the derivative of an operation with respect to its child `index` is what it is.
function reasonFor(node, index) {
  const { op, children, name } = node;
  const [a] = children;
  if (op === "+") return "a sum moves as much as each of its parts";
  if (op === "*") return `the other factor, ${children[1 - index].name}`;
  if (op === "exp") return `${name} itself`;
  if (op === "log") return `1 / ${a.name}`;
  if (op === "tanh") return `1 - ${name} ** 2`;
  if (op === "relu") return a.data > 0 ? "above 0" : "not above 0";
  const n = Number(op.slice(2));
  return `${n} * ${a.name} ** ${Number((n - 1).toPrecision(12))}`;
}

// What a step of the walk does: a sentence, and one for each child.
export function describeStep({ result, step, turns, turn, passed }) {
  if (step === 0) {
    return [`Forward is done: ${result.name} = ${fixedNumber(result.data)}. All gradients are 0.`];
  }
  if (!turn) {
    return [`Start at the result: ${result.name} moves as far as itself, so its gradient is 1.`];
  }
  const count = `Turn ${step - 1} of ${turns.length}`;
  const node = `${turn.name} = ${turn.formula}`;
  const opening = `${count}: ${node} passes on its gradient, ${fixedNumber(turn.grad)}.`;
  return [opening, ...passed.map((pass) => describePass(turn, pass))];
}

const inSum = (x) => (x < 0 ? `(${fixedNumber(x)})` : fixedNumber(x));

function describePass(turn, { child, index, local, amount, before, after }) {
  const [from, slope, part, sum] = [before, local, amount, after].map(fixedNumber);
  const reason = reasonFor(turn, index);
  const product = `${child.name}: ${slope} (${reason}) × ${inSum(turn.grad)} = ${part}`;
  if (child.isConstant) return `To the number ${product}, which nobody needs.`;
  return `To ${product}. Gradient of ${child.name}: ${from} + ${inSum(amount)} = ${sum}.`;
}

// All nodes with their numbers, for those who cannot see the graph.
export function nodesTable({ nodes }) {
  const heads = ["node", "computed as", "data", "grad"];
  return h(
    "table",
    { class: "autodiff-table" },
    h("caption", { class: "unseen" }, "The nodes of the graph, from the leaves to the result"),
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h(
      "tbody",
      {},
      nodes.map((node) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, data(node.name)),
          h("td", {}, data(node.formula || (node.isConstant ? "constant" : "variable"))),
          h("td", { class: "autodiff-number" }, fixedNumber(node.data)),
          h("td", { class: "autodiff-number" }, fixedNumber(node.grad)),
        ),
      ),
    ),
  );
}

// Whether a gradient and a slope by nudging agree. Nudging is right to about six digits.
function agrees(grad, { slope, error }) {
  if (Object.is(grad, slope)) return true; // both are NaN, or the same infinity
  return Math.abs(grad - slope) <= error + 1e-4 * Math.max(1, Math.abs(grad), Math.abs(slope));
}

const SLIDER_REACH = 5; // sliders go from -5 to 5, or further for a larger number

// The variables with their sliders. The rows stay while the numbers change, so that a slider that
// is being dragged is not replaced.
// variables: as evaluateExpression() returns them. oninput(name, number).
// -> {table, update(rows)}; a row is {name, number, grad, nudged, isComplete}.
export function variablesTable(variables, oninput) {
  const lines = new Map(
    variables.map(({ name, value }) => [name, variableLine(name, value, oninput)]),
  );
  const heads = ["name", "value", "grad", "by nudging"];
  const table = h(
    "table",
    { class: "autodiff-table autodiff-variables" },
    h("caption", { class: "unseen" }, "The variables, their values and their gradients"),
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, [...lines.values()].map((line) => line.row)),
  );
  return { table, update: (rows) => rows.forEach((row) => lines.get(row.name).update(row)) };
}

function variableLine(name, value, oninput) {
  const reach = Math.max(SLIDER_REACH, 2 * Math.abs(value.data));
  const input = h("input", {
    type: "range",
    min: -reach,
    max: reach,
    step: "any",
    "aria-label": `value of ${name}`,
    oninput: () => oninput(name, Number(Number(input.value).toPrecision(3))),
  });
  const [output, grad, slope] = ["output", "td", "td"].map((tag) =>
    h(tag, { class: "autodiff-number" }),
  );
  const update = (row) => {
    input.value = row.number;
    input.setAttribute("aria-valuetext", fixedNumber(row.number));
    output.textContent = fixedNumber(row.number);
    grad.textContent = fixedNumber(row.grad);
    const differs = row.isComplete && row.nudged !== null && !agrees(row.grad, row.nudged);
    const found = row.nudged === null ? "none" : fixedNumber(Number(row.nudged.slope.toFixed(9)));
    slope.textContent = differs ? `≠ ${found}` : found;
    slope.classList.toggle("problem", differs);
  };
  const cells = [h("td", {}, h("span", { class: "autodiff-value" }, input, output)), grad, slope];
  return { row: h("tr", {}, h("th", { scope: "row" }, data(name)), cells), update };
}
