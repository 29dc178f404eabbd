// Why a model expected a character as much as it did: for each kind of model, what it looked at.
import { shade } from "./charts.js";
import { data, h, mark, spoken } from "./dom.js";
import { rowOf } from "./numbers.js";
import { dataTable, tokenSpoken } from "./tables.js";
import { signed } from "./vectors.js";
import { ngramShares } from "./word_evidence.js";
import { gptReason, mlpReason } from "./word_networks.js";
import { quoted } from "./word_surprise.js";

// The reason for the i-th target of a text, as elements. all: the models of the page, of which the
// learned table needs the counts of its run.
export function wordReason(model, text, i, all) {
  const ids = model.encode(text);
  const tokens = model.isText ? ids.slice(0, i + 1) : [model.BOS, ...ids.slice(0, i)];
  const target = (model.isText ? ids[i + 1] : ids[i]) ?? model.BOS;
  if (model.kind === "counts") return countsReason(model, tokens.at(-1), target);
  if (model.kind === "learned") return learnedReason(model, tokens.at(-1), target, all);
  if (model.kind === "ngram") return ngramReason(model, text, i, target);
  if (model.kind === "mlp") return mlpReason(model, tokens);
  return gptReason(model, tokens);
}

function quotedToken(model, token) {
  return token === model.BOS ? "the start of a name" : quoted(model.symbols[token]);
}

function wholeNumber(n) {
  return n.toLocaleString("en");
}

// A row of a table as cells that wrap. lines(id): the texts below a symbol; share(id): its colour.
function rowCells(model, target, { label, share, lines }) {
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
          style: { background: shade(0.5 * share(id)) },
        },
        h("b", {}, mark(symbol)),
        lines(id).map((line) => h("span", {}, line)),
      ),
    ),
  );
}

// last: the only token that the model looks at.
function countsReason(model, last, target) {
  const row = model.counts[last];
  const total = row.reduce((a, b) => a + b, 0);
  const most = Math.max(...row, 1);
  const [times, all] = [wholeNumber(row[target]), wholeNumber(total)];
  const { smoothing } = model;
  const added = Number((row.length * smoothing).toPrecision(4));
  const formula =
    `Smoothing adds ${smoothing} to each of the ${row.length} counts of this row: ` +
    `P = (${times} + ${smoothing}) / (${all} + ${added}). `;
  return [
    h(
      "p",
      {},
      `In train, ${quoted(model.symbols[target])} followed ${quotedToken(model, last)} ${times} `,
      `times out of ${all}. `,
      smoothing ? formula : null,
      "The model looks at nothing else.",
    ),
    rowCells(model, target, {
      label: `How often each character followed ${tokenSpoken(model, last)} in train`,
      share: (id) => row[id] / most,
      lines: (id) => [wholeNumber(row[id])],
    }),
  ];
}

// P of what follows a token, as the counts of the same run have it, or null.
function countedRow(model, last, all) {
  const run = ({ key }) => key.split(":")[0];
  const counts = all.find((other) => other.kind === "counts" && run(other) === run(model));
  const isSame = counts?.chars.join("\n") === model.chars.join("\n");
  return isSame ? counts.logTable[last].map(Math.exp) : null;
}

function learnedReason(model, last, target, all) {
  const logits = rowOf(model.logits, last);
  const learned = model.logTable[last].map(Math.exp);
  const counted = countedRow(model, last, all);
  const most = Math.max(...learned);
  const names = counted ? "logit, P learned, P counted" : "logit, P learned";
  return [
    h(
      "p",
      {},
      `Training has set the logits of what follows ${quotedToken(model, last)}, and softmax turns `,
      "them into probabilities. ",
      counted ? "Compare them with the counted ones: this model has never counted. " : null,
      `Each cell shows: ${names}.`,
    ),
    rowCells(model, target, {
      label: `What follows ${tokenSpoken(model, last)}: ${names}`,
      share: (id) => learned[id] / most,
      lines: (id) =>
        [signed(logits[id], 2), learned[id].toFixed(3), counted?.[id].toFixed(3)].filter(Boolean),
    }),
  ];
}

function ngramReason(model, text, i, target) {
  const shares = ngramShares(model.ngram, text, i, target);
  const best = shares.reduce((a, b) => (b.adds > a.adds ? b : a));
  const P = shares.reduce((sum, share) => sum + share.adds, 0);
  const name = quoted(model.symbols[target]);
  const letters = (context) => context.map((ch) => (ch === "\n" ? "start" : mark(ch))).join(" ");
  const followers = (most) =>
    most.map(([id, times]) => h("span", {}, mark(model.symbols[id]), ` ${wholeNumber(times)}`));
  const heads = ["last letters", "times in train", `then ${name}`, "followed most by", "adds to P"];
  const rows = shares
    .filter((share) => share.context !== null)
    .map((share) => ({
      head: data(letters(share.context) || "none"),
      name: share === best ? "word-best" : null,
      cells: [
        wholeNumber(share.times),
        wholeNumber(share.followed),
        h("td", { class: "word-most" }, followers(share.most)),
        share.adds.toFixed(3),
      ],
    }));
  return [
    h(
      "p",
      {},
      `The model looks up how often ${name} followed the last ${model.n - 1} letters in train, `,
      "then fewer and fewer of them. Each length adds a part to P, and a long context that was ",
      `seen often leaves little to the shorter ones. Here ${lengthName(best)} decides: it adds `,
      `${best.adds.toFixed(3)} of ${P.toFixed(3)}.`,
    ),
    dataTable(heads, rows, { name: "word-lengths", caption: "What each length adds to P" }),
  ];
}

function lengthName({ context }) {
  if (context === null) return "an even guess";
  if (context.length === 0) return "the frequency of the letter";
  return context.length === 1 ? "the last letter" : `the context of ${context.length} letters`;
}
