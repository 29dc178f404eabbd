// The question of "Next letter": the reader sets bars of his own with chips, then sees the answers.
import { createBars, largestIds } from "./bars.js";
import { announce, data, h, mark, show, spoken } from "./dom.js";
import { loadNames } from "./known.js";
import { lastOfFirstRun } from "./state.js";
import { addScore, hideUntil, resetButton, scoreOf } from "./predict.js";

const CHIPS = 9;
const WORTH = 0.1; // P of one chip
const FULL_BAR = 0.4; // P of a bar that fills its column, until one is larger
const YOUR_ROWS = 8;
const MOST_LETTERS = 60; // more buttons than this are no help

// P of a symbol that has `chips` of the `placed` chips. What was not placed, at least 0.1, is
// spread evenly over all symbols, so that no symbol gets 0.
function chipProbability(chips, placed, symbols) {
  return chips * WORTH + (1 - placed * WORTH) / symbols;
}

// Which letters get a button: all, or the most frequent ones of a large alphabet.
function offeredLetters(symbols, names) {
  if (symbols.length <= MOST_LETTERS) return symbols;
  const times = new Map(symbols.map((symbol) => [symbol, 0]));
  for (const name of names) {
    for (const ch of name) if (times.has(ch)) times.set(ch, times.get(ch) + 1);
  }
  const common = symbols.filter((symbol) => symbol !== null);
  common.sort((a, b) => times.get(b) - times.get(a));
  return [...common.slice(0, MOST_LETTERS - 1), null];
}

const chipCount = (n) => `${n} ${n === 1 ? "chip" : "chips"}`;

function chipBoard(letters, size) {
  const placed = []; // the symbols of the chips, in the order of the clicks
  const left = h("output", { class: "note" });
  const cells = letters.map((symbol) => {
    const fill = h("span", {});
    const p = h("span", { class: "predict-p" });
    const place = () => {
      if (placed.length < CHIPS) placed.push(symbol);
      update();
    };
    const button = h("button", { type: "button", onclick: place }, mark(symbol));
    return { symbol, fill, p, button };
  });
  const takeBack = h(
    "button",
    { type: "button", onclick: () => (placed.pop(), update()) },
    "Take back",
  );

  const chipsOf = (symbol) => placed.filter((s) => s === symbol).length;
  const probability = (symbol) => chipProbability(chipsOf(symbol), placed.length, size);

  function update() {
    const full = Math.max(FULL_BAR, ...letters.map(probability));
    for (const { symbol, fill, p, button } of cells) {
      fill.style.setProperty("height", `${(100 * probability(symbol)) / full}%`);
      const chips = chipsOf(symbol);
      p.textContent = chips ? probability(symbol).toFixed(2) : "";
      button.setAttribute(
        "aria-label",
        `${spoken(symbol)}: ${chipCount(chips)}`,
      );
    }
    left.textContent = `${chipCount(CHIPS - placed.length)} left`;
    takeBack.disabled = placed.length === 0;
  }

  update();
  const board = h(
    "div",
    { class: "predict-board", role: "group", "aria-label": "Place chips on letters" },
    cells.map(({ fill, p, button }) =>
      h("div", { class: "predict-cell" }, p, h("span", { class: "predict-bar" }, fill), button),
    ),
  );
  return { board, left, takeBack, probability };
}

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
    `Your loss is ${rows[0].loss.toFixed(2)} nats, ` +
    `lower than that of ${better} of ${rows.length - 1} models.`;
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

// Chips on letters and the button that commits. decide(probability): a function from a symbol to
// the reader's P.
function chipQuestion(beginning, letters, size, decide) {
  const { board, left, takeBack, probability } = chipBoard(letters, size);
  return [
    h(
      "p",
      {},
      beginning
        ? ["A name begins with ", h("strong", {}, data(beginning)), ". What comes next? "]
        : "A name begins. What is its first letter? ",
      "Each click on a letter puts a chip on it, and a chip is worth a probability of 0.1. The " +
        "chips that you do not place are spread evenly over all letters.",
    ),
    board,
    h(
      "p",
      { class: "predict-actions" },
      h(
        "button",
        { type: "button", class: "predict-commit", onclick: () => decide(probability) },
        "Show the answers",
      ),
      takeBack,
      left,
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
