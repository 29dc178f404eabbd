// Why an MLP or a GPT expected a character: what it read, and where it looked.
import { shade } from "./charts.js";
import { data, h } from "./dom.js";
import { rowOf } from "./numbers.js";
import { dataTable, tokenHead, tokenName } from "./tables.js";
import { largestOf, signed, vectorStrip } from "./vectors.js";
import { attentionRows, likeness, seenBy } from "./word_evidence.js";

const MANY = 20; // columns; more characters are shown without numbers

export function mlpReason(model, tokens) {
  const context = model.context(tokens);
  const rows = context.map((token) => rowOf(model.tensors.wte, token));
  const most = largestOf(...rows);
  const hidden = model.hidden(tokens);
  return [
    h(
      "p",
      {},
      `The MLP reads the last ${model.block_size} characters, each as a row of its embedding `,
      "table, and feeds all rows into the hidden layer. Below each row are the letters that push ",
      "the hidden neurons most nearly like it: 1 means exactly alike, and 0 not at all alike.",
    ),
    context.map((token, place) =>
      h(
        "div",
        { class: "word-context" },
        vectorStrip(rows[place], `wte[${tokenName(model, token)}]`, {
          most,
          shape: `(${rows[place].length})`,
        }),
        h("p", { class: "note" }, "Most similar: ", nearest(model, place, token), "."),
      ),
    ),
    vectorStrip(hidden, "hidden layer", { most: 1, shape: `(${hidden.length})` }),
  ];
}

function nearest(model, place, token) {
  const three = likeness(model, place, token).slice(0, 3);
  return three.map(({ id, cosine }, k) => [
    k > 0 ? ", " : null,
    data(tokenName(model, id)),
    ` ${signed(cosine, 2)}`,
  ]);
}

export function gptReason(model, tokens) {
  const seen = seenBy(model, tokens);
  const isDeep = model.n_layer > 1;
  const isLong = seen.length > MANY;
  const heads = [
    isDeep ? "layer, head" : "head",
    ...(isLong ? ["most weight"] : []),
    ...seen.map((token) => tokenHead(model, token)),
  ];
  const rows = attentionRows(model, seen).map(({ layer, head, att }) => ({
    head: isDeep ? `${layer}, ${head}` : String(head),
    cells: [...(isLong ? [mostWeight(model, seen, att)] : []), ...weightCells(att, isLong)],
  }));
  return [
    h(
      "p",
      {},
      "Each head takes a weighted mean of the characters so far. These are its attention weights, ",
      "which add up to 1: the stronger the colour, the more the head takes from this character. ",
      "Attention is only part of the reason, because the MLP and the residual add to it.",
    ),
    dataTable(heads, rows, {
      name: isLong ? "word-attention word-long" : "word-attention",
      caption: "Attention weights, a row for each head",
    }),
  ];
}

function weightCells(att, isLong) {
  return [...att].map((weight) =>
    h(
      "td",
      { style: { background: shade(0.5 * weight) }, title: weight.toFixed(3) },
      isLong ? null : weight.toFixed(2),
    ),
  );
}

function mostWeight(model, seen, att) {
  const order = [...att.keys()].sort((a, b) => att[b] - att[a]).slice(0, 3);
  const texts = order.map((t) => h("span", {}, tokenName(model, seen[t]), ` ${att[t].toFixed(2)}`));
  return h("td", { class: "word-most" }, texts);
}
