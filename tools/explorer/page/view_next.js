// Type a beginning: what every names model expects next, side by side.
import { debounce, field, h, show } from "./dom.js";
import { createCard } from "./next_card.js";
import { noNamesModel } from "./known.js";
import { createNamesRun } from "./next_names.js";
import { seeded } from "./numbers.js";
import { predictSwitch } from "./predict.js";
import { startRounds } from "./predict_next.js";
import { seedField, temperatureSlider, topKSlider } from "./sampling.js";
import { models } from "./state.js";

const LONGEST_BEGINNING = 60; // characters
const ALPHABET_ROWS = 64; // of a longer alphabet only the likeliest letters get a row

function nextIntro() {
  return [
    h(
      "p",
      {},
      "Type the beginning of a name. Each model gives a probability to every letter that could " +
        "come next. Change the first letter: whose bars stay as they are, and why?",
    ),
    h(
      "p",
      { class: "note" },
      "Click a bar to add its letter; the arrow keys move from bar to bar. Point at a letter to " +
        "find it in all models. A temperature below 1 favours likely letters, and top-k keeps " +
        "only the k likeliest ones; the bars show the probabilities after both. The same seed " +
        "draws the same letters again.",
    ),
  ];
}

const limitBeginning = (text) => [...text].slice(0, LONGEST_BEGINNING).join("");

// A beginning that the first model can read.
const firstBeginning = ({ stoi, chars }) => (stoi.has("e") && stoi.has("m") ? "em" : chars[0]);

async function renderNext(panel, header, text) {
  const all = await models();
  if (!all.length) return show(panel, noNamesModel());
  const most = Math.max(...all.map((model) => model.symbols.length));
  const update = () => cards.forEach((card) => card.update());
  const input = h("input", {
    type: "text",
    value: limitBeginning(text) || firstBeginning(all[0]),
    maxlength: LONGEST_BEGINNING,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    oninput: debounce(() => {
      update();
      rounds.restart();
    }),
  });
  const temperature = temperatureSlider("Temperature", 1, update);
  const topK = topKSlider(most, update);
  const seed = seedField(() => (random = seeded(seed.value())));
  let random = seeded(seed.value()); // for single letters; names have their own
  const inOrder = h("input", { type: "checkbox", onchange: update });
  const settings = {
    text: () => input.value,
    setText: (value) => {
      input.value = value;
      update();
    },
    options: () => ({ temperature: temperature.value(), topK: topK.value() }),
    random: () => random(),
    inOrder: () => inOrder.checked,
    point: (symbol) => cards.forEach((card) => card.highlight(symbol)),
  };
  const cards = all.map((model) => createCard(model, settings));
  const answers = h(
    "div",
    { onpointerleave: () => settings.point(undefined) },
    createNamesRun(cards, seed.value, settings),
    h("h2", { class: "unseen" }, "What each model expects"),
    h(
      "div",
      { class: "models next-models" },
      cards.map((card) => card.box),
    ),
  );
  const rounds = startRounds(answers, all, settings);
  show(
    panel,
    nextIntro(),
    h(
      "div",
      { class: "next-controls" },
      field("The beginning of a name", input),
      predictSwitch(),
      temperature.box,
      topK.box,
      seed.box,
      most <= ALPHABET_ROWS
        ? h("label", { class: "next-check" }, inOrder, " in the order of the alphabet")
        : null,
    ),
    rounds.box,
    answers,
  );
  panel.addEventListener("text", (event) => {
    settings.setText(limitBeginning(event.detail));
    rounds.restart();
  });
  update();
}

export const nextView = { id: "next", title: "Next letter", render: renderNext };
