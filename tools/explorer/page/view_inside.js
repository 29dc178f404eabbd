// Inside microGPT: one forward pass with its numbers, step by step, and switches for its parts.
import { announce, choice, data, debounce, field, h, mark, named, show } from "./dom.js";
import { drawStep } from "./inside_details.js";
import { shapeOf, sourceOf, stepList } from "./inside_list.js";
import { passSteps, recordPass } from "./inside_steps.js";
import { createSwitches } from "./inside_switches.js";
import { UnknownCharacter } from "./models.js";
import { softmax } from "./numbers.js";
import { models } from "./state.js";
import { tokenName, tokenSpoken } from "./tables.js";
import { seenBy } from "./word_evidence.js";
import { firstText } from "./word_surprise.js";

const LONGEST_INSIDE = 40; // characters of a name
const STEP_KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

const limitName = (text) => [...text].slice(0, LONGEST_INSIDE).join("");

function numbersTo(n) {
  return Array.from({ length: n }, (_, i) => [i, String(i)]);
}

// all: the microGPTs of the page. source: as from collect_source() in export.py.
// -> {parts, use(text)}
function createInside(all, source, text) {
  let model = all[0];
  let position = 2; // index of the last token that is read; 0 is BOS
  let layer = 0;
  let head = 0;
  let steps = []; // of all layers
  let at = 0; // index of the chosen step
  const details = { isOpen: false };
  const input = h("input", {
    type: "text",
    value: limitName(text),
    maxlength: String(LONGEST_INSIDE),
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
  });
  const [places, layers, heads] = [h("div", {}), h("div", {}), h("div", {})];
  const problem = h("div", {});
  const answers = h("div", {});
  const list = h("div", { onkeydown: moveByKey });
  const detail = h("section", { class: "inside-detail", "aria-label": "The step" });
  const switches = createSwitches(all);

  function use(value) {
    input.value = limitName(value);
    update();
  }

  function update() {
    try {
      const whole = [model.BOS, ...model.encode(input.value)];
      position = Math.min(position, whole.length - 1);
      layer = Math.min(layer, model.n_layer - 1);
      head = Math.min(head, model.n_head - 1);
      drawChoices(whole);
      drawPass(whole);
      switches.update(model, input.value, position);
      show(problem);
      answers.hidden = false;
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      const lower = input.value.toLowerCase();
      const button = h(
        "button",
        { type: "button", onclick: () => use(lower) },
        "Use ",
        data(lower),
      );
      const line = h(
        "p",
        { class: "problem", role: "alert" },
        `${model.label} has never seen the character `,
        data(mark(error.ch)),
        ". ",
      );
      if (error.lower) line.append(button);
      show(problem, line);
      answers.hidden = true;
    }
  }

  function drawChoices(whole) {
    const letters = whole.map((token, i) => [
      i,
      h("span", { "aria-label": tokenSpoken(model, token) }, tokenName(model, token)),
    ]);
    const options = [
      [places, "Position: after which letter?", letters, position, (i) => (position = i)],
      [layers, "Layer", numbersTo(model.n_layer), layer, chooseLayer],
      [heads, "Head", numbersTo(model.n_head), head, (i) => (head = i)],
    ];
    for (const [box, label, values, chosen, set] of options) {
      const onchange = (value) => {
        set(value);
        update();
      };
      const [name] = label.split(":");
      show(box, values.length > 1 ? named(label, choice(name, values, chosen, onchange)) : null);
    }
  }

  // The same step of another layer.
  function chooseLayer(chosen) {
    layer = chosen;
    const step = steps[at];
    if (step.layer !== undefined) {
      at = steps.findIndex((s) => s.id === step.id && s.layer === layer);
    }
  }

  function drawPass(whole) {
    const tokens = seenBy(model, whole.slice(0, position + 1));
    const pass = recordPass(model, tokens);
    steps = passSteps(pass, softmax(pass.logits));
    at = Math.min(at, steps.length - 1);
    const step = steps[at];
    const isDeep = model.n_layer > 1;
    const shown = steps.filter((s) => s.layer === undefined || s.layer === layer);
    const onchoose = (chosen) => choose(chosen, true);
    show(list, stepList(shown, step, { head, isDeep, onchoose }));
    const where = step.layer !== undefined && isDeep ? `, layer ${step.layer}` : "";
    const target = whole[position + 1] ?? model.BOS;
    show(
      detail,
      h(
        "h3",
        {},
        `${shown.indexOf(step) + 1}. ${step.title}${where} `,
        h("code", { class: "note" }, shapeOf(step)),
      ),
      sourceOf(step, source, details),
      h("p", { class: "inside-says" }, step.says),
      drawStep(step, { model, tokens, pass, head, target }),
    );
  }

  function choose(step, isFocused) {
    at = steps.indexOf(step);
    if (step.layer !== undefined) layer = step.layer;
    update();
    if (isFocused) list.querySelector("[aria-current]").focus({ preventScroll: true });
    announce(`${step.title}. ${step.says}`);
  }

  function move(by, isFocused) {
    const next = steps[at + by];
    if (next) choose(next, isFocused);
  }

  function moveByKey(event) {
    const by = STEP_KEYS[event.key];
    if (!by) return;
    event.preventDefault();
    move(by, true);
  }

  function chooseModel(chosen) {
    const { id } = steps[at] ?? {};
    model = chosen;
    layer = 0;
    at = 0;
    update();
    at = Math.max(
      0,
      steps.findIndex((step) => step.id === id),
    );
    update();
  }

  input.addEventListener("input", debounce(update));
  const pick = choice(
    "Model",
    all.map((m) => [m, m.label]),
    model,
    chooseModel,
  );
  const turn = h(
    "div",
    { class: "inside-turn" },
    h("button", { type: "button", onclick: () => move(-1) }, "← Previous step"),
    h("button", { type: "button", onclick: () => move(1) }, "Next step →"),
  );
  const pass = h("div", { class: "inside-pass" }, list, h("div", {}, turn, detail));
  answers.append(pass, switches.box);
  update();
  const parts = [
    h(
      "div",
      { class: "inside-controls" },
      field("A name", input),
      all.length > 1 ? named("Model", pick) : null,
      places,
      layers,
      heads,
    ),
    problem,
    answers,
  ];
  return { parts, use };
}

async function renderInside(panel, header, text) {
  const all = (await models()).filter((model) => model.kind === "microgpt");
  if (!all.length) {
    show(
      panel,
      h(
        "p",
        {},
        "There is no microGPT on this page yet. Train one with ",
        h("code", {}, "make stage 5"),
        ", then write the page again with ",
        h("code", {}, "make explore"),
        ".",
      ),
    );
    return;
  }
  const inside = createInside(all, header.source, text || firstText(all, "emma"));
  panel.addEventListener("text", (event) => inside.use(event.detail));
  show(
    panel,
    h(
      "p",
      {},
      "This is what microGPT computes after one letter of a name, with its real numbers. Red is ",
      "positive, blue is negative, and a stronger colour is a larger number. To read the numbers ",
      "of a strip, point at it, or focus it and use the arrow keys. Go through the steps once: at ",
      "which of them does the model look at earlier letters?",
    ),
    inside.parts,
  );
}

export const insideView = { id: "inside", title: "Inside microGPT", render: renderInside };
