// The directions in which vectors differ most: principal axes, by power iteration.
import { seeded } from "./numbers.js";

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function covariance(rows, mean) {
  const size = mean.length;
  const matrix = Array.from({ length: size }, () => new Float64Array(size));
  for (const row of rows) {
    const x = Float64Array.from(row, (value, i) => value - mean[i]);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) matrix[i][j] += (x[i] * x[j]) / rows.length;
    }
  }
  return matrix;
}

// Takes out what lies along earlier axes, and makes the length 1. A vector of zeros stays one.
function cleaned(vector, axes) {
  let rest = vector;
  for (const axis of axes) {
    const along = dot(rest, axis);
    rest = rest.map((value, i) => value - along * axis[i]);
  }
  const length = Math.sqrt(dot(rest, rest));
  return rest.map((value) => (length > 1e-12 ? value / length : 0));
}

// Of its two directions, an axis takes the one whose largest number is positive.
function pointed(axis) {
  const larger = (a, b) => (Math.abs(b) > Math.abs(a) ? b : a);
  const largest = axis.reduce(larger, 0);
  return largest < 0 ? axis.map((value) => -value) : axis;
}

// rows: vectors of the same length -> {mean, axes, shares}. axes: `count` vectors of length 1, at
// right angles to each other. shares: how much of the spread lies along each of them.
export function principalAxes(rows, count = 2) {
  const size = rows[0].length;
  const mean = Float64Array.from({ length: size }, (_, i) =>
    rows.reduce((sum, row) => sum + row[i] / rows.length, 0),
  );
  const matrix = covariance(rows, mean);
  const total = matrix.reduce((sum, row, i) => sum + row[i], 0);
  const random = seeded(1);
  const axes = [];
  const shares = [];
  for (let k = 0; k < count; k++) {
    let axis = cleaned(Float64Array.from({ length: size }, () => random() - 0.5), axes);
    for (let i = 0; i < 3000; i++) {
      const next = cleaned(Float64Array.from(matrix, (row) => dot(row, axis)), axes);
      const moved = 1 - Math.abs(dot(next, axis));
      axis = next;
      if (moved < 1e-14) break;
    }
    axes.push(pointed(axis));
    shares.push(total ? dot(axis, Float64Array.from(matrix, (row) => dot(row, axis))) / total : 0);
  }
  return { mean, axes, shares };
}

// The place of a vector along each axis.
export function projected(row, { mean, axes }) {
  const x = Float64Array.from(row, (value, i) => value - mean[i]);
  return axes.map((axis) => dot(x, axis));
}
