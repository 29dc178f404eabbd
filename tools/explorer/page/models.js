// One protocol for all models, that of the stages: rows(text) is what log_probs(model, text) is
// there, sample() draws, attention(text) shows where each head looks.
import { loadJson, loadTensors } from "./data.js";
import { GPT } from "./gpt.js";
import { NGram } from "./ngram.js";
import { draw, linearT, logSoftmax, rowOf } from "./numbers.js";

export class UnknownCharacter extends Error {
  constructor(ch, chars) {
    super(`This model has never seen the character ${JSON.stringify(ch)}.`);
    this.ch = ch;
    this.lower = chars.includes(ch.toLowerCase());
  }
}

// What every kind of model shares: its alphabet and its entry of the header.
class Model {
  constructor(entry) {
    Object.assign(this, entry);
    this.stoi = new Map(entry.chars.map((ch, i) => [ch, i]));
    this.isText = entry.kind === "gpt"; // a running text has neither a beginning nor an end
    this.BOS = this.isText ? null : entry.chars.length;
    this.symbols = this.isText ? entry.chars : [...entry.chars, null]; // null: the end of a name
  }

  // The ids of a text, without BOS. Throws UnknownCharacter.
  encode(text) {
    return [...text].map((ch) => {
      if (!this.stoi.has(ch)) throw new UnknownCharacter(ch, this.chars);
      return this.stoi.get(ch);
    });
  }

  // Log-probabilities of what follows each character; for a name also of what it begins with.
  // A name of N characters has N + 1 rows, a running text N.
  rows(text) {
    const tokens = this.encode(text);
    return this.rowsOf(this.isText ? tokens : [this.BOS, ...tokens]);
  }

  // Of what comes after a text.
  next(text) {
    return this.rows(text).at(-1);
  }

  // -log P of each character and of the end, in nats. A running text has no score for its first
  // character, and no end.
  losses(text) {
    const tokens = this.encode(text);
    const targets = this.isText ? tokens.slice(1) : [...tokens, this.BOS];
    const rows = this.rows(text);
    return targets.map((target, i) => -rows[i][target]);
  }

  // Draws one name, or `longest` characters of a running text, after a beginning.
  // -> the text with its beginning. options: as for draw().
  sample(beginning = "", { longest = 40, ...options } = {}) {
    let text = beginning;
    for (let i = 0; i < longest; i++) {
      const id = draw(this.next(text), options);
      if (id === this.BOS) break;
      text += this.chars[id];
    }
    return text;
  }
}

// Stage 02: P(next | character) from counts, and stage 03: the same table, learned.
class Table extends Model {
  constructor(entry, logTable, { counts = null, logits = null }) {
    super(entry);
    this.logTable = logTable; // a row for each character, then one for BOS
    this.counts = counts; // of stage 02 only
    this.logits = logits; // of stage 03 only: a tensor (V, V)
  }

  rowsOf(tokens) {
    return tokens.map((token) => this.logTable[token]);
  }
}

class NGramModel extends Model {
  constructor(entry, counts) {
    super(entry);
    this.ngram = new NGram(counts, entry.n, entry.chars);
  }

  rows(text) {
    this.encode(text);
    return this.ngram.logProbs(text);
  }
}

// Stage 04: the last block_size characters, left-padded with BOS.
class MLP extends Model {
  constructor(entry, tensors) {
    super(entry);
    this.tensors = tensors;
  }

  // The ids that the model reads to guess what comes after these tokens.
  context(tokens) {
    const padded = [...Array(this.block_size).fill(this.BOS), ...tokens.slice(1)];
    return padded.slice(-this.block_size);
  }

  // The outputs of the hidden layer for what comes after these tokens.
  hidden(tokens) {
    const { wte, mlp_fc1, mlp_bias } = this.tensors;
    const x = this.context(tokens).flatMap((token) => [...rowOf(wte, token)]);
    return linearT(mlp_fc1, x, mlp_bias).map(Math.tanh);
  }

  rowsOf(tokens) {
    const { lm_head, lm_bias } = this.tensors;
    return tokens.map((_, i) =>
      logSoftmax(linearT(lm_head, this.hidden(tokens.slice(0, i + 1)), lm_bias)),
    );
  }
}

// Stages 05 and 06.
class GPTModel extends Model {
  constructor(entry, tensors) {
    super(entry);
    this.tensors = tensors;
    this.gpt = new GPT(entry, tensors);
    this.last = { tokens: [], rows: [], cache: this.gpt.emptyCache() }; // the last text read
  }

  // The rows of the last text are kept, so that typing one more character costs one step.
  // options: as for GPT.step().
  rowsOf(tokens, options) {
    const fresh = { tokens: [], rows: [], cache: this.gpt.emptyCache() };
    if (options) return this.compute(tokens, fresh, options);
    const old = this.last.tokens;
    const longer = old.length <= tokens.length && tokens.length <= this.block_size;
    const known = longer && old.every((token, i) => token === tokens[i]) ? this.last : fresh;
    const rows = this.compute(tokens, known, {});
    this.last = { tokens: [...tokens], rows, cache: known.cache };
    return rows;
  }

  // known: the rows of the first tokens, and the cache that holds these tokens.
  compute(tokens, { rows, cache }, options) {
    const T = this.block_size;
    const done = [...rows];
    for (let i = done.length; i < tokens.length; i++) {
      if (i >= T && this.isText) {
        // As log_probs of stage 06: a window of the last T characters for each later row.
        let logits;
        const window = this.gpt.emptyCache();
        for (let t = 0; t < T; t++) logits = this.gpt.step(tokens[i - T + 1 + t], t, window, options);
        done.push(logSoftmax(logits));
        continue;
      }
      // As stage 05: a name longer than block_size is read in pieces, and each piece starts over.
      if (i > 0 && i % T === 0) for (const part of cache) part.keys.length = part.values.length = 0;
      done.push(logSoftmax(this.gpt.step(tokens[i], i % T, cache, options)));
    }
    return done;
  }

  // Rows with some parts switched off: a Set as for GPT.step().
  rowsWithout(text, off) {
    const tokens = this.encode(text);
    return this.rowsOf(this.isText ? tokens : [this.BOS, ...tokens], { off });
  }

  // What each position takes from each earlier one: [layer][head][T] lists of up to T weights.
  attention(text) {
    const tokens = this.isText ? this.encode(text) : [this.BOS, ...this.encode(text)];
    const maps = Array.from({ length: this.n_layer }, () =>
      Array.from({ length: this.n_head }, () => []),
    );
    const record = (name, weights, layer) => {
      if (name === "att") weights.forEach((row, h) => maps[layer][h].push(row));
    };
    const cache = this.gpt.emptyCache();
    tokens
      .slice(0, this.block_size)
      .forEach((token, position) => this.gpt.step(token, position, cache, { record }));
    return maps;
  }

  // A running text: at the end of the window, its older half is dropped, as in stage 06.
  sample(beginning = "", options = {}) {
    if (!this.isText) return super.sample(beginning, options);
    const steps = this.stream(beginning, options);
    let text = beginning;
    for (const ch of steps) text += ch;
    return text;
  }

  // Yields the characters that follow a beginning, one by one.
  *stream(beginning, { longest = 200, ...options } = {}) {
    const T = this.block_size;
    let window = this.encode(beginning).slice(-T);
    let cache = this.gpt.emptyCache();
    let logits;
    window.forEach((token, t) => (logits = this.gpt.step(token, t, cache)));
    for (let i = 0; i < longest; i++) {
      const id = draw(logSoftmax(logits), options);
      yield this.chars[id];
      window.push(id);
      if (window.length > T) {
        window = window.slice(-(Math.floor(T / 2) + 1));
        cache = this.gpt.emptyCache();
        window.forEach((token, t) => (logits = this.gpt.step(token, t, cache)));
      } else {
        logits = this.gpt.step(id, window.length - 1, cache);
      }
    }
  }
}

function countsTable(counts, smoothing) {
  return counts.map((row) => {
    const total = row.reduce((a, b) => a + b, 0) + smoothing * row.length;
    return Float64Array.from(row, (n) => Math.log((n + smoothing) / Math.max(total, 1e-300)));
  });
}

const loaded = new Map(); // key of a blob -> promise of a Model

// The model of an entry of the header, or null if the page does not have its numbers.
// state: one of entry.earlier, for the model as it was after some steps of the training.
export function loadModel(entry, state = entry) {
  if (!loaded.has(state.key)) loaded.set(state.key, createModel(entry, state));
  return loaded.get(state.key);
}

async function createModel(entry, { key, tensors: where }) {
  if (entry.kind === "counts") {
    const counts = await loadJson(key);
    return counts && new Table(entry, countsTable(counts, entry.smoothing), { counts });
  }
  if (entry.kind === "ngram") {
    const counts = await loadJson(key);
    return counts && new NGramModel(entry, counts);
  }
  const tensors = await loadTensors(key, where);
  if (!tensors) return null;
  if (entry.kind === "learned") {
    const [V] = tensors.W.shape;
    const logTable = Array.from({ length: V }, (_, r) => logSoftmax(rowOf(tensors.W, r)));
    return new Table(entry, logTable, { logits: tensors.W });
  }
  return entry.kind === "mlp" ? new MLP(entry, tensors) : new GPTModel(entry, tensors);
}
