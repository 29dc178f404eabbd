// Stage 01: the network that tells two moons apart, as MLP in 01_micrograd/nn.py.
import { scale } from "./charts.js";
import { svg } from "./dom.js";

const [COLUMNS, ROWS] = [56, 42];
const WIDTH_OF_MOONS = 560;
const SQUARE = { width: 8, height: 8 };

// The score of a point [x, y]: above 0 for label 1. layers: [2, 8, 8, 1]. weights: in the order of
// parameters(), for each neuron its w and then its b.
function moonScore(layers, weights, point) {
  let x = point;
  let at = 0;
  for (let layer = 1; layer < layers.length; layer++) {
    const out = [];
    for (let neuron = 0; neuron < layers[layer]; neuron++) {
      let sum = 0;
      for (const value of x) sum += weights[at++] * value;
      sum += weights[at++];
      out.push(layer === layers.length - 1 ? sum : Math.tanh(sum));
    }
    x = out;
  }
  return x[0];
}

// The share of points on the right side of 0.
export function moonAccuracy(layers, weights, points) {
  const right = points.filter(([x, y, label]) => moonScore(layers, weights, [x, y]) * label > 0);
  return right.length / points.length;
}

function rangeOf(points, axis) {
  const values = points.map((point) => point[axis]);
  return points.length ? [Math.min(...values) - 0.4, Math.max(...values) + 0.4] : [-2, 3];
}

// Where a score of 0 crosses the sides of a square of the grid: two points for each piece of line.
function crossings(corners) {
  const found = [];
  corners.forEach(([x, y, score], i) => {
    const [x2, y2, score2] = corners[(i + 1) % 4];
    if (score > 0 === score2 > 0) return;
    const share = score / (score - score2);
    found.push([x + share * (x2 - x), y + share * (y2 - y)]);
  });
  return found;
}

// A map of the plane: how sure the network is where, its points, and the line between the labels.
// -> {node, show(weights)}
export function createMoonMap({ layers, points }) {
  const [xRange, yRange] = [rangeOf(points, 0), rangeOf(points, 1)];
  const span = (yRange[1] - yRange[0]) / (xRange[1] - xRange[0]);
  const height = Math.round(WIDTH_OF_MOONS * Math.max(0.4, Math.min(1.2, span)));
  const px = scale(...xRange, 0, WIDTH_OF_MOONS);
  const py = scale(...yRange, height, 0);
  const gridX = Array.from({ length: COLUMNS + 1 }, (_, c) => (c * WIDTH_OF_MOONS) / COLUMNS);
  const gridY = Array.from({ length: ROWS + 1 }, (_, r) => (r * height) / ROWS);
  const toX = scale(0, WIDTH_OF_MOONS, ...xRange);
  const toY = scale(height, 0, ...yRange);
  const size = { width: WIDTH_OF_MOONS / COLUMNS, height: height / ROWS };
  const cells = gridY.slice(1).map((_, r) =>
    gridX.slice(1).map((_, c) => svg("rect", { x: gridX[c], y: gridY[r], ...size })),
  );
  const line = svg("path", { class: "moons-line" });
  const marks = points.map(([x, y, label]) =>
    label > 0
      ? svg("circle", { class: "moons-one moons-point", cx: px(x), cy: py(y), r: 4.5 })
      : svg("rect", { class: "moons-other moons-point", x: px(x) - 4, y: py(y) - 4, ...SQUARE }),
  );
  const node = svg(
    "svg",
    {
      class: "moons",
      viewBox: `0 0 ${WIDTH_OF_MOONS} ${height}`,
      role: "img",
      "aria-label": "The plane of the two moons, and the line between the labels",
    },
    cells,
    line,
    marks,
  );

  function show(weights) {
    const scoreAt = (x, y) => moonScore(layers, weights, [toX(x), toY(y)]);
    const scores = gridY.map((y) => gridX.map((x) => scoreAt(x, y)));
    const pieces = [];
    cells.forEach((row, r) =>
      row.forEach((cell, c) => {
        const square = [[r, c], [r, c + 1], [r + 1, c + 1], [r + 1, c]];
        const corners = square.map(([i, j]) => [gridX[j], gridY[i], scores[i][j]]);
        const mean = corners.reduce((sum, corner) => sum + corner[2] / 4, 0);
        const p = 1 / (1 + Math.exp(-mean));
        cell.setAttribute("class", p > 0.5 ? "moons-one" : "moons-other");
        cell.setAttribute("opacity", (0.5 * Math.abs(2 * p - 1)).toFixed(3));
        const ends = crossings(corners).map((end) => end.map((v) => v.toFixed(1)).join());
        for (let k = 0; k + 1 < ends.length; k += 2) pieces.push(`M${ends[k]}L${ends[k + 1]}`);
      }),
    );
    line.setAttribute("d", pieces.join(""));
  }
  return { node, show };
}
