// A word: what each of its letters costs every model, and why.
import { lineChart } from "./charts.js";
import { announce, data, debounce, field, h, mark, pause, show } from "./dom.js";
import { models } from "./state.js";
import { reasonFor } from "./word_reasons.js";
import { biggestGap, gapSentence, lineStyles, nats, placeOf, quoted, scrambled, surprises, targetsOf } from "./word_surprise.js";
import { lineKey, surpriseTable } from "./word_table.js";

const LONGEST_NAME = 40; // characters

function cumulativeChart(rows, targets, styles) {
  const series = rows.map((row, r) => {
    let sum = 0;
    const points = [[0, 0], ...row.losses.map((loss, i) => [i + 1, (sum += loss)])];
    return { name: row.model.label, ...styles[r], points: points.filter(([, y]) => isFinite(y)) };
  });
  const sums = rows.map((row) => `${row.model.label} ${nats(row.sum)}`).join(", ");
  return h(
    "figure",
    { class: "word-chart" },
    h("figcaption", {}, "The surprise adds up from left to right. The lowest line knows the word best."),
    lineChart(series, {
      height: 300,
      title: `Nats added up over the letters. At the end: ${sums}.`,
      xLabel: "letters read so far",
      yLabel: "nats",
      xTicks: targets.map((ch, i) => [i + 1, mark(ch)]),
    }),
    h(
      "ul",
      { class: "legend", "aria-hidden": "true" },
      rows.map((row, r) => h("li", {}, lineKey(styles[r]), row.model.label)),
    ),
  );
}

// One line for each kind of problem: the models that have never seen a character.
function problemLines(rows, input) {
  const groups = new Map(); // message -> rows
  for (const row of rows.filter((r) => r.problem)) {
    const { ch } = row.problem;
    groups.set(ch, [...(groups.get(ch) ?? []), row]);
  }
  return [...groups].map(([ch, group]) => {
    const lower = group.some((row) => row.problem.lower);
    const names = group.map((row) => row.model.label).join(", ");
    return h(
      "p",
      { class: "problem", role: "alert" },
      `Never seen in training: `, data(mark(ch)), ` (${names}). `,
      lower
        ? h("button", { type: "button", onclick: () => input.use(input.value.toLowerCase()) },
            "Use ", data(input.value.toLowerCase()))
        : null,
    );
  });
}

// An input with its table, chart and reasons. options: label, text, longest, isText, all models
// that answer, tools: more controls.
function surpriseOf(all, { label, text, longest, isText, hint, more }) {
  const input = h("input", {
    type: "text", class: isText ? "word-text" : null, value: text, maxlength: String(longest),
    autocomplete: "off", autocapitalize: "off", spellcheck: "false",
  });
  input.use = (value) => {
    input.value = value;
    update();
  };
  const problems = h("div", { class: "word-problems" });
  const sentence = h("p", { class: "word-gap", "aria-live": "polite" });
  const table = h("div", { class: "scroll" });
  const look = h("p", { class: "word-look note" });
  const chart = h("div", {});
  const why = h("section", { class: "word-why", "aria-label": "Why" });
  let chosen = null; // {model, i}
  let turn = 0;

  function explain(row, i, targets) {
    chosen = { model: row.model, i };
    const heading =
      `Why ${quoted(targets[i])} at ${placeOf(i, targets, isText)} surprises ` +
      `${row.model.label} by ${nats(row.losses[i])} nats`;
    const p = Math.exp(-row.losses[i]);
    show(
      why,
      h("h3", {}, heading),
      h("p", {}, `The model gave it a probability of ${p.toFixed(3)}, and −log ${p.toFixed(3)} = `,
        `${nats(row.losses[i])} nats.`),
      reasonFor(row.model, input.value, i, all),
    );
    return heading;
  }

  async function update() {
    const mine = ++turn;
    const value = input.value;
    if (isText) {
      // Read in pieces, so that the page keeps answering; the models remember the rows.
      for (let end = 8; end < value.length; end += 8) {
        surprises(all, value.slice(0, end));
        await pause();
        if (mine !== turn) return;
      }
    }
    const targets = targetsOf(value, isText);
    const rows = surprises(all, value);
    const good = rows.filter((row) => row.losses);
    show(problems, problemLines(rows, input));
    more?.changed(good, value);
    if (!good.length || !targets.length) {
      show(sentence, targets.length ? "No model can read this." : "Type at least two characters.");
      for (const part of [table, chart, why]) show(part);
      show(look);
      return;
    }
    const gap = biggestGap(good);
    show(sentence, gap ? gapSentence(gap, targets, isText) : `${good[0].model.label}: ` +
      `${nats(good[0].sum)} nats for ${good[0].losses.length} characters.`);
    const old = chosen && good.find((row) => row.model === chosen.model);
    const [row, i] = old && chosen.i < targets.length ? [old, chosen.i] : startAt(good, gap);
    chosen = { model: row.model, i };
    const options = {
      chosen,
      onchoose: (r, k) => announce(explain(r, k, targets)),
      onlook: (words) => show(look, words),
    };
    show(table, surpriseTable(good, targets, options));
    show(look, "Point at a cell, or use Tab and the arrow keys. Press a cell to see why.");
    show(chart, isText ? null : cumulativeChart(good, targets, lineStyles(good.map((r) => r.model))));
    explain(row, i, targets);
  }

  input.addEventListener("input", debounce(update));
  const box = h(
    "div",
    { class: "word-box" },
    h("div", { class: "word-controls" }, field(label, input, hint), more?.controls(input)),
    problems, sentence, more?.result, table, look,
    h("div", { class: "word-below" }, chart, why),
  );
  update();
  return box;
}

// The cell whose reasons are shown at first: where the models differ most, or the worst one.
function startAt(rows, gap) {
  if (gap) return [gap.most, gap.i];
  const { losses } = rows[0];
  return [rows[0], losses.indexOf(Math.max(...losses))];
}

// A button that scrambles the letters, and the table of both sums.
function scrambler(all) {
  const result = h("div", { class: "word-scrambled", "aria-live": "polite" });
  let words = null; // {real, other}
  return {
    result,
    controls: (input) =>
      h("button", {
        type: "button",
        onclick: () => {
          const other = scrambled(input.value);
          words = other === null ? null : { real: input.value, other };
          if (words) show(result, sumsTable(surprises(all, input.value), surprises(all, other), words));
          else show(result, h("p", {}, "These letters have no other order."));
        },
      }, "Scramble the letters"),
    changed: (_, value) => {
      if (words?.real !== value) show(result);
    },
  };
}

function sumsTable(real, other, words) {
  const rows = real.map((row, r) => [row, other[r]]).filter(([row]) => row.losses);
  const sure = rows.filter(([a, b]) => a.sum < b.sum).length;
  return [
    h("table", { class: "word-sums" },
      h("caption", {}, `${sure} of ${rows.length} models prefer `, data(words.real), " to ",
        data(words.other), ". Sums in nats:"),
      h("thead", {}, h("tr", {},
        h("th", { scope: "col" }, "model"),
        h("th", { scope: "col" }, data(words.real)),
        h("th", { scope: "col" }, data(words.other)),
        h("th", { scope: "col" }, "difference"))),
      h("tbody", {}, rows.map(([a, b]) => h("tr", {},
        h("th", { scope: "row" }, a.model.label),
        h("td", {}, nats(a.sum)),
        h("td", {}, nats(b.sum)),
        h("td", {}, isFinite(b.sum - a.sum) ? signedNats(b.sum - a.sum) : "∞"))))),
  ];
}

function signedNats(number) {
  return `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
}

async function renderWord(panel, header, text) {
  const names = await models();
  const texts = await models(true);
  const parts = [];
  if (names.length) {
    parts.push(
      h("p", {}, "How much does each letter of a word surprise each model? A letter that the model ",
        "held for certain costs 0 nats; one that it gave 1 chance in 27 costs 3.3. Darker cells cost ",
        "more, and the frame marks the least surprised model. Before you look: which letter of ",
        "your own name will surprise all models?"),
      surpriseOf(names, {
        label: "A word", text: text || "isabella", longest: LONGEST_NAME, isText: false,
        more: scrambler(names),
      }),
    );
  }
  if (texts.length) {
    parts.push(
      h("h2", {}, "The same in a running text"),
      h("p", {}, "Shakespeare’s model reads any text, with capitals, spaces and signs. It has no ",
        "beginning to start from, so the first character costs nothing. Which characters is it sure of?"),
      surpriseOf(texts, {
        label: "A line", text: "My name is Isabella, my lord.", isText: true,
        longest: Math.min(...texts.map((model) => model.block_size)),
      }),
    );
  }
  show(panel, parts);
}

export const wordView = { id: "word", title: "A word", render: renderWord };
