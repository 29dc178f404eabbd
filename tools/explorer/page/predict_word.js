// The question of "A word": which letter surprises the models most?
import { announce, h, mark, spoken } from "./dom.js";
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

function answerWord({ symbols, rows }, chosen) {
  const means = meanLosses(rows);
  const worst = means.indexOf(Math.max(...means));
  const right = chosen === worst;
  addScore("word", { you: right ? 1 : 0 });
  const { rounds, sum } = scoreOf("word", "you");
  const nats = (i) => `${means[i].toFixed(2)} nats`;
  const text = right
    ? `Yes: ${describePlace(symbols, worst)} surprises the models most, ${nats(worst)} on average.`
    : `You chose ${describePlace(symbols, chosen)}: ${nats(chosen)} on average over the models. ` +
      `What surprises them most is ${describePlace(symbols, worst)}, with ${nats(worst)}.`;
  announce(text);
  return [h("p", {}, text), h("p", { class: "note" }, `Right in ${sum} of ${rounds} rounds.`)];
}

// For hideUntil(): getRound() gives {symbols, rows} of the word that is shown, or null for a word
// that no model can read. symbols: its characters, and null for the end. rows: [{label, losses}],
// a loss in nats for each symbol.
export function surpriseQuestion(getRound) {
  return (commit) => {
    const round = getRound();
    if (!round || !round.rows.length) return h("p", {}, "Type a word first.");
    const choose = (i) => () =>
      commit(
        ...answerWord(round, i),
        resetButton("word", () => commit()),
      );
    return [
      h(
        "p",
        { id: "predict-word" },
        "Which letter surprises the models most, on average? Choose one.",
      ),
      h(
        "div",
        { class: "choice", role: "group", "aria-labelledby": "predict-word" },
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
