// Why a model expected a character as much as it did: for each kind of model, what it looked at.
import { shade } from "./charts.js";
import { data, h, mark, spoken } from "./dom.js";
import { attentionRows, likeness, ngramShares, seenBy } from "./word_evidence.js";
import { rowOf } from "./numbers.js";
import { largestOf, signed, vectorStrip } from "./vectors.js";
import { quoted } from "./word_surprise.js";

const MANY = 20; // columns; more letters are shown without numbers

// The reason for the i-th target of a text, as elements. all: the models of the page, of which the
// learned table needs the counts of its run.
export function wordReason(model, text, i, all) {
  const ids = model.encode(text);
  const tokens = model.isText ? ids.slice(0, i + 1) : [model.BOS, ...ids.slice(0, i)];
  const target = (model.isText ? ids[i + 1] : ids[i]) ?? model.BOS;
  if (model.kind === "counts") return countsReason(model, tokens, target);
  if (model.kind === "learned") return learnedReason(model, tokens, target, all);
  if (model.kind === "ngram") return ngramReason(model, text, i, target);
  if (model.kind === "mlp") return mlpReason(model, tokens);
  return gptReason(model, tokens);
}

// A character that a model has read: BOS comes first.
function read(model, token) {
  return token === model.BOS ? "start" : mark(model.symbols[token]);
}

function readSpoken(model, token) {
  return token === model.BOS ? "the start" : spoken(model.symbols[token]);
}

function readQuoted(model, token) {
  return token === model.BOS ? "the start of a name" : quoted(model.symbols[token]);
}

// A row of a table as cells that wrap. lines(id): the texts below the symbol.
function rowCells(model, label, target, shares, lines) {
  return h(
    "ul",
    { class: "word-cells", "aria-label": label },
    model.symbols.map((symbol, id) =>
      h(
        "li",
        {
          class: id === target ? "word-target" : null,
          "aria-label": `${spoken(symbol)}: ${lines(id).join(", ")}`,
          "aria-current": id === target ? "true" : null,
          style: { background: shade(0.5 * shares(id)) },
        },
        h("b", {}, mark(symbol)),
        lines(id).map((line) => h("span", {}, line)),
      ),
    ),
  );
}

function countsReason(model, tokens, target) {
  const last = tokens.at(-1);
  const row = model.counts[last];
  const total = row.reduce((a, b) => a + b, 0);
  const most = Math.max(...row, 1);
  const { smoothing } = model;
  const V = row.length;
  const times = row[target].toLocaleString("en");
  const all = total.toLocaleString("en");
  return [
    h(
      "p",
      {},
      `In train, ${quoted(model.symbols[target])} followed ${readQuoted(model, last)} ${times} `,
      `times out of ${all}. `,
      smoothing
        ? `Smoothing adds ${smoothing} to each of the ${V} counts of this row: ` +
            `P = (${times} + ${smoothing}) / (${all} + ${shortSum(V * smoothing)}). `
        : "",
      "The model looks at nothing else.",
    ),
    rowCells(
      model,
      `How often each character followed ${readSpoken(model, last)} in train`,
      target,
      (id) => row[id] / most,
      (id) => [row[id].toLocaleString("en")],
    ),
  ];
}

function shortSum(number) {
  return String(Number(number.toPrecision(4)));
}

function learnedReason(model, tokens, target, all) {
  const last = tokens.at(-1);
  const logits = rowOf(model.logits, last);
  const probs = model.logTable[last].map(Math.exp);
  const most = Math.max(...probs);
  const run = (m) => m.key.split(":")[0];
  const counted = all.find((m) => m.kind === "counts" && run(m) === run(model));
  const isSame = counted && counted.chars.join("\n") === model.chars.join("\n");
  const counts = isSame ? counted.logTable[last].map(Math.exp) : null;
  const names = counts ? "logit, P learned, P counted" : "logit, P learned";
  return [
    h(
      "p",
      {},
      `Training has set the logits that follow ${readQuoted(model, last)}; softmax turns them ` +
        "into probabilities. ",
      counts ? "They come close to the counted ones, although this model " + "never counts. " : "",
      `Each cell shows: ${names}.`,
    ),
    rowCells(
      model,
      `What can follow ${readSpoken(model, last)}: ${names}`,
      target,
      (id) => probs[id] / most,
      (id) => [
        signed(logits[id], 2),
        probs[id].toFixed(3),
        ...(counts ? [counts[id].toFixed(3)] : []),
      ],
    ),
  ];
}

function ngramReason(model, text, i, target) {
  const shares = ngramShares(model.ngram, text, i, target);
  const best = shares.reduce((a, b) => (b.adds > a.adds ? b : a));
  const letters = (context) => context.map((ch) => (ch === "\n" ? "start" : mark(ch))).join(" ");
  const name = quoted(model.symbols[target]);
  const P = shares.reduce((sum, share) => sum + share.adds, 0);
  return [
    h(
      "p",
      {},
      `The model asks how often the last ${model.n - 1} letters were followed by ${name} in ` +
        "train, then the last ones without the first of them, and so on. Each length adds a part to P; longer ones " +
        `that were seen often leave little to the shorter ones. Here ${lengthName(best)} decides: it adds ` +
        `${best.adds.toFixed(3)} of ${P.toFixed(3)}.`,
    ),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "word-lengths" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            ["last letters", "times in train", `then ${name}`, "followed most by", "adds to P"].map(
              (head) => h("th", { scope: "col" }, head),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          shares
            .filter((share) => share.context)
            .map((share) =>
              h(
                "tr",
                { class: share === best ? "word-best" : null },
                h("th", { scope: "row" }, data(letters(share.context) || "none")),
                h("td", {}, share.times.toLocaleString("en")),
                h("td", {}, share.followed.toLocaleString("en")),
                h(
                  "td",
                  { class: "word-most" },
                  share.most.map(([id, times]) =>
                    h("span", {}, mark(model.symbols[id]), ` ${times.toLocaleString("en")}`),
                  ),
                ),
                h("td", {}, share.adds.toFixed(3)),
              ),
            ),
        ),
      ),
    ),
  ];
}

function lengthName({ context }) {
  if (context === null) return "the even guess";
  if (context.length === 0) return "no context at all";
  return context.length === 1 ? "the last letter" : `the context of ${context.length} letters`;
}

function mlpReason(model, tokens) {
  const context = model.context(tokens);
  const rows = context.map((token) => rowOf(model.tensors.wte, token));
  const most = largestOf(...rows);
  const hidden = model.hidden(tokens);
  return [
    h(
      "p",
      {},
      `The MLP sees the last ${model.block_size} characters, each as a row of its embedding `,
      "table. All rows together go through the hidden layer. Letters that push the hidden layer alike ",
      "make the model expect alike.",
    ),
    context.map((token, place) =>
      h(
        "div",
        { class: "word-context" },
        vectorStrip(rows[place], `wte[${read(model, token)}]`, {
          most,
          shape: `(${rows[place].length})`,
        }),
        h(
          "p",
          { class: "note" },
          "In this place most like it: ",
          likeness(model, place, token)
            .slice(0, 3)
            .map(({ id, cosine }, k) => [
              k ? ", " : "",
              data(read(model, id)),
              ` ${signed(cosine, 2)}`,
            ]),
          ".",
        ),
      ),
    ),
    vectorStrip(hidden, "hidden layer", { most: 1, shape: `(${hidden.length})` }),
  ];
}

function gptReason(model, tokens) {
  const seen = seenBy(model, tokens);
  const rows = attentionRows(model, seen);
  const isLong = seen.length > MANY;
  return [
    h(
      "p",
      {},
      "Each head takes a weighted mean of the characters so far. These are its attention ",
      "weights, which add up to 1: the stronger the colour, the more the head takes from this character. ",
      "Attention is only part of the reason, because the MLP and the residual add to it.",
    ),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: isLong ? "word-attention word-long" : "word-attention" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, model.n_layer > 1 ? "layer, head" : "head"),
            isLong ? h("th", { scope: "col" }, "most weight") : null,
            seen.map((token) =>
              h(
                "th",
                { scope: "col" },
                h("span", { "aria-label": readSpoken(model, token) }, read(model, token)),
              ),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map(({ layer, head, att }) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, model.n_layer > 1 ? `${layer}, ${head}` : `${head}`),
              isLong
                ? h(
                    "td",
                    { class: "word-most" },
                    mostWeight(att).map((t) =>
                      h("span", {}, read(model, seen[t]), ` ${att[t].toFixed(2)}`),
                    ),
                  )
                : null,
              [...att].map((weight) =>
                h(
                  "td",
                  {
                    style: { background: shade(0.5 * weight) },
                    title: weight.toFixed(3),
                  },
                  isLong ? null : weight.toFixed(2),
                ),
              ),
            ),
          ),
        ),
      ),
    ),
  ];
}

function mostWeight(att) {
  return [...att.keys()].sort((a, b) => att[b] - att[a]).slice(0, 3);
}
