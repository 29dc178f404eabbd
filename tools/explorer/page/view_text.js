// The model of running text: what comes next, what surprises it, and what it writes.
import { createBars, largestIds, unknownLine } from "./bars.js";
import { announce, choice, data, debounce, field, h, show, spoken } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { draw, reshape, seeded } from "./numbers.js";
import { seedField, temperatureSlider, topKSlider } from "./sampling.js";
import { entries, models } from "./state.js";
import { TextReader } from "./text_reader.js";
import { createSurprise } from "./text_surprise.js";
import { createWriting } from "./text_writing.js";

const BAR_COUNT = 12;
const LONGEST_TEXT = 20_000; // characters; a browser takes long to lay out more in some scripts
const FIRST_TEXT = "ROMEO:\n";

function noTextModel(header) {
  const stage = header.runs[0].missing.find(({ folder }) => folder === "06_shakespeare_gpt");
  if (entries(true).length) {
    return h("p", {}, "The model of running text was left out, to keep this page below 6 MB.");
  }
  return h(
    "p",
    {},
    "No model of running text is on this page: ",
    data(stage?.how ?? "not trained yet: make stage 6"),
    ". Then write the page again: ",
    h("code", {}, "make explore"),
  );
}

function textIntro(model) {
  return h(
    "p",
    {},
    `Type a text. The model reads its last ${model.block_size} characters and says what comes ` +
      "next. The stronger the colour of a character and the thicker its line, the more it surprised " +
      "the model. Misspell a word: where does the surprise come, and how soon is the model sure " +
      "again?",
  );
}

// A text that the model can read.
function readableText(model) {
  const known = (text) => [...text].every((ch) => model.stoi.has(ch));
  return known(FIRST_TEXT) ? FIRST_TEXT : model.chars[0];
}

async function renderText(panel, header, text) {
  const all = await models(true);
  if (!all.length) return show(panel, noTextModel(header));
  const part = h("div", {});
  const choose = (model) => showTextModel(part, model, text);
  const chooser = choice(
    "The run",
    all.map((model) => [model, model.label]),
    all[0],
    choose,
  );
  show(panel, all.length > 1 ? chooser : null, part);
  choose(all[0]);
}

function showTextModel(part, model, text) {
  const reader = new TextReader(model);
  const area = h("textarea", {
    class: "text-area",
    rows: 4,
    maxlength: LONGEST_TEXT,
    spellcheck: "false",
    autocapitalize: "off",
  });
  area.value = text || readableText(model);
  const temperature = temperatureSlider("Temperature", 1, () => showBars());
  const topK = topKSlider(model.symbols.length, () => showBars());
  let random = seeded(42);
  const seed = seedField(() => (random = seeded(seed.value())));
  const setText = (value) => {
    area.value = value;
    area.scrollTop = area.scrollHeight;
    return update();
  };
  const bars = createBars("What comes next", { onpick: (symbol) => append(symbol, "chosen") });
  const surprise = createSurprise(model.symbols);
  const problem = h("div", { class: "text-problem" });
  const said = h("p", { class: "note text-says" });
  const drawButton = h("button", { type: "button", onclick: drawCharacter }, "Draw a character");
  let row = null; // what the model expects after the text, or null
  let turn = 0;

  async function update() {
    const mine = ++turn;
    try {
      const reading = await reader.read(area.value, () => mine !== turn);
      if (!reading) return;
      show(problem);
      row = reading.rows.at(-1) ?? null;
      surprise.update(reading, [...area.value].slice(0, -reading.chars.length || undefined));
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      row = null;
      show(problem, unknownLine(error, area.value, setText));
    }
    showBars();
  }

  function showBars() {
    drawButton.disabled = row === null;
    bars.list.hidden = row === null;
    if (!row) return;
    const probs = reshape(row, options());
    bars.update(model.symbols, probs, largestIds(probs, BAR_COUNT));
  }

  function options() {
    return { temperature: temperature.value(), topK: topK.value() };
  }

  function append(symbol, how) {
    setText(area.value + symbol);
    said.textContent = `${how}: ${spoken(symbol)}`;
    announce(said.textContent);
  }

  function drawCharacter() {
    append(model.symbols[draw(row, { ...options(), random: () => random() })], "drawn");
  }

  area.addEventListener("input", debounce(update));
  const writing = createWriting(temperature, {
    text: () => area.value,
    setText,
    topK: topK.value,
    seed: seed.value,
    model,
  });
  show(
    part,
    textIntro(model),
    h("div", { class: "text-field" }, field("A text", area)),
    problem,
    h("div", { class: "text-controls" }, temperature.box, topK.box, seed.box),
    h(
      "div",
      { class: "text-columns" },
      h("article", {}, h("h3", {}, "The next character"), bars.list, drawButton, said),
      h("article", {}, h("h3", {}, "What surprised the model"), surprise.box),
    ),
    h("h2", {}, "Let it write"),
    h(
      "p",
      {},
      "The model draws one character after another from bars like these. Compare two temperatures: " +
        "which text repeats itself, and which one invents words?",
    ),
    writing,
  );
  update();
}

export const textView = { id: "text", title: "Shakespeare", render: renderText };
