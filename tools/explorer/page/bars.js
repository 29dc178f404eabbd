// Bars of probabilities, one row for each character, and the line for characters without any.
import { h, mark, show, spoken } from "./dom.js";

const percent = (p) => `${(100 * p).toFixed(1)} percent`;

// The ids of the `count` largest numbers, largest first.
export function largestIds(numbers, count) {
  return [...numbers.keys()].sort((a, b) => numbers[b] - numbers[a]).slice(0, count);
}

// Without onpick, the row is a bar only.
function createRow(onpick, onpoint) {
  const row = {};
  row.char = h("span", { class: "char" });
  row.fill = h("span", {});
  row.p = h("span", { class: "p" });
  const point = () => onpoint?.(row.symbol);
  const listeners = { onclick: () => onpick(row.symbol), onpointerenter: point, onfocus: point };
  row.button = h(
    "button",
    { type: "button", disabled: !onpick, ...listeners },
    row.char,
    h("span", { class: "bar" }, row.fill),
    row.p,
  );
  row.item = h("li", {}, row.button);
  return row;
}

function setRow(row, symbol, p) {
  row.symbol = symbol;
  show(row.char, mark(symbol));
  row.fill.style.setProperty("width", `${100 * p}%`);
  row.p.textContent = p.toFixed(3);
  row.button.setAttribute("aria-label", `${spoken(symbol)}: ${percent(p)}`);
}

// A list of bars. Its rows stay when the numbers change, so that the focus stays too.
//
// onpick(symbol): a row was chosen. onpoint(symbol): a row has the pointer or the focus.
// -> {list, update(symbols, probs, ids), highlight(symbol)}. ids: what gets a row of its own; all
// others share the last one.
export function createBars(label, { onpick, onpoint } = {}) {
  const others = createRow();
  others.item.className = "bars-others";
  const rows = [];

  // One stop for the Tab key; the arrow keys go from row to row.
  function moveFocus(event) {
    const now = rows.findIndex((row) => row.button === document.activeElement);
    const last = rows.length - 1;
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: last }[event.key];
    if (now < 0 || to === undefined) return;
    event.preventDefault();
    rows[Math.max(0, Math.min(last, to))].button.focus();
  }

  function setStop(chosen) {
    rows.forEach((row) => (row.button.tabIndex = row === chosen ? 0 : -1));
  }

  const list = h(
    "ol",
    { class: "bars bars-list", "aria-label": label, onkeydown: moveFocus },
    others.item,
  );

  function resize(count) {
    while (rows.length > count) rows.pop().item.remove();
    while (rows.length < count) {
      const row = createRow(onpick, onpoint);
      row.button.addEventListener("focus", () => setStop(row));
      rows.push(row);
      others.item.before(row.item);
    }
    if (!rows.some((row) => row.button.tabIndex === 0 && row.button.isConnected)) setStop(rows[0]);
  }

  function update(symbols, probs, ids) {
    resize(ids.length);
    let rest = 1;
    ids.forEach((id, i) => {
      setRow(rows[i], symbols[id], probs[id]);
      rest -= probs[id];
    });
    const more = symbols.length - ids.length;
    others.item.hidden = more === 0;
    setRow(others, "", Math.max(0, rest));
    others.char.textContent = `+${more}`;
    others.button.setAttribute("aria-label", `${more} other characters: ${percent(rest)}`);
  }

  function highlight(symbol) {
    for (const row of rows) row.item.classList.toggle("bars-same", row.symbol === symbol);
  }

  return { list, update, highlight };
}

// One line for a text that holds a character which a model has never seen. use(text): offers the
// lower-case form where that one is known.
export function unknownLine(error, text, use) {
  const lower = [...text].map((ch) => (ch === error.ch ? ch.toLowerCase() : ch)).join("");
  return h(
    "p",
    { class: "problem" },
    `${error.message} `,
    error.lower
      ? h(
          "button",
          { type: "button", onclick: () => use(lower) },
          `Use ${spoken(error.ch.toLowerCase())}`,
        )
      : null,
  );
}
