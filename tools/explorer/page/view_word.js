// Surprise: what each of its letters costs every model, and why.
import { announce, data, debounce, field, h, mark, pause, show } from "./dom.js";
import { noNamesModel } from "./known.js";
import { hideUntil, predictSwitch } from "./predict.js";
import { surpriseQuestion } from "./predict_word.js";
import { models } from "./state.js";
import { wordChart } from "./word_chart.js";
import { wordReason } from "./word_reasons.js";
import { wordScrambler } from "./word_scramble.js";
import { biggestGap, firstText, gapSentence, nats, probability } from "./word_surprise.js";
import { surprises, targetOf, targetsOf } from "./word_surprise.js";
import { wordTable } from "./word_table.js";

const LONGEST_NAME = 40; // characters
const HOW = "Point at a cell, or use Tab and the arrow keys. Press a cell to see why.";

// One line for each character that some models have never seen. use(text): takes another text.
function problemLines(rows, text, use) {
  const groups = new Map(); // character -> rows
  for (const row of rows.filter((r) => r.problem)) {
    const { ch } = row.problem;
    groups.set(ch, [...(groups.get(ch) ?? []), row]);
  }
  const lower = text.toLowerCase();
  return [...groups].map(([ch, group]) =>
    h(
      "p",
      { class: "problem", role: "alert" },
      group.length === rows.length
        ? ["No model has ever seen the character ", data(mark(ch)), ". "]
        : ["The character ", data(mark(ch)), ` is unknown to ${namesOf(group)}. `],
      group.some((row) => row.problem.lower)
        ? h("button", { type: "button", onclick: () => use(lower) }, "Use ", data(lower))
        : null,
    ),
  );
}

function namesOf(rows) {
  return rows.map((row) => row.model.label).join(", ");
}

// The cell whose reasons are shown at first: where the models differ most, or the worst one.
function firstCell(rows, gap) {
  if (gap) return { row: gap.most, i: gap.i };
  const [row] = rows;
  return { row, i: row.losses.indexOf(Math.max(...row.losses)) };
}

function summary(rows, gap, targets, isText) {
  if (gap) return gapSentence(gap, targets, isText);
  const [{ model, sum, mean }] = rows;
  return `${model.label}: ${nats(sum)} nats in all, ${nats(mean)} for each character.`;
}

// An input with its table, chart and reasons. all: the models that answer, of names or of a text.
// -> {box, use(text)}
function createSurprises(all, { label, text, longest, isText }) {
  const limit = (value) => [...value].slice(0, longest).join("");
  const input = h("input", {
    type: "text",
    class: isText ? "word-text" : null,
    value: limit(text),
    maxlength: String(longest),
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
  const scrambler = isText ? null : wordScrambler(all, input);
  const problems = h("div", {});
  const sentence = h("p", { class: "word-gap", "aria-live": "polite" });
  const table = h("div", { class: "scroll" });
  const look = h("p", { class: "word-look note" });
  const chart = h("div", {});
  const why = h("section", { class: "word-why", "aria-label": "Why" });
  const answers = h(
    "div",
    {},
    sentence,
    table,
    look,
    scrambler?.result,
    h("div", { class: "word-below" }, isText ? null : chart, why),
  );
  let chosen = null; // {model, i}: the cell whose reasons are shown
  let round = null; // what surpriseQuestion() asks about
  let turn = 0;
  const question = isText
    ? null
    : hideUntil(
        answers,
        surpriseQuestion(() => round, use),
      );
  const box = h(
    "div",
    { class: "word-box" },
    h(
      "div",
      { class: "word-controls" },
      field(label, input),
      isText ? null : [scrambler.button, predictSwitch()],
    ),
    problems,
    question?.box,
    answers,
  );

  function explain({ row, i }, targets) {
    chosen = { model: row.model, i };
    const p = probability(Math.exp(-row.losses[i]));
    const loss = nats(row.losses[i]);
    const heading = `${targetOf(i, targets, isText)}: ${loss} nats under ${row.model.label}. Why?`;
    show(
      why,
      h("h3", {}, heading),
      h("p", {}, `The model gave it a probability of ${p}, and −log ${p} = ${loss} nats.`),
      wordReason(row.model, input.value, i, all),
    );
    return heading;
  }

  function showNothing(words) {
    show(sentence, words);
    for (const part of [table, look, chart, why]) show(part);
  }

  // A long text is read in pieces, so that the page keeps answering: the models remember the rows
  // of what they have read. false: the reader has typed on.
  async function readAhead(value, isOld) {
    for (let end = 8; end < value.length; end += 8) {
      surprises(all, value.slice(0, end));
      await pause();
      if (isOld()) return false;
    }
    return true;
  }

  async function update() {
    const mine = ++turn;
    const value = input.value;
    if (isText && !(await readAhead(value, () => mine !== turn))) return;
    const targets = targetsOf(value, isText);
    const rows = surprises(all, value);
    const known = rows.filter((row) => row.losses);
    show(problems, problemLines(rows, value, use));
    scrambler?.changed(value);
    const asked = known.map(({ model, losses }) => ({ label: model.label, losses }));
    round = { symbols: targets, rows: asked };
    question?.restart();
    if (!targets.length) return showNothing("Type at least two characters.");
    if (!known.length) return showNothing("No model can read this.");
    const gap = biggestGap(known);
    show(sentence, summary(known, gap, targets, isText));
    const old = known.find((row) => row.model === chosen?.model);
    const isThere = old && chosen.i < targets.length;
    const cell = isThere ? { row: old, i: chosen.i } : firstCell(known, gap);
    const actions = {
      onchoose: (row, i) => announce(explain({ row, i }, targets)),
      onlook: (words) => show(look, words),
    };
    show(table, wordTable(known, targets, cell, actions));
    show(look, HOW);
    if (!isText) show(chart, wordChart(known, targets, box.clientWidth || 640));
    explain(cell, targets);
  }

  function use(value) {
    input.value = limit(value);
    update();
  }

  input.addEventListener("input", debounce(update));
  return { box, update, use };
}

async function renderWord(panel, header, text) {
  const names = await models();
  const texts = await models(true);
  const parts = [];
  const all = [];
  if (!names.length) parts.push(noNamesModel());
  else {
    const word = createSurprises(names, {
      label: "A word",
      text: text || firstText(names, "isabella"),
      longest: LONGEST_NAME,
      isText: false,
    });
    panel.addEventListener("text", (event) => word.use(event.detail));
    all.push(word);
    parts.push(
      h(
        "p",
        {},
        "How much does each letter of a word surprise each model? A letter that the model is ",
        "certain of costs 0 nats. A letter that it gives a probability of 1 in 27 costs 3.3 nats. ",
        "The stronger a colour, the higher the cost; a frame marks the model that is least ",
        "surprised. Before you look: which letter of your own name will surprise all models?",
      ),
      word.box,
    );
  }
  if (texts.length) {
    const line = createSurprises(texts, {
      label: "A line",
      text: firstText(texts, "My name is Isabella, my lord."),
      longest: Math.min(...texts.map((model) => model.block_size)),
      isText: true,
    });
    all.push(line);
    parts.push(
      h("h2", {}, "The same in a running text"),
      h(
        "p",
        {},
        "The Shakespeare GPT reads a running text, with capitals, spaces and line ends. It needs ",
        "a character before it can guess the next one, so the first one has no cost. Where is it ",
        "sure, and where is it surprised?",
      ),
      line.box,
    );
  }
  show(panel, parts);
  await Promise.all(all.map((part) => part.update()));
}

export const wordView = { id: "word", title: "Surprise", render: renderWord };
