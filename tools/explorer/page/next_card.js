// One model's card in "Next letter": its bars, a button that draws, and the names it drew.
import { aboutModel } from "./about.js";
import { createBars, largestIds, unknownLine } from "./bars.js";
import { announce, data, h, mark, show, spoken } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { draw, reshape } from "./numbers.js";
import { loadNames, originTag } from "./known.js";

const BAR_ROWS = 10;

// settings: {text(), setText(text), options(), random(), inOrder(), point(symbol)}: the beginning,
// how to draw, whether the bars keep the order of the alphabet, and what all models highlight.
export function createCard(model, settings) {
  const bars = createBars(`What ${model.label} expects next`, {
    onpick: (symbol) => choose(symbol, "chosen"),
    onpoint: settings.point,
  });
  const problem = h("div", {});
  const compared = h("p", { class: "note next-compared" });
  const total = h("p", { class: "note" });
  const said = h("p", { class: "note next-said" });
  const drawButton = h("button", { type: "button", onclick: drawLetter }, "Draw a letter");
  const working = h("div", {}, bars.list, total, drawButton);
  const names = h("ol", { class: "next-names", "aria-label": `Names drawn by ${model.label}` });
  const box = h(
    "article",
    { style: { "--colour": model.colour } },
    h("h3", {}, model.label),
    h(
      "p",
      { class: "note next-about" },
      h("span", { class: "next-folder" }, data(model.folder)),
      `: ${aboutModel(model)}`,
    ),
    compared,
    problem,
    working,
    said,
    names,
  );
  let probs = null; // after temperature and top-k; null while the model cannot read the text

  function update() {
    said.textContent = "";
    try {
      probs = reshape(model.next(settings.text()), settings.options());
      show(problem);
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      probs = null;
      show(problem, unknownLine(error, settings.text(), settings.setText));
    }
    working.hidden = probs === null;
    if (!probs) return;
    const inOrder = settings.inOrder();
    const ids = inOrder ? [...probs.keys()] : largestIds(probs, BAR_ROWS);
    bars.update(model.symbols, probs, ids);
    const sum = probs.reduce((a, b) => a + b, 0);
    const more = probs.length - ids.length;
    const rest = more ? `+${more}: all others; ` : "";
    total.textContent = `${rest}sum ${sum.toFixed(3)}`;
  }

  function highlight(symbol) {
    bars.highlight(symbol);
    const id = symbol === undefined ? -1 : model.symbols.indexOf(symbol);
    if (!probs || id < 0) return show(compared);
    const rank = 1 + probs.filter((p) => p > probs[id]).length;
    show(
      compared,
      h("b", {}, mark(symbol)),
      ` ${probs[id].toFixed(3)}, rank ${rank} of ${probs.length}`,
    );
  }

  function drawLetter() {
    const options = { ...settings.options(), random: settings.random };
    choose(model.symbols[draw(model.next(settings.text()), options)], "drawn");
  }

  async function choose(symbol, how) {
    if (symbol !== null) {
      settings.setText(settings.text() + symbol);
      said.textContent = `${how}: ${mark(symbol)}`;
      return announce(`${how}: ${spoken(symbol)}`);
    }
    const name = settings.text();
    const known = await loadNames();
    show(
      said,
      `${how}: the end. The name is `,
      h("strong", {}, data(name)),
      " ",
      known ? originTag(known, name) : null,
      h("button", { type: "button", onclick: () => settings.setText("") }, "Start a new name"),
    );
    announce(`${how}: the end of the name`);
  }

  return { box, model, names, update, highlight };
}
