// The numbers behind word_reasons.js.
import { linearT, rowOf } from "./numbers.js";

// What each length of context adds to P(target), the longest first; the last one, with no context
// of its own (null), is the even guess. The parts add up to P, as extras/ngrams.py computes it.
// -> [{context, times, followed, most: [[id, times], ...], adds}]
export function ngramShares(ngram, text, i, target) {
  const chars = ["\n", ...text].slice(0, i + 1);
  const shares = [];
  let left = 1; // what the longer contexts leave to the shorter ones
  for (let length = Math.min(ngram.n - 1, chars.length); length >= 0; length--) {
    const context = chars.slice(chars.length - length);
    const key = context.join("");
    const counts = ngram.followers(chars, length);
    const total = ngram.total.get(key);
    let adds = 0;
    if (total !== undefined) {
      adds = (left * (ngram.kept.get(key + ngram.symbols[target]) ?? 0)) / total;
      left *= ngram.given.get(key) / total;
    }
    const order = [...counts.keys()].sort((a, b) => counts[b] - counts[a]).slice(0, 3);
    shares.push({
      context,
      times: counts.reduce((a, b) => a + b, 0),
      followed: counts[target],
      most: order.filter((id) => counts[id] > 0).map((id) => [id, counts[id]]),
      adds,
    });
  }
  shares.push({ context: null, adds: left / ngram.symbols.length });
  return shares;
}

const effects = new WeakMap(); // model -> for each place, the centred effects of all characters

// What each character adds to the hidden neurons of the MLP at each place of the context, without
// the mean over all characters, at length 1. As likeness() in lesson 04.
function effectsOf(model) {
  if (effects.has(model)) return effects.get(model);
  const { wte, mlp_fc1 } = model.tensors;
  const [V, C] = wte.shape;
  const H = mlp_fc1.shape[1];
  const places = Array.from({ length: model.block_size }, (_, place) => {
    const part = { shape: [C, H], data: mlp_fc1.data.subarray(place * C * H, (place + 1) * C * H) };
    const rows = Array.from({ length: V }, (_, id) => linearT(part, rowOf(wte, id)));
    const mean = rows[0].map((_, j) => rows.reduce((sum, row) => sum + row[j], 0) / V);
    return rows.map((row) => {
      const centred = row.map((x, j) => x - mean[j]);
      const length = Math.sqrt(centred.reduce((sum, x) => sum + x * x, 0)) || 1;
      return centred.map((x) => x / length);
    });
  });
  effects.set(model, places);
  return places;
}

// The other characters by the cosine of their effects at a place, the most alike first.
export function likeness(model, place, token) {
  const rows = effectsOf(model)[place];
  return rows
    .map((row, id) => ({ id, cosine: row.reduce((sum, x, j) => sum + x * rows[token][j], 0) }))
    .filter(({ id }) => id !== token)
    .sort((a, b) => b.cosine - a.cosine);
}

// The tokens that a GPT reads to guess what follows `tokens`. A name longer than block_size is read
// in pieces, a running text through a window.
export function seenBy(model, tokens) {
  const T = model.block_size;
  if (model.isText) return tokens.slice(-T);
  return tokens.slice(Math.floor((tokens.length - 1) / T) * T);
}

// [{layer, head, att}]: what the last of these tokens takes from each of them.
export function attentionRows(model, tokens) {
  const rows = [];
  const cache = model.gpt.emptyCache();
  const record = (name, heads, layer) => {
    if (name === "att") heads.forEach((att, head) => rows.push({ layer, head, att }));
  };
  tokens.forEach((token, t) =>
    model.gpt.step(token, t, cache, t === tokens.length - 1 ? { record } : {}),
  );
  return rows;
}
