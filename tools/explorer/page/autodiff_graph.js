// The drawing of a graph of Values.
import { svg } from "./dom.js";
import { layoutGraph } from "./graph_layout.js";

const LETTER = 7.3; // px, width of a letter in the boxes
const BOX_HEIGHT = 64; // px
const LONGEST_TITLE = 24; // characters
const PIXELS_PER_UNIT = 60; // dragging a box by so many pixels changes its number by 1

// Three decimals where they say enough, else powers of ten.
export function fixedNumber(x) {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const size = Math.abs(x);
  if (size !== 0 && (size >= 1e6 || size < 5e-4)) return x.toExponential(2);
  return x.toFixed(3).replace(/^-(0\.000)$/, "$1");
}

function titleOf(node) {
  const title = node.formula ? `${node.name} = ${node.formula}` : node.name;
  return title.length > LONGEST_TITLE ? `${title.slice(0, LONGEST_TITLE - 1)}…` : title;
}

function nodeLines(node) {
  return [titleOf(node), `data ${fixedNumber(node.data)}`, `grad ${fixedNumber(node.grad)}`];
}

// The widest that a box may get while its numbers change, so that nothing jumps.
function boxSize(node) {
  return [Math.max(titleOf(node).length, 14) * LETTER + 14, BOX_HEIGHT];
}

// The layout stays as long as the formulas do: numbers change nothing.
let lastLayout = { key: null, layout: null };

function layoutOf(nodes) {
  const key = nodes.map(titleOf).join("\n");
  if (lastLayout.key !== key) lastLayout = { key, layout: layoutGraph(nodes, boxSize), nodes };
  const { layout, nodes: old } = lastLayout;
  const now = new Map(old.map((node, i) => [node, nodes[i]]));
  return {
    ...layout,
    at: new Map([...layout.at].map(([node, place]) => [now.get(node), place])),
    edges: layout.edges.map((e) => ({ ...e, parent: now.get(e.parent), child: now.get(e.child) })),
  };
}

// A smooth line through points that lie from left to right.
function curve(path) {
  const [first, ...rest] = path;
  let [x, y] = first;
  const parts = [`M${x},${y}`];
  for (const [nextX, nextY] of rest) {
    const middle = (x + nextX) / 2;
    parts.push(`C${middle},${y} ${middle},${nextY} ${nextX},${nextY}`);
    [x, y] = [nextX, nextY];
  }
  return parts.join("");
}

function arrow([x, y], direction) {
  const back = x - 8 * direction;
  return svg("polygon", { points: `${x},${y} ${back},${y - 4} ${back},${y + 4}` });
}

// pass: what the current turn sends along this line, or undefined.
function drawEdge({ path, port }, pass) {
  const [to] = path.slice(-1);
  return svg(
    "g",
    { class: pass ? "autodiff-edge autodiff-passing" : "autodiff-edge" },
    svg("path", { d: curve(path) }),
    pass ? arrow(path[0], -1) : arrow(to, 1),
    pass
      ? svg(
          "text",
          { x: to[0] - 6, y: to[1] + (port === 0 ? -6 : 15), "text-anchor": "end" },
          fixedNumber(pass.amount),
        )
      : null,
  );
}

function drawNode(node, { x, y, width, height }, { isTurn, isVariable, isReached }) {
  const kinds = ["autodiff-node"];
  if (isTurn) kinds.push("autodiff-turn");
  if (isVariable) kinds.push("autodiff-variable");
  if (node.isConstant) kinds.push("autodiff-constant");
  if (!isReached) kinds.push("autodiff-waiting");
  const middle = x + width / 2;
  const [title, value, grad] = nodeLines(node);
  const line = (kind, shift, text) =>
    svg("text", { class: kind, x: middle, y: y + shift, "text-anchor": "middle" }, text);
  return svg(
    "g",
    { class: kinds.join(" "), dataset: isVariable ? { variable: node.name } : {} },
    svg("rect", { x, y: y - height / 2, width, height, rx: 7 }),
    line("autodiff-title", -13, title),
    line("autodiff-data", 5, value),
    line("autodiff-grad", 22, grad),
  );
}

// graph: as evaluateExpression() returns it. turn: the node whose turn it is, or null. passed: as
// backwardTo() returns it. reached: the nodes that have got a gradient.
export function drawGraph({ nodes, variables, result }, { turn, passed, reached }) {
  const { at, edges, width, height } = layoutOf(nodes);
  const variable = new Set(variables.map(({ value }) => value));
  const isPassing = (edge) => edge.parent === turn;
  const inFront = [...edges].sort((a, b) => isPassing(a) - isPassing(b));
  return svg(
    "svg",
    {
      class: "autodiff-graph",
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label":
        `The graph of ${result.name}: ${nodes.length} nodes. A table below has the same numbers.`,
      style: { "min-width": `${0.85 * width}px`, "max-width": `${1.25 * width}px` },
    },
    inFront.map((edge) => drawEdge(edge, isPassing(edge) ? passed[edge.index] : undefined)),
    nodes.map((node) =>
      drawNode(node, at.get(node), {
        isTurn: node === turn,
        isVariable: variable.has(node),
        isReached: reached.has(node),
      }),
    ),
  );
}

// Lets the reader drag a variable's box in a drawing to the right and to the left. box: what holds
// the drawing, which may be drawn again meanwhile. numberOf(name); onmove(name, number).
export function addDragging(box, { numberOf, onmove }) {
  let drag = null;
  box.addEventListener("pointerdown", (event) => {
    const name = event.target.closest("[data-variable]")?.dataset.variable;
    if (name === undefined) return;
    drag = { name, from: event.clientX, number: numberOf(name) };
    box.setPointerCapture(event.pointerId);
    event.preventDefault(); // no text gets selected
  });
  box.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const number = drag.number + (event.clientX - drag.from) / PIXELS_PER_UNIT;
    onmove(drag.name, Number(number.toFixed(2)));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    box.addEventListener(end, () => (drag = null));
  }
}
