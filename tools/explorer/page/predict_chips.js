// Chips that the reader puts on letters, and the probabilities that they stand for.
import { data, h, mark, spoken } from "./dom.js";

const CHIPS = 9;
const WORTH = 0.1; // P of one chip
const FULL_BAR = 0.4; // P of a bar that fills its column, until one is larger
const MOST_LETTERS = 60; // more buttons than this are no help

// P of a symbol that has `chips` of the `placed` chips. What was not placed, at least 0.1, is
// spread evenly over all symbols, so that no symbol gets 0.
function chipProbability(chips, placed, symbols) {
  return chips * WORTH + (1 - placed * WORTH) / symbols;
}

// Which letters get a button: all, or the most frequent ones of a large alphabet.
export function offeredLetters(symbols, names) {
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

// Chips on letters and the button that commits. decide(probability): a function from a symbol to
// the reader's P.
export function chipQuestion(beginning, letters, size, decide) {
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
