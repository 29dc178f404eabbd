// Vectors and random numbers.

// matrix @ x: the dot product of every row of a (rows, columns) tensor with x.
export function linear(matrix, x, bias) {
  const [rows, columns] = matrix.shape;
  const w = matrix.data;
  const out = new Float64Array(rows);
  for (let r = 0, i = 0; r < rows; r++) {
    let sum = bias ? bias.data[r] : 0;
    for (let c = 0; c < columns; c++) sum += w[i++] * x[c];
    out[r] = sum;
  }
  return out;
}

// x @ matrix, for a tensor (rows, columns) and x of `rows` numbers.
export function linearT(matrix, x, bias) {
  const [rows, columns] = matrix.shape;
  const w = matrix.data;
  const out = new Float64Array(columns);
  if (bias) out.set(bias.data);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c] += x[r] * w[i++];
  }
  return out;
}

export function rowOf(matrix, r) {
  const columns = matrix.shape[1];
  return matrix.data.subarray(r * columns, (r + 1) * columns);
}

export function add(a, b) {
  return Float64Array.from(a, (value, i) => value + b[i]);
}

export function softmax(logits) {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const exps = Float64Array.from(logits, (logit) => Math.exp(logit - highest));
  const total = exps.reduce((a, b) => a + b, 0);
  return exps.map((e) => e / total);
}

export function logSoftmax(logits) {
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - highest);
  const shift = highest + Math.log(total);
  return Float64Array.from(logits, (logit) => logit - shift);
}

// A generator of random numbers from 0 to 1, the same ones for the same seed (mulberry32).
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Probabilities as they are drawn from: temperature below 1 favours likely ones; topK keeps that
// many of the likeliest only (0: all). -> Float64Array that adds up to 1
export function reshape(logProbs, { temperature = 1, topK = 0 } = {}) {
  let scores = Float64Array.from(logProbs, (logP) => logP / temperature);
  if (topK > 0 && topK < scores.length) {
    const least = [...scores].sort((a, b) => b - a)[topK - 1];
    scores = scores.map((score) => (score < least ? -Infinity : score));
  }
  // Counts without smoothing know nothing of a character that train does not have.
  if (scores.every((score) => score === -Infinity)) return scores.fill(0);
  return softmax(scores);
}

// An index drawn from the log-probabilities. options: as for reshape(), and random.
export function draw(logProbs, { random = Math.random, ...options } = {}) {
  const probs = reshape(logProbs, options);
  let rest = random();
  for (let i = 0; i < probs.length; i++) {
    rest -= probs[i];
    if (rest < 0) return i;
  }
  return probs.indexOf(Math.max(...probs)); // rounding left a little over
}
