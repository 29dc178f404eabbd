// Copied or invented: what a name shares with the names that the models learned.
import { coverByPieces, editSteps, nearestNames } from "./copied_match.js";
import { createShares } from "./copied_share.js";
import { announce, choice, data, debounce, field, h, mark, named, show, visible } from "./dom.js";
import { howToAddNames, loadNames, noNamesModel, originOf } from "./known.js";
import { seeded } from "./numbers.js";
import { seedField, temperatureSlider } from "./sampling.js";
import { lastOfFirstRun, models } from "./state.js";

const NEAREST = 6;
const HOLDERS = 3; // names shown for each piece
const LONGEST = 60; // characters of a name that is compared

const VERDICTS = {
  train: "is in train: the models have learned from it, so it may be a copy.",
  val: "is in val: a real name, but no model has learned from it.",
  test: "is in test: a real name, but no model has learned from it.",
  new: "is in none of the splits: it is invented.",
};

const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function describeSteps(other, steps) {
  const words = {
    change: (s) => `${s.from} becomes ${s.to}`,
    add: (s) => `${s.to} added`,
    drop: (s) => `${s.from} left out`,
  };
  const edits = steps.filter(({ kind }) => kind !== "same").map((step) => words[step.kind](step));
  return `${visible(other)}: ${edits.join(", ")}`;
}

// A train name with the letters marked that differ from the name in question.
function markedName(name, other) {
  const steps = editSteps([...name], [...other]);
  return h(
    "span",
    { class: "copied-name", role: "img", "aria-label": describeSteps(other, steps) },
    steps.map(({ kind, from, to }) => {
      if (kind === "same") return h("span", {}, mark(to));
      if (kind === "drop") return h("del", {}, mark(from));
      return h("ins", { class: `copied-${kind}` }, mark(to));
    }),
  );
}

function nearestList(name, { found, ties }) {
  const least = found[0].distance;
  return [
    h(
      "p",
      { class: "note" },
      `${plural(ties, "train name")} ${ties === 1 ? "is" : "are"} ${plural(least, "edit")} away. `,
      h("ins", {}, "Underlined"),
      " letters are added or changed in the train name; ",
      h("del", {}, "struck"),
      " letters are missing from it.",
    ),
    h(
      "ol",
      { class: "copied-list" },
      found.map(({ name: other, distance }) =>
        h(
          "li",
          {},
          markedName(name, other),
          h("span", { class: "note" }, ` ${plural(distance, "edit")}`),
        ),
      ),
    ),
  ];
}

// A name of which one piece is marked.
function holderName(holder, piece) {
  const at = holder.indexOf(piece);
  return h(
    "bdi",
    { class: "copied-name" },
    holder.slice(0, at),
    h("mark", {}, piece),
    holder.slice(at + piece.length),
  );
}

function pieceList(pieces) {
  return h(
    "ol",
    { class: "copied-list" },
    pieces.map(({ text, holders }) =>
      h(
        "li",
        {},
        h("strong", { class: "copied-name" }, data(text)),
        h("span", { class: "note" }, ` in ${plural(holders.length, "train name")}`),
        holders.length ? ": " : null,
        holders.slice(0, HOLDERS).map((holder, i) => [i ? ", " : null, holderName(holder, text)]),
        holders.length > HOLDERS ? " …" : null,
      ),
    ),
  );
}

// A name to begin with, which the models can read.
function firstName(all, known) {
  const example = "emmalina";
  return [...example].every((ch) => all[0].stoi.has(ch)) ? example : known.val[0];
}

async function renderCopied(panel, header, text) {
  const [all, known] = await Promise.all([models(), loadNames()]);
  if (!all.length) return show(panel, noNamesModel());
  if (!known) return show(panel, howToAddNames());
  const train = [...new Set(known.train)];
  let model = lastOfFirstRun(all);
  const input = h("input", {
    type: "text",
    value: text || firstName(all, known),
    maxlength: LONGEST,
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
  const temperature = temperatureSlider("Temperature", 1, () => {});
  let random = seeded(42);
  const seed = seedField(() => (random = seeded(seed.value())));
  const choosing = choice(
    "The model that draws",
    all.map((one) => [one, one.label]),
    model,
    (one) => (model = one),
  );
  const verdict = h("p", { class: "copied-verdict" });
  const nearest = h("div", {});
  const cover = h("div", {});
  let turn = 0;

  async function update() {
    const mine = ++turn;
    const name = input.value.slice(0, LONGEST);
    if (!name) return show(verdict, "Type a name, or draw one.");
    show(verdict, h("strong", {}, data(name)), ` ${VERDICTS[originOf(known, name)]}`);
    const pieces = coverByPieces(name, train);
    show(cover, pieceList(pieces));
    const answer = await nearestNames(name, train, NEAREST, () => mine !== turn);
    if (!answer) return;
    show(nearest, answer.found.length ? nearestList(name, answer) : null);
    announce(`${name} ${VERDICTS[originOf(known, name)]}`);
  }

  function drawName() {
    const options = { temperature: temperature.value(), random: () => random() };
    input.value = model.sample("", options);
    update();
  }

  input.addEventListener("input", debounce(update));
  panel.addEventListener("text", (event) => {
    input.value = event.detail;
    update();
  });
  show(
    panel,
    h(
      "p",
      {},
      "Has a model learned names by heart, or does it invent new ones? Draw a name, then look at " +
        "its pieces: are they long pieces of a few train names, or short ones that many share?",
    ),
    h("div", { class: "copied-controls" }, field("A name", input)),
    h(
      "div",
      { class: "copied-controls" },
      named("The model that draws", choosing),
    ),
    h(
      "div",
      { class: "copied-controls" },
      temperature.box,
      seed.box,
      h("button", { type: "button", onclick: drawName }, "Draw a name"),
    ),
    verdict,
    h(
      "div",
      { class: "copied-columns" },
      h("article", {}, h("h3", {}, "Its longest pieces found in train names"), cover),
      h("article", {}, h("h3", {}, "The nearest train names"), nearest),
    ),
    h("h2", {}, "200 names at a time"),
    h(
      "p",
      {},
      "How many of its names does the chosen model copy from train? Guess first: does a low " +
        "temperature give more copies, or fewer?",
    ),
    createShares(known, () => model),
  );
  update();
}

export const copiedView = { id: "copied", title: "Copied or invented", render: renderCopied };
