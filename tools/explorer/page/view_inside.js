// Inside microGPT: one forward pass with its numbers, step by step, and switches for its parts.
import { strip } from "./charts.js";
import { announce, choice, data, debounce, field, h, show } from "./dom.js";
import { drawStep, tokenName, tokenSpoken } from "./inside_details.js";
import { findLine, passSteps, recordPass } from "./inside_steps.js";
import { switchesOf } from "./inside_switches.js";
import { UnknownCharacter } from "./models.js";
import { softmax } from "./numbers.js";
import { models } from "./state.js";
import { largestOf } from "./vectors.js";
import { seenBy } from "./word_evidence.js";

const LONGEST_INSIDE = 40; // characters of a name

// The shape of what a step gives, as main.py's comments write it.
function shapeOf(step) {
  if (step.heads) return `${step.heads.length} × list[${step.heads[0].length}]`;
  return `list[${step.vector.length}]`;
}

function sourceLine(step, source) {
  const found = findLine(source, step.line, step.nth);
  if (!found) return h("p", { class: "note" }, "main.py no longer has the line of this step.");
  const at = step.part ? found.text.indexOf(step.part) : -1;
  const text = at < 0 ? found.text : [
    found.text.slice(0, at), h("mark", {}, step.part), found.text.slice(at + step.part.length),
  ];
  return h("div", { class: "scroll inside-line" },
    h("span", { class: "note" }, `main.py, line ${found.number} `), h("code", {}, text));
}

// The list of steps. Only the chosen one is a stop of the Tab key; the arrow keys move on.
function stepList(steps, chosen, { head, isDeep, onchoose }) {
  return h("ol", { class: "inside-steps", "aria-label": "Steps; the arrow keys move" },
    steps.map((step, i) => {
      const numbers = step.heads ? step.heads[head] : step.vector;
      const picture = strip(numbers, largestOf(numbers), "");
      picture.setAttribute("aria-hidden", "true");
      picture.setAttribute("preserveAspectRatio", "none");
      const isFirst = step.group !== steps[i - 1]?.group;
      const where = step.layer !== undefined && isDeep ? `, layer ${step.layer}` : "";
      return h("li", {},
        isFirst ? h("span", { class: "inside-group" }, step.group, where) : null,
        h("button", {
          type: "button",
          "aria-current": step === chosen ? "step" : null,
          tabindex: step === chosen ? "0" : "-1",
          onclick: () => onchoose(step),
        },
          h("span", { class: "inside-number" }, String(i + 1)),
          h("span", {}, step.title),
          h("code", { class: "note" }, shapeOf(step)),
          picture));
    }));
}

function createInside(all, header, text) {
  let model = all[0];
  let position = null; // null: the last letter but one at first
  let layer = 0;
  let head = 0;
  let at = 0; // of all steps, those of every layer
  let steps = [];
  const input = h("input", { type: "text", value: text || "emma", maxlength: String(LONGEST_INSIDE),
    autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const [places, layers, heads, list, detail, problem] =
    Array.from({ length: 6 }, () => h("div", {}));
  const switches = switchesOf(all);

  function tokensOf() {
    return [model.BOS, ...model.encode(input.value)];
  }

  // What the step list and the details show: everything up to the chosen position.
  function compute() {
    const whole = tokensOf();
    if (position === null || position >= whole.length) position = Math.min(2, whole.length - 1);
    const tokens = seenBy(model, whole.slice(0, position + 1));
    const pass = recordPass(model, tokens);
    const probs = softmax(pass.logits);
    steps = passSteps(pass, probs);
    return { model, tokens, pass, probs, head, target: whole[position + 1] ?? model.BOS };
  }

  function update() {
    layer = Math.min(layer, model.n_layer - 1);
    head = Math.min(head, model.n_head - 1);
    try {
      const context = compute();
      at = Math.min(at, steps.length - 1);
      show(problem);
      drawChoices();
      draw(context);
      switches.update(model, input.value, position);
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      show(problem, unknown(error));
    }
  }

  function unknown(error) {
    const lower = input.value.toLowerCase();
    const use = () => {
      input.value = lower;
      update();
    };
    return h("p", { class: "problem", role: "alert" }, data(error.message), ". ",
      error.lower ? h("button", { type: "button", onclick: use }, "Use ", data(lower)) : null);
  }

  function drawChoices() {
    const letters = tokensOf().map((token, i) => [
      i, h("span", { "aria-label": tokenSpoken(model, token) }, tokenName(model, token)),
    ]);
    const numbers = (n) => Array.from({ length: n }, (_, i) => [i, String(i)]);
    show(places, named("Position: after which letter?", choice("Position", letters, position,
      (chosen) => ((position = chosen), update()))));
    show(layers, model.n_layer > 1 ? named("Layer", choice("Layer", numbers(model.n_layer), layer,
      chooseLayer)) : null);
    show(heads, model.n_head > 1 ? named("Head", choice("Head", numbers(model.n_head), head,
      (chosen) => ((head = chosen), update()))) : null);
  }

  // The same step of another layer.
  function chooseLayer(chosen) {
    const { id } = steps[at];
    layer = chosen;
    if (steps[at].layer !== undefined) at = steps.findIndex((s) => s.id === id && s.layer === layer);
    update();
  }

  function choose(step, keepFocus) {
    at = steps.indexOf(step);
    if (step.layer !== undefined) layer = step.layer;
    update();
    if (keepFocus) list.querySelector("[aria-current]").focus();
    announce(`Step ${at + 1}: ${step.title}. ${step.says}`);
  }

  function move(by, keepFocus) {
    const next = steps[at + by];
    if (next) choose(next, keepFocus);
  }

  function draw(context) {
    const step = steps[at];
    const shown = steps.filter((s) => s.layer === undefined || s.layer === layer);
    show(list, stepList(shown, step, {
      head, isDeep: model.n_layer > 1, onchoose: (chosen) => choose(chosen, true),
    }));
    const where = step.layer !== undefined && model.n_layer > 1 ? `, layer ${step.layer}` : "";
    show(detail,
      h("h3", {}, `${shown.indexOf(step) + 1}. ${step.title}${where} `,
        h("code", { class: "note" }, shapeOf(step))),
      sourceLine(step, header.source),
      h("p", { class: "inside-says" }, step.says),
      drawStep(step, context));
  }

  input.addEventListener("input", debounce(update));
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    move(by, true);
  });
  const pick = all.length > 1
    ? named("Model", choice("Model", all.map((m) => [m, m.label]), model, (chosen) => {
        model = chosen;
        at = Math.min(at, 3);
        update();
      }))
    : null;
  const turn = h("div", { class: "inside-turn" },
    h("button", { type: "button", onclick: () => move(-1) }, "← Previous step"),
    h("button", { type: "button", onclick: () => move(1) }, "Next step →"));
  update();
  return [
    h("div", { class: "inside-controls" }, field("A name", input), pick, places, layers, heads),
    problem,
    h("div", { class: "inside-pass" }, list,
      h("div", {}, turn, h("section", { class: "inside-detail", "aria-label": "The step" }, detail))),
    switches.box,
  ];
}

function named(label, control) {
  return h("div", { class: "field" }, h("span", { class: "label" }, label), control);
}

async function renderInside(panel, header, text) {
  const all = (await models()).filter((model) => model.kind === "microgpt");
  if (!all.length) {
    show(panel, h("p", {}, "There is no microGPT on this page yet. Train one with ",
      h("code", {}, "make stage 5"), ", then write the page again with ",
      h("code", {}, "make explore"), "."));
    return;
  }
  show(panel,
    h("p", {}, "This is what microGPT computes after one letter of a name, with its real numbers: ",
      "red is positive, blue is negative, and a stronger colour is a larger number. Point at a strip, or focus it and use the ",
      "arrow keys, to read its numbers. Go through the steps once: at which of them does the model ",
      "look at the letters before?"),
    createInside(all, header, text));
}

export const insideView = { id: "inside", title: "Inside microGPT", render: renderInside };
