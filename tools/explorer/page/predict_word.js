// The question of "Surprise": which letter surprises the models most?
import { announce, h, mark, spoken } from "./dom.js";
import { loadNames } from "./known.js";
import { addScore, resetButton, scoreOf } from "./predict.js";

// The mean over the models of the loss at each place.
function meanLosses(rows) {
  return rows[0].losses.map(
    (_, i) => rows.reduce((sum, row) => sum + row.losses[i], 0) / rows.length,
  );
}

function describePlace(symbols, i) {
  return symbols[i] === null ? "the end" : `letter ${i + 1}, ${spoken(symbols[i])}`;
}

// What the reader chose, and the score.
function answerWord({ symbols, rows }, chosen) {
  const means = meanLosses(rows);
  const worst = means.indexOf(Math.max(...means));
  const right = chosen === worst;
  addScore("word", { you: right ? 1 : 0 });
  const nats = (i) => `${means[i].toFixed(2)} nats`;
  const text = right
    ? `Yes: ${describePlace(symbols, worst)} surprises the models most, ${nats(worst)} on average.`
    : `You chose ${describePlace(symbols, chosen)}: ${nats(chosen)} on average over the models. ` +
      `What surprises them most is ${describePlace(symbols, worst)}, with ${nats(worst)}.`;
  announce(text);
  return h("p", {}, text);
}

function wordScore() {
  const { rounds, sum } = scoreOf("word", "you");
  return `Right in ${sum} of ${rounds} rounds.`;
}

// A name of val, which no model has learned from; or null if the page holds no names.
async function anotherName() {
  const known = await loadNames();
  return known && known.val[Math.floor(Math.random() * known.val.length)];
}

// For hideUntil(): getRound() gives {symbols, rows} of the word that is shown. symbols: its
// characters, and null for the end. rows: [{losses}] of the models, a loss in nats for each symbol.
// use(word): shows another word.
export function surpriseQuestion(getRound, use) {
  return async (commit) => {
    const round = getRound();
    if (!round?.rows.length) return h("p", {}, "Type a word first.");
    const another = await anotherName();
    const choose = (i) => () => {
      const answer = answerWord(round, i);
      const score = h("span", { class: "note" }, wordScore());
      const next = h("button", { type: "button", onclick: () => use(another) }, "Another name");
      const reset = resetButton("word", () => (score.textContent = wordScore()));
      commit(answer, h("p", { class: "predict-actions" }, another ? next : null, reset, score));
    };
    return [
      h("p", {}, "Which letter surprises the models most, on average? Choose one."),
      h(
        "div",
        { class: "choice", role: "group", "aria-label": "The letter that surprises most" },
        round.symbols.map((symbol, i) =>
          h(
            "button",
            { type: "button", "aria-label": describePlace(round.symbols, i), onclick: choose(i) },
            mark(symbol),
          ),
        ),
      ),
    ];
  };
}
