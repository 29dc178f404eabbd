// Through training: one slider moves a model from its untrained state to its trained one.
import { choice, debounce, field, h, named, pause, show, slider } from "./dom.js";
import { loadJson } from "./data.js";
import { UnknownCharacter } from "./models.js";
import { createMoonMap, moonAccuracy } from "./moons.js";
import { rowOfEntry, rowOfFolder, runIndexOf } from "./runs.js";
import { entries } from "./state.js";
import { createCurvePanel, stepText } from "./training_curve.js";
import {
  createAttentionPanel,
  createNextPanel,
  createPicturePanel,
  createSamplesPanel,
} from "./training_panels.js";
import { hasEarlier, loadStates, someNames } from "./training_states.js";

const LONGEST_TYPED = 40; // characters
const PLAY_EVERY = 1100; // milliseconds

// ---- what can be chosen ---------------------------------------------------------------------
// [{label, run, open(names)}, ...]; open() gives {steps, panels, question, setText, score}.
function trainings(header) {
  const two = header.runs.length > 1;
  const moons = header.runs.flatMap((run, index) =>
    run.moons
      ? {
          label: two ? `two moons (${run.name})` : "two moons",
          run: index,
          open: () => openMoons(run.moons, index),
        }
      : [],
  );
  const models = entries()
    .filter(hasEarlier)
    .map((entry) => ({
      label: entry.label,
      run: runIndexOf(entry),
      open: (names) => openModel(entry, names),
    }));
  return [...moons, ...models];
}

async function openModel(entry, names) {
  const states = await loadStates(entry);
  const steps = states.map(({ step }) => step);
  const next = createNextPanel(states);
  const attention = entry.kind === "microgpt" ? createAttentionPanel(states) : null;
  const valNames = names && someNames(names.val);
  const curve = createCurvePanel({ steps, row: rowOfEntry(entry), unit: "nats/char", valNames });
  const [picture, samples] = [createPicturePanel(states), createSamplesPanel(states, names)];
  const first = states[0].model;
  return {
    steps,
    panels: [next, curve, picture, attention, samples].filter(Boolean),
    question:
      "What does the model learn first: how common each character is, or what fits your beginning?",
    beginning: startOf(first, names),
    setText: (text) => {
      first.encode(text); // throws UnknownCharacter before anything changes
      next.setText(text);
      attention?.setText(text);
    },
    score: () => curve.score(states),
  };
}

// A beginning that this model can read.
function startOf(model, names) {
  const own = model.chars.slice(0, 2).join("");
  const candidates = ["christ", ...(names?.train.slice(0, 1) ?? []), own];
  return candidates.find((text) => [...text].every((ch) => model.stoi.has(ch))) ?? "";
}

async function openMoons(moons, index) {
  const steps = moons.weights.map(([step]) => step);
  const map = createMoonMap(moons);
  const right = h("p", {});
  const node = h(
    "article",
    {},
    h("h3", {}, "The line between the two moons"),
    right,
    map.node,
    h(
      "p",
      { class: "note" },
      "Circles have label 1, squares label -1. The paler the ground, the less sure the network is.",
    ),
  );
  const update = (k) => {
    const weights = moons.weights[k][1];
    map.show(weights);
    const n = moons.points.length;
    const share = n ? moonAccuracy(moons.layers, weights, moons.points) : null;
    const count = `${Math.round(share * n)} of ${n} train points`;
    const gone = "The points of this run are not in its folder any more.";
    show(right, n ? `${count} are on the correct side of the line.` : gone);
  };
  const row = rowOfFolder(index, "01_micrograd");
  const curve = createCurvePanel({ steps, row, unit: "nats/point" });
  const question = "When does the line begin to bend around the moons?";
  return { steps, panels: [{ node, update }, curve], question };
}

// ---- the page -------------------------------------------------------------------------------
function createPlayer(button, advance) {
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "Stop";
    advance(true);
    timer = setInterval(() => advance(false) || stop(), PLAY_EVERY);
  });
  return stop;
}

async function renderTraining(panel, header, text) {
  const all = trainings(header);
  if (!all.length) {
    const how = h("code", {}, "make stages");
    const why = "No model here has kept its weights along the training. Run ";
    show(panel, h("p", {}, why, how, " again."));
    return;
  }
  const names = await loadJson("names");
  const question = h("p", {});
  const problem = h("p", { class: "problem", role: "status" });
  const input = h("input", {
    type: "text",
    value: [...text].slice(0, LONGEST_TYPED).join(""),
    maxlength: LONGEST_TYPED,
    autocomplete: "off",
    spellcheck: "false",
  });
  const typed = field("The beginning of a name", input);
  const typedPlace = h("div", { class: "training-typed" });
  const sliderPlace = h("div", { class: "training-slider" });
  const play = h("button", { type: "button" }, "Play");
  const grid = h("div", { class: "training-panels" });
  let [training, control, k, opened] = [null, null, 0, 0];
  let isTyped = text !== ""; // the reader's own beginning stays when the model changes

  function update(now) {
    k = now;
    training.panels.forEach((part) => part.update(k));
  }

  function setText() {
    try {
      training.setText(input.value);
      show(problem);
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      const lower = () => {
        input.value = input.value.toLowerCase();
        setText();
      };
      const mend = h("button", { type: "button", onclick: lower }, "Use small letters");
      show(problem, `${error.message} `, error.lower ? mend : null);
      return;
    }
    update(k);
  }

  // Goes one step on; at the end, from the beginning if the reader asks for it.
  function advance(isFirst) {
    const last = training.steps.length - 1;
    if (k === last && !isFirst) return false;
    control.set(k === last ? 0 : k + 1);
    return true;
  }
  const stop = createPlayer(play, advance);

  async function open(chosen) {
    stop();
    const turn = ++opened;
    grid.setAttribute("aria-busy", "true");
    const step = training?.steps[k] ?? 0;
    chosen.opened ??= chosen.open(names);
    const next = await chosen.opened;
    if (turn !== opened) return; // the reader has chosen another one
    training = next;
    k = Math.max(0, training.steps.findLastIndex((s) => s !== null && s <= step));
    const last = training.steps.length - 1;
    control = slider("Step of the training", {
      min: 0,
      max: last,
      step: 1,
      value: k,
      format: (i) => `step ${stepText(training.steps[i])} of ${stepText(training.steps[last])}`,
      oninput: update,
    });
    show(sliderPlace, control.box, play);
    show(question, `Move the slider from the untrained to the trained model. ${training.question}`);
    show(typedPlace, training.setText ? typed : null);
    show(problem);
    show(grid, training.panels.map((part) => part.node));
    grid.setAttribute("aria-busy", "false");
    if (!training.setText) return update(k);
    training.setText(training.beginning); // what the panels show if the reader's cannot be read
    update(k);
    if (!isTyped) input.value = training.beginning;
    setText();
    await pause();
    training.scored ??= training.score();
  }

  input.addEventListener("input", () => (isTyped = true));
  input.addEventListener("input", debounce(setText));
  const first = all.findLast((one) => one.run === all[0].run);
  const models = choice("Model", all.map((one) => [one, one.label]), first, open);
  const choices = h("div", { class: "training-choices" }, named("Model", models), typedPlace);
  const heading = h("h2", { class: "unseen" }, "The model at this step");
  show(panel, question, choices, problem, sliderPlace, heading, grid);
  await open(first);
}

export const trainingView = { id: "training", title: "Through training", render: renderTraining };
