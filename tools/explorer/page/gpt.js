// The GPTs of stages 05 and 06, one token at a time, as gpt() in 05_microgpt/main.py.
//
// 05: RMSNorm behind the embeddings, ReLU, no biases. 06: LayerNorm before lm_head, GELU, biases.
import { add, linear, rowOf, softmax } from "./numbers.js";

function rmsNorm(x) {
  const meanSquare = x.reduce((sum, xi) => sum + xi * xi, 0) / x.length;
  const scale = (meanSquare + 1e-5) ** -0.5;
  return Float64Array.from(x, (xi) => xi * scale);
}

function layerNorm(x, weight, bias) {
  const mean = x.reduce((sum, xi) => sum + xi, 0) / x.length;
  const variance = x.reduce((sum, xi) => sum + (xi - mean) ** 2, 0) / x.length;
  const scale = (variance + 1e-5) ** -0.5;
  return Float64Array.from(x, (xi, i) => (xi - mean) * scale * weight.data[i] + bias.data[i]);
}

// Abramowitz and Stegun, 7.1.26: the error is at most 1.5e-7.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly =
    ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

const relu = (x) => x.map((xi) => Math.max(xi, 0));
const gelu = (x) => x.map((xi) => 0.5 * xi * (1 + erf(xi / Math.SQRT2)));

// What differs between the two stages: the names of the weights, the norms and the activation.
function parts05(w) {
  return {
    embed: rmsNorm,
    block: (i) => ({
      norm1: rmsNorm,
      norm2: rmsNorm,
      apply: (name, x) => linear(w[`layer${i}.${name}`], x),
    }),
    wte: w.wte,
    wpe: w.wpe,
    activation: relu,
    head: (x) => linear(w.lm_head, x),
  };
}

function parts06(w) {
  const norm = (name) => (x) => layerNorm(x, w[`${name}.weight`], w[`${name}.bias`]);
  return {
    embed: (x) => x,
    block: (i) => ({
      norm1: norm(`blocks.${i}.ln_1`),
      norm2: norm(`blocks.${i}.ln_2`),
      apply: (name, x) => {
        const part = name.startsWith("attn") ? `blocks.${i}.attn.${name}` : `blocks.${i}.${name}`;
        return linear(w[`${part}.weight`], x, w[`${part}.bias`]);
      },
    }),
    wte: w["wte.weight"],
    wpe: w["wpe.weight"],
    activation: gelu,
    head: (x) => linear(w["lm_head.weight"], norm("ln_f")(x), w["lm_head.bias"]),
  };
}

// sizes: {kind: "microgpt" or "gpt", n_layer, n_head, block_size}.
export class GPT {
  constructor(sizes, tensors) {
    Object.assign(this, sizes);
    this.parts = sizes.kind === "gpt" ? parts06(tensors) : parts05(tensors);
    this.blocks = Array.from({ length: sizes.n_layer }, (_, i) => this.parts.block(i));
    this.n_embd = this.parts.wte.shape[1];
  }

  // The keys and values of each layer; step() appends those of every token.
  emptyCache() {
    return this.blocks.map(() => ({ keys: [], values: [] }));
  }

  // Logits of what comes after this token.
  //
  // off: parts to leave out, a Set of "positions", "mlp<layer>" and "head<layer>.<head>".
  // record(name, numbers, layer): receives every vector on the way, under main.py's name for it;
  // "att" and "scores" are lists of one vector per head.
  step(token, position, cache, { off = new Set(), record = () => {} } = {}) {
    const { wte, wpe, embed, activation, head } = this.parts;
    const headDim = this.n_embd / this.n_head;
    const scale = headDim ** -0.5;
    const tokenVector = rowOf(wte, token);
    const positionVector = off.has("positions")
      ? new Float64Array(this.n_embd)
      : rowOf(wpe, position);
    record("wte", tokenVector);
    record("wpe", positionVector);
    let x = add(tokenVector, positionVector);
    record("sum", x);
    x = embed(x);
    record("x", x);
    this.blocks.forEach((block, layer) => {
      const { keys, values } = cache[layer];
      let residual = x;
      x = block.norm1(x);
      record("norm1", x, layer);
      const q = block.apply("attn_wq", x);
      const k = block.apply("attn_wk", x);
      const v = block.apply("attn_wv", x);
      keys.push(k);
      values.push(v);
      record("q", q, layer);
      record("k", k, layer);
      record("v", v, layer);
      const mixed = new Float64Array(this.n_embd);
      const allScores = [];
      const allWeights = [];
      for (let h = 0; h < this.n_head; h++) {
        const start = h * headDim;
        const scores = keys.map((key) => {
          let sum = 0;
          for (let i = start; i < start + headDim; i++) sum += q[i] * key[i];
          return sum * scale;
        });
        const att = softmax(scores);
        allScores.push(scores);
        allWeights.push(att);
        if (off.has(`head${layer}.${h}`)) continue;
        for (let t = 0; t < att.length; t++) {
          for (let i = start; i < start + headDim; i++) mixed[i] += att[t] * values[t][i];
        }
      }
      record("scores", allScores, layer);
      record("att", allWeights, layer);
      record("mixed", mixed, layer);
      x = block.apply("attn_wo", mixed);
      record("attn_wo", x, layer);
      x = add(x, residual);
      record("after attention", x, layer);
      if (off.has(`mlp${layer}`)) return;
      residual = x;
      x = block.norm2(x);
      record("norm2", x, layer);
      x = block.apply("mlp_fc1", x);
      record("mlp_fc1", x, layer);
      x = activation(x);
      record("activation", x, layer);
      x = block.apply("mlp_fc2", x);
      record("mlp_fc2", x, layer);
      x = add(x, residual);
      record("after mlp", x, layer);
    });
    const logits = head(x);
    record("logits", logits);
    return logits;
  }
}
