// The question of "Next letter": the reader sets bars with chips, then sees the answers.
import { createBars, largestIds } from "./bars.js";
import { announce, data, h, mark, show } from "./dom.js";
import { loadNames } from "./known.js";
import { chipQuestion, offeredLetters } from "./predict_chips.js";
import { lastOfFirstRun } from "./state.js";
import { addScore, hideUntil, resetButton, scoreOf } from "./predict.js";

const YOUR_ROWS = 8;

function lossRows(models, beginning, next, mine) {
  const rows = [{ label: "you", loss: -Math.log(mine) }];
  for (const model of models) {
    const id = next === null ? model.BOS : model.stoi.get(next);
    if (id === undefined || [...beginning].some((ch) => !model.stoi.has(ch))) continue;
    rows.push({ label: model.label, loss: -model.next(beginning)[id] });
  }
  return rows;
}

function lossTable(rows) {
  const best = Math.min(...rows.map((row) => row.loss));
  return h(
    "table",
    { class: "predict-table" },
    h("caption", {}, `Rounds so far: ${scoreOf("next", rows[0].label).rounds}`),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["", "P", "nats", "mean"].map((t) => h("th", { scope: "col" }, t)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map(({ label, loss }) => {
        const { rounds, sum } = scoreOf("next", label);
        return h(
          "tr",
          {},
          h(
            "th",
            { scope: "row" },
            label,
            loss === best ? h("span", { class: "note" }, " lowest") : null,
          ),
          h("td", {}, Math.exp(-loss).toFixed(3)),
          h("td", {}, loss.toFixed(2)),
          h("td", {}, rounds ? (sum / rounds).toFixed(2) : "–"),
        );
      }),
    ),
  );
}

// A name that goes on after `beginning`, and its next letter (null: the end), or null if none does.
function pickTarget(words, beginning, random = Math.random) {
  const fitting = words.filter((word) => word.startsWith(beginning));
  if (!fitting.length) return null;
  return givenWord(fitting[Math.floor(random() * fitting.length)], beginning);
}

function givenWord(word, beginning) {
  return { word, next: [...word.slice(beginning.length)][0] ?? null };
}

function yourBars(symbols, probability, next) {
  const probs = symbols.map(probability);
  const bars = createBars("Your bars");
  bars.update(symbols, probs, largestIds(probs, YOUR_ROWS));
  bars.highlight(next);
  return bars.list;
}

// The name and its letter, what the reader and every model gave it, and the score.
function nextResult(models, { beginning, target, origin, mine, yours }, again) {
  const rows = lossRows(models, beginning, target.next, mine);
  addScore("next", Object.fromEntries(rows.map(({ label, loss }) => [label, loss])));
  const table = h("div", { class: "scroll" }, lossTable(rows));
  const better = rows.filter((row) => row.loss > rows[0].loss).length;
  const text =
    `Your loss is ${rows[0].loss.toFixed(2)} nats: ` +
    `you beat ${better} of ${rows.length - 1} models.`;
  announce(text);
  return [
    h(
      "p",
      {},
      "The name is ",
      h("strong", {}, data(target.word)),
      ` (${origin}): `,
      beginning ? ["after ", data(beginning), " comes "] : "it begins with ",
      h("strong", {}, target.next === null ? "the end" : mark(target.next)),
      `. ${text}`,
    ),
    h("div", { class: "predict-result" }, h("div", {}, h("h3", {}, "You"), yours), table),
    h(
      "p",
      { class: "predict-actions" },
      again,
      resetButton("next", () => show(table, lossTable(rows))),
    ),
  ];
}

// Rounds of "Next letter": a beginning, the reader's chips, then the answers.
//
// The name behind it is one of val, which no model has learned from. A page without names lets the
// last model draw one. settings: as for createCard(). -> as hideUntil()
export function startRounds(answers, models, settings) {
  const symbols = [...new Set(models.flatMap((model) => model.symbols))];
  symbols.push(...symbols.splice(symbols.indexOf(null), 1)); // the end comes last
  const last = lastOfFirstRun(models);

  async function ask(commit) {
    const beginning = settings.text();
    const known = await loadNames();
    const letters = offeredLetters(symbols, known?.train ?? []);
    return chipQuestion(beginning, letters, symbols.length, (probability) => {
      const target = known ? pickTarget(known.val, beginning) : drawTarget(last, beginning);
      const again = h("button", { type: "button", onclick: nextRound }, "Next name");
      if (!target) return commit(...noTarget(beginning), again);
      const origin = known ? "val" : `drawn by ${last.label}`;
      const mine = probability(target.next);
      const yours = yourBars(symbols, probability, target.next);
      commit(...nextResult(models, { beginning, target, origin, mine, yours }, again));
      settings.point(target.next);
    });
  }

  async function nextRound() {
    const known = await loadNames();
    const word = known ? pickTarget(known.val, "").word : last.sample();
    const chars = [...word];
    settings.setText(chars.slice(0, Math.floor(Math.random() * (chars.length + 1))).join(""));
    gate.restart();
    gate.box.focus({ preventScroll: true });
  }

  const gate = hideUntil(answers, ask);
  return gate;
}

function drawTarget(model, beginning) {
  if ([...beginning].some((ch) => !model.stoi.has(ch))) return null;
  return givenWord(model.sample(beginning), beginning);
}

function noTarget(beginning) {
  return [
    h("p", {}, "No name of val begins with ", data(beginning), ", so this round does not count."),
  ];
}
