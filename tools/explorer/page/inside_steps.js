// One forward pass of microGPT as steps, in the order of the lines of 05_microgpt/main.py.
//
// Each step: {id, group, title, layer, line, part, nth, says, vector or heads}. line: the code of
// the line in main.py, without its comment; part: the piece of it that this step is, if the line
// does more; nth: which of several lines with this code, from 0. says: what happens. vector: the
// numbers that the step gives; heads: a vector for each head.

// Runs the model over tokens and records every vector of the last one, under main.py's names.
// -> {first: {name: vector}, layers: [{name: vector, keys, values, input}], logits}
export function recordPass(model, tokens, options = {}) {
  const first = {};
  const layers = Array.from({ length: model.n_layer }, () => ({}));
  const record = (name, numbers, layer) => {
    (layer === undefined ? first : layers[layer])[name] = numbers;
  };
  const cache = model.gpt.emptyCache();
  tokens.forEach((token, t) =>
    model.gpt.step(token, t, cache, t === tokens.length - 1 ? { ...options, record } : options),
  );
  layers.forEach((layer, i) => {
    layer.input = i === 0 ? first.x : layers[i - 1]["after mlp"];
    layer.keys = cache[i].keys;
    layer.values = cache[i].values;
  });
  return { first, layers, logits: first.logits };
}

const EMBED = 'x = rmsnorm(add(weights["wte"][token], weights["wpe"][position]))';

function embeddingSteps({ first }) {
  return [
    {
      id: "token",
      title: "token",
      line: EMBED,
      part: 'weights["wte"][token]',
      vector: first.wte,
      says: "Each character has its own row in the table wte. The model looks it up.",
    },
    {
      id: "position",
      title: "position",
      line: EMBED,
      part: 'weights["wpe"][position]',
      vector: first.wpe,
      says: "Each position has its own row in the table wpe, whichever character is there.",
    },
    {
      id: "sum",
      title: "sum",
      line: EMBED,
      part: "add(",
      vector: first.sum,
      says: "The two rows are added: now the vector says which character it is and where it is.",
    },
    {
      id: "embedded",
      title: "rmsnorm",
      line: EMBED,
      part: "rmsnorm(",
      vector: first.x,
      says: "All numbers are multiplied by the same factor, so that their mean square is 1.",
    },
  ].map((step) => ({ ...step, group: "Embedding" }));
}

function attentionSteps(layer, i) {
  return [
    {
      id: "norm1",
      title: "rmsnorm",
      line: "x = rmsnorm(x)",
      vector: layer.norm1,
      says: "Attention reads a copy with a mean square of 1. The vector itself is kept for later.",
    },
    {
      id: "q",
      title: "query q",
      line: 'q = linear(x, weights[f"layer{i}.attn_wq"])',
      vector: layer.q,
      says: "The query: what this position looks for. Each head has its own part of it.",
    },
    {
      id: "k",
      title: "key k",
      line: 'k = linear(x, weights[f"layer{i}.attn_wk"])',
      vector: layer.k,
      says: "The key: what this position can be found by. It is kept for the later positions.",
    },
    {
      id: "v",
      title: "value v",
      line: 'v = linear(x, weights[f"layer{i}.attn_wv"])',
      vector: layer.v,
      says: "The value: what this position gives when it is found. It is kept as well.",
    },
    {
      id: "scores",
      title: "scores",
      line: "scores = linear([qi * scale for qi in query], keys)",
      heads: layer.scores,
      says: "Each head compares its query with the key of every letter so far.",
    },
    {
      id: "att",
      title: "attention weights",
      line: "att = softmax(scores)",
      heads: layer.att,
      says: "Softmax turns the scores of a head into weights that add up to 1.",
    },
    {
      id: "mixed",
      title: "weighted mean of values",
      line: "return weighted_mean(values, att), att",
      part: "weighted_mean(values, att)",
      vector: layer.mixed,
      says: "Each head takes the weighted mean of the values. The results are put side by side.",
    },
    {
      id: "attn_wo",
      title: "attn_wo",
      line: 'x = linear(x, weights[f"layer{i}.attn_wo"])',
      vector: layer.attn_wo,
      says: "A matrix mixes the results of all heads.",
    },
    {
      id: "add1",
      title: "residual",
      line: "x = add(x, residual)",
      vector: layer["after attention"],
      says: "The result is added to the vector from before the attention. Nothing is lost.",
    },
  ].map((step) => ({ ...step, layer: i, group: "Attention" }));
}

function mlpSteps(layer, i) {
  return [
    {
      id: "norm2",
      title: "rmsnorm",
      line: "x = rmsnorm(x)",
      nth: 1,
      vector: layer.norm2,
      says: "The MLP, too, reads a copy with a mean square of 1.",
    },
    {
      id: "mlp_fc1",
      title: "mlp_fc1",
      line: 'x = linear(x, weights[f"layer{i}.mlp_fc1"])',
      vector: layer.mlp_fc1,
      says: "The hidden layer: four times as many numbers as the vector has.",
    },
    {
      id: "relu",
      title: "relu",
      line: "x = relu(x)",
      vector: layer.activation,
      says: "ReLU sets all negative numbers to 0 and keeps the others.",
    },
    {
      id: "mlp_fc2",
      title: "mlp_fc2",
      line: 'x = linear(x, weights[f"layer{i}.mlp_fc2"])',
      vector: layer.mlp_fc2,
      says: "A second matrix leads back to the size of the vector.",
    },
    {
      id: "add2",
      title: "residual",
      line: "x = add(x, residual)",
      nth: 1,
      vector: layer["after mlp"],
      says: "Again the result is added to the vector from before.",
    },
  ].map((step) => ({ ...step, layer: i, group: "MLP" }));
}

function lastSteps({ logits }, probs) {
  return [
    {
      id: "logits",
      title: "logits",
      line: 'return linear(x, weights["lm_head"])',
      vector: logits,
      says: "One logit for each character that can come next, and one for the end.",
    },
    {
      id: "probs",
      title: "probabilities",
      vector: probs,
      line: "probs = softmax([logit / temperature for logit in logits])",
      part: "softmax(",
      says: "Softmax turns the logits into probabilities that add up to 1 (here at temperature 1).",
    },
  ].map((step) => ({ ...step, group: "Next letter" }));
}

// All steps of a recorded pass, those of every layer in turn.
export function passSteps(pass, probs) {
  return [
    ...embeddingSteps(pass),
    ...pass.layers.flatMap((layer, i) => [...attentionSteps(layer, i), ...mlpSteps(layer, i)]),
    ...lastSteps(pass, probs),
  ];
}

// Where the learner's main.py has a line, or null if it no longer has it. source: {name of a
// function: {first: number of its first line, text}}.
// -> {name, lines: those of the function, at: index of the line in them, number: in the file}
export function findLine(source, line, nth = 0) {
  for (const [name, { first, text }] of Object.entries(source)) {
    const lines = text.split("\n");
    const at = [...lines.keys()].filter((k) => codeOf(lines[k]) === line)[nth];
    if (at !== undefined) return { name, lines, at, number: first + at };
  }
  return null;
}

function codeOf(line) {
  return line.replace(/\s+# .*$/, "").trim();
}
