// What a step of the forward pass looks like: its vectors, or a row for each head.
import { shade, signedShade } from "./charts.js";
import { data, h, mark, spoken } from "./dom.js";
import { dataTable, tokenHead, tokenName } from "./tables.js";
import { largestOf, signed, vectorStrip } from "./vectors.js";
import { nats, probability } from "./word_surprise.js";

// context: {model, tokens, head, target, probs, pass}. target: the id of the true next letter.
export function drawStep(step, context) {
  const draw = DRAWINGS[step.id];
  return draw ? draw(step, context) : vectorStrip(step.vector, step.title);
}

const layerOf = (step, { pass }) => pass.layers[step.layer];

// Strips that share one scale, under each other. rows: [vector, label].
function strips(rows, options = {}) {
  const most = largestOf(...rows.map(([vector]) => vector));
  return rows.map(([vector, label]) => vectorStrip(vector, label, { most, ...options }));
}

function meanSquare(vector) {
  return vector.reduce((sum, x) => sum + x * x, 0) / vector.length;
}

function normDrawing(before, after) {
  return [
    strips([
      [before, "before"],
      [after, "after"],
    ]),
    h(
      "p",
      { class: "note" },
      `The mean square was ${meanSquare(before).toFixed(3)} and is now `,
      `${meanSquare(after).toFixed(3)}.`,
    ),
  ];
}

function headPart({ model, head }) {
  const size = model.gpt.n_embd / model.n_head;
  return [head * size, (head + 1) * size];
}

function projection(step, context) {
  const [from, to] = headPart(context);
  return [
    strips([[layerOf(step, context).norm1, "x, after rmsnorm"]]),
    vectorStrip(step.vector, step.id, { part: [from, to] }),
    h(
      "p",
      { class: "note" },
      `Framed: the part of head ${context.head}, numbers ${from} to ${to - 1}.`,
    ),
  ];
}

// A table with a row for each head and a column for each letter so far.
function headsTable(step, { model, tokens, head }, colour, caption) {
  const rows = step.heads.map((numbers, i) => ({
    head: String(i),
    name: i === head ? "inside-chosen" : null,
    cells: [...numbers].map((x) => h("td", { style: { background: colour(x) } }, signed(x, 2))),
  }));
  const heads = ["head", ...tokens.map((token) => tokenHead(model, token))];
  return dataTable(heads, rows, { name: "inside-heads", caption });
}

function scoresDrawing(step, context) {
  const layer = layerOf(step, context);
  const [from, to] = headPart(context);
  const { model, tokens, head } = context;
  const most = largestOf(...step.heads);
  return [
    headsTable(step, context, (x) => halfSigned(x, most), "Scores"),
    h(
      "p",
      { class: "note" },
      `Head ${head}: the products of q and k, added up and divided by `,
      `√${to - from}.`,
    ),
    vectorStrip(layer.q.slice(from, to), `q of head ${head}`),
    strips(
      tokens.map((token, t) => [layer.keys[t].slice(from, to), `k of ${tokenName(model, token)}`]),
    ),
  ];
}

// At half strength, so that the numbers on it stay readable.
function halfSigned(x, most) {
  return signedShade(x, 2 * most);
}

function mixedDrawing(step, context) {
  const { model, tokens, head } = context;
  const layer = layerOf(step, context);
  const [from, to] = headPart(context);
  const att = layer.att[head];
  return [
    h("p", { class: "note" }, `Head ${head}: each value times its weight, added up.`),
    strips(
      tokens.map((token, t) => [
        layer.values[t].slice(from, to),
        `${att[t].toFixed(2)} × v of ${tokenName(model, token)}`,
      ]),
    ),
    vectorStrip(step.vector, "all heads side by side", { part: [from, to] }),
  ];
}

function reluDrawing(step, context) {
  const zeros = step.vector.filter((x) => x === 0).length;
  return [
    strips([
      [layerOf(step, context).mlp_fc1, "before"],
      [step.vector, "after"],
    ]),
    h("p", { class: "note" }, `${zeros} of ${step.vector.length} numbers are now 0.`),
  ];
}

// Bars of the likeliest next letters, with the true one marked.
function probsDrawing(step, { model, target }) {
  const p = step.vector[target];
  const order = [...step.vector.keys()]
    .sort((a, b) => step.vector[b] - step.vector[a])
    .slice(0, 12);
  if (!order.includes(target)) order.push(target);
  return [
    h(
      "ol",
      { class: "bars" },
      order.map((id) => {
        const p = step.vector[id];
        const name = `${spoken(model.symbols[id])}: ${p.toFixed(3)}`;
        return h(
          "li",
          {
            class: id === target ? "inside-true" : null,
            "aria-label": id === target ? `${name}, the letter that follows` : name,
          },
          h("span", { class: "char" }, mark(model.symbols[id])),
          h("span", { class: "bar" }, h("span", { style: { width: `${100 * p}%` } })),
          h("span", { class: "p" }, p.toFixed(3)),
        );
      }),
    ),
    h(
      "p",
      { class: "note" },
      "Framed: what really follows, ",
      data(mark(model.symbols[target])),
      `. It costs −log ${probability(p)} = ${nats(-Math.log(p))} nats.`,
    ),
  ];
}

function logitsDrawing(step, { model }) {
  const order = [...step.vector.keys()].sort((a, b) => step.vector[b] - step.vector[a]);
  return [
    vectorStrip(step.vector, "logits"),
    h(
      "p",
      { class: "note" },
      "The largest: ",
      order
        .slice(0, 5)
        .map((id, k) => [
          k ? ", " : "",
          data(mark(model.symbols[id])),
          ` ${signed(step.vector[id], 2)}`,
        ]),
      ". The cells are in the order of the alphabet, with the end last.",
    ),
  ];
}

const DRAWINGS = {
  token: ({ vector }, { model, tokens }) =>
    vectorStrip(vector, `wte[${tokens.at(-1)}], the row of ${tokenName(model, tokens.at(-1))}`),
  position: ({ vector }, { tokens }) => vectorStrip(vector, `wpe[${tokens.length - 1}]`),
  sum: ({ vector }, { pass }) =>
    strips([
      [pass.first.wte, "token"],
      [pass.first.wpe, "+ position"],
      [vector, "= sum"],
    ]),
  embedded: ({ vector }, { pass }) => normDrawing(pass.first.sum, vector),
  norm1: (step, context) => normDrawing(layerOf(step, context).input, step.vector),
  q: projection,
  k: projection,
  v: projection,
  scores: scoresDrawing,
  att: (step, context) => [
    headsTable(step, context, (x) => shade(0.5 * x), "Attention weights"),
    h("p", { class: "note" }, "Which letter does each head take most from?"),
  ],
  mixed: mixedDrawing,
  attn_wo: (step, context) =>
    strips([
      [layerOf(step, context).mixed, "all heads side by side"],
      [step.vector, "after attn_wo"],
    ]),
  add1: (step, context) => {
    const layer = layerOf(step, context);
    return strips([
      [layer.input, "residual"],
      [layer.attn_wo, "+ attention"],
      [step.vector, "= x"],
    ]);
  },
  norm2: (step, context) => normDrawing(layerOf(step, context)["after attention"], step.vector),
  mlp_fc1: (step, context) => [
    vectorStrip(layerOf(step, context).norm2, "x, after rmsnorm"),
    vectorStrip(step.vector, "hidden layer"),
  ],
  relu: reluDrawing,
  mlp_fc2: (step, context) => [
    vectorStrip(layerOf(step, context).activation, "hidden layer, after relu"),
    vectorStrip(step.vector, "after mlp_fc2"),
  ],
  add2: (step, context) => {
    const layer = layerOf(step, context);
    return strips([
      [layer["after attention"], "residual"],
      [layer.mlp_fc2, "+ MLP"],
      [step.vector, "= x"],
    ]);
  },
  logits: logitsDrawing,
  probs: probsDrawing,
};
