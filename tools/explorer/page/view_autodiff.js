// A playground for stage 01: an expression, its graph, and the walk back through it.
import { backwardTo, hastyTurns, sortedTurns } from "./autodiff.js";
import { AUTODIFF_EXAMPLES } from "./autodiff_examples.js";
import { drawGraph, fixedNumber } from "./autodiff_graph.js";
import { describeStep, nodesTable, variablesTable } from "./autodiff_parts.js";
import { lineChart } from "./charts.js";
import { announce, choice, data, debounce, field, h, show } from "./dom.js";
import { evaluateExpression, slopeByNudging, textWithValues } from "./evaluate.js";
import { ExpressionError, FUNCTIONS } from "./expression.js";

const RATES = [0.001, 0.01, 0.03, 0.1, 0.3, 1];
const PLAY_WAIT = 1500; // milliseconds between two steps
const PIXELS_PER_UNIT = 60; // dragging a node by so many pixels changes it by 1

class AutodiffPlayground {
  constructor(text) {
    const [example] = AUTODIFF_EXAMPLES;
    this.text = text || example.text;
    this.look = text ? "" : example.look;
    this.values = new Map(); // of variables that the text does not set
    this.ticked = null; // names that gradient descent changes; null: all
    this.isHasty = false;
    this.rate = 0.01;
    this.step = null; // of the backward walk; null: all steps
    this.history = []; // results before and after the steps of gradient descent
    this.timer = null;
    this.names = null; // the rows of the table of variables
    this.makeElements();
  }

  makeElements() {
    this.example = h(
      "select",
      { onchange: () => this.choose(AUTODIFF_EXAMPLES[this.example.selectedIndex - 1]) },
      h("option", { disabled: true }, "your own"),
      AUTODIFF_EXAMPLES.map(({ title }) => h("option", {}, title)),
    );
    this.example.selectedIndex = this.look ? 1 : 0;
    this.input = h("textarea", {
      rows: 5,
      cols: 30,
      class: "autodiff-text",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-describedby": "autodiff-problem",
      oninput: () => {
        this.example.selectedIndex = 0;
        this.look = "";
        this.change(this.input.value);
      },
    });
    this.lookLine = h("p", { class: "autodiff-look" });
    this.problem = h("p", { class: "problem autodiff-problem", id: "autodiff-problem" });
    this.graphBox = h("div", {
      class: "scroll autodiff-scroll",
      tabindex: 0,
      role: "region",
      "aria-label": "the graph",
    });
    this.addDragging();
    this.sentences = h("ol", { class: "autodiff-sentences" });
    this.nodesBox = h("div", { class: "scroll" });
    this.variablesBox = h("div", { class: "scroll" });
    this.descent = h("div", { class: "autodiff-descent" });
    this.makeStepButtons();
    this.tellResult = debounce(() => announce(this.resultSentence()), 600);
  }

  makeStepButtons() {
    const button = (text, label, onclick) =>
      h("button", { type: "button", onclick, "aria-label": label }, text);
    const move = (to) => () => {
      this.stop();
      this.goTo(to());
    };
    this.buttons = {
      first: button("First", "first step", move(() => 0)),
      back: button("Back", "one step back", move(() => this.stepNow() - 1)),
      play: button("Play", null, () => (this.timer ? this.stop() : this.play())),
      next: button("Next", "next step", move(() => this.stepNow() + 1)),
      last: button("Last", "last step", move(() => this.lastStep())),
    };
    this.counter = h("span", { class: "autodiff-counter" });
    this.orderBox = h("div", {});
  }

  showOrder() {
    const options = [
      [false, "sorted, as in engine.py"],
      [true, "at once, without waiting (wrong)"],
    ];
    show(
      this.orderBox,
      choice("order of the turns", options, this.isHasty, (isHasty) => {
        this.isHasty = isHasty;
        this.stop();
        this.step = null;
        this.refresh();
      }),
    );
  }

  // ---- what the reader does ----
  choose(example) {
    this.look = example.look;
    this.ticked = example.ticked ? new Set(example.ticked) : null;
    this.isHasty = Boolean(example.isHasty);
    this.rate = example.rate ?? 0.01;
    this.rateSelect.value = String(this.rate);
    this.input.value = example.text;
    this.showOrder();
    this.change(example.text);
  }

  // Another text: the walk and the descent start over.
  change(text) {
    this.stop();
    this.text = text;
    this.step = null;
    this.history = [];
    this.names = null;
    this.refresh();
  }

  // Other numbers for some variables, which the text then shows, too. Throws ExpressionError and
  // changes nothing if the expression has no result there.
  setNumbers(numbers) {
    evaluateExpression(this.text, new Map([...this.values, ...numbers]));
    for (const { name, start } of this.graph.variables) {
      if (start === null && numbers.has(name)) this.values.set(name, numbers.get(name));
    }
    this.text = textWithValues(this.text, this.graph.variables, numbers);
    this.input.value = this.text;
  }

  // A slider or a node was moved.
  setNumber(name, number) {
    try {
      this.setNumbers(new Map([[name, number]]));
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.showProblem(`${name} = ${number}: ${error.message}`);
      return;
    }
    this.history = [];
    this.refresh();
    this.tellResult();
  }

  // A node of the graph can be dragged to the right and to the left.
  addDragging() {
    let drag = null;
    const box = this.graphBox;
    box.addEventListener("pointerdown", (event) => {
      const name = event.target.closest("[data-variable]")?.dataset.variable;
      const variable = name && this.graph.variables.find((v) => v.name === name);
      if (!variable) return;
      drag = { name, from: event.clientX, number: variable.value.data };
      box.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    box.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const number = drag.number + (event.clientX - drag.from) / PIXELS_PER_UNIT;
      this.setNumber(drag.name, Number(number.toFixed(2)));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      box.addEventListener(end, () => (drag = null));
    }
  }

  // ---- the walk ----
  turns() {
    return this.isHasty ? hastyTurns(this.graph.result) : sortedTurns(this.graph.result);
  }

  lastStep() {
    return this.turns().length + 1; // one for the result's own gradient
  }

  stepNow() {
    return Math.min(this.step ?? Infinity, this.lastStep());
  }

  goTo(step) {
    if (this.problem.textContent) return;
    this.step = Math.max(0, Math.min(step, this.lastStep()));
    this.refresh();
    announce([...this.sentences.children].map((line) => line.textContent).join(" "));
  }

  play() {
    if (this.problem.textContent) return;
    this.buttons.play.textContent = "Pause";
    if (this.stepNow() === this.lastStep()) this.goTo(0);
    this.timer = setInterval(() => {
      if (!this.graphBox.isConnected || this.stepNow() >= this.lastStep() - 1) this.stop();
      if (this.graphBox.isConnected) this.goTo(this.stepNow() + 1);
    }, PLAY_WAIT);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.buttons.play.textContent = "Play";
  }

  // ---- gradient descent ----
  isTicked(name) {
    return this.ticked === null || this.ticked.has(name);
  }

  tick(name, isTicked) {
    this.ticked ??= new Set(this.graph.variables.map((variable) => variable.name));
    if (isTicked) this.ticked.add(name);
    else this.ticked.delete(name);
  }

  // One step x -= rate * grad of every ticked variable.
  descend() {
    if (this.problem.textContent) return;
    this.stop();
    this.step = null;
    const { result, variables } = this.graph;
    backwardTo(result, this.turns(), this.lastStep());
    const before = result.data;
    const chosen = variables.filter(({ name }) => this.isTicked(name));
    const numbers = new Map(
      chosen.map(({ name, value }) => [
        name,
        Number((value.data - this.rate * value.grad).toPrecision(8)),
      ]),
    );
    if (!chosen.length || ![...numbers.values()].every(Number.isFinite)) {
      const reason = chosen.length ? "a gradient is not a finite number" : "tick a variable first";
      this.showProblem(`no step: ${reason}`);
      return;
    }
    try {
      this.setNumbers(numbers);
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.showProblem(`no step: ${error.message}; try a lower rate`);
      return;
    }
    this.history = this.history.length ? this.history : [before];
    this.refresh();
    this.history.push(this.graph.result.data);
    this.showDescent();
    announce(this.descentSentence());
  }

  descentSentence() {
    const { name } = this.graph.result;
    const n = this.history.length - 1;
    const steps = n === 1 ? "1 step" : `${n} steps`;
    if (n < 1) return `A step changes each ticked variable by -${this.rate} times its gradient.`;
    const [before, after] = this.history.slice(-2);
    const verb = after < before ? "fell" : after > before ? "rose" : "stayed";
    const way = verb === "stayed" ? "at" : `from ${fixedNumber(before)} to`;
    return `After ${steps}, ${name} ${verb} ${way} ${fixedNumber(after)}.`;
  }

  showDescent() {
    const points = this.history.map((y, step) => [step, y]).filter(([, y]) => Number.isFinite(y));
    const { name } = this.graph.result;
    show(
      this.descent,
      h("p", {}, data(this.descentSentence())),
      points.length > 1
        ? lineChart([{ name, colour: "var(--accent)", points }], {
            width: 420,
            height: 170,
            title: `${name} at each step: ${points.map(([, y]) => fixedNumber(y)).join(", ")}`,
            xLabel: "step",
            yLabel: name,
          })
        : null,
    );
  }

  // ---- what the page shows ----
  resultSentence() {
    const { result, variables } = this.graph;
    const grads = variables.map(({ name, value }) => `gradient of ${name} ${fixedNumber(value.grad)}`);
    return [`${result.name} = ${fixedNumber(result.data)}`, ...grads].join(", ");
  }

  showProblem(text) {
    show(this.problem, text ? data(text) : null);
    this.input.setAttribute("aria-invalid", String(Boolean(text)));
    this.graphBox.classList.toggle("autodiff-stale", Boolean(text));
    if (text) announce(text);
  }

  refresh() {
    try {
      this.graph = evaluateExpression(this.text, this.values);
      this.showProblem("");
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.showProblem(error.message);
      return;
    }
    const { result, nodes } = this.graph;
    const turns = this.turns();
    const step = this.stepNow();
    const passed = backwardTo(result, turns, step);
    const isLast = step === this.lastStep();
    const turn = step > 1 && this.step !== null ? turns[step - 2] : null;
    const done = turns.slice(0, Math.max(0, step - 1));
    const reached = new Set(step > 0 ? [result, ...done.flatMap((v) => v.children)] : []);
    show(this.graphBox, drawGraph(this.graph, { turn, passed, reached }));
    show(this.nodesBox, nodesTable(this.graph));
    this.counter.textContent = `step ${step} of ${this.lastStep()}`;
    const isAll = this.step === null;
    const lines = isAll
      ? [`All ${turns.length} turns are done. First, then Next show them one by one.`]
      : describeStep({ result, step, turns, turn, passed });
    show(this.sentences, lines.map((line) => h("li", {}, data(line))));
    show(this.lookLine, this.look);
    for (const name of ["first", "back"]) this.setDisabled(name, step === 0);
    for (const name of ["next", "last"]) this.setDisabled(name, isLast);
    this.showVariables(isLast, nodes);
    this.showDescent();
  }

  // A button that is disabled would lose the focus, so it only says that it is.
  setDisabled(name, isDisabled) {
    this.buttons[name].setAttribute("aria-disabled", String(isDisabled));
  }

  showVariables(isComplete) {
    const { variables } = this.graph;
    const numbers = new Map(variables.map(({ name, value }) => [name, value.data]));
    const names = [...numbers.keys()];
    if (this.names === null) {
      this.names = names;
      const ticked = new Set(names.filter((name) => this.isTicked(name)));
      this.variables = variablesTable(names, {
        ticked,
        numbers,
        oninput: (name, number) => this.setNumber(name, number),
        ontick: (name, isTicked) => this.tick(name, isTicked),
      });
      show(
        this.variablesBox,
        names.length ? this.variables.table : h("p", {}, "There is no variable: write a name such as x."),
      );
    }
    this.variables.update(
      variables.map(({ name, value }) => ({
        name,
        number: value.data,
        grad: value.grad,
        slope: slopeByNudging(this.text, this.values, name, value.data),
        isComplete,
      })),
    );
  }

  render(panel) {
    this.input.value = this.text;
    this.rateSelect = h(
      "select",
      { onchange: () => ((this.rate = Number(this.rateSelect.value)), this.showDescent()) },
      RATES.map((rate) => h("option", { value: rate }, String(rate))),
    );
    this.rateSelect.value = String(this.rate);
    const { first, back, play, next, last } = this.buttons;
    show(
      panel,
      h(
        "p",
        {},
        "Stage 01: every number remembers what it was computed from. Change a number and see how " +
          "the result and all gradients follow. Then walk back through the graph, step by step.",
      ),
      h(
        "div",
        { class: "autodiff-columns" },
        h(
          "div",
          { class: "autodiff-left" },
          field("Example", this.example),
          field(
            "Expression",
            this.input,
            `+ - * / **, ${FUNCTIONS.join(", ")}. Each line, or part between ; is a step; the last is the result.`,
          ),
          this.problem,
          h("h2", {}, "Variables"),
          this.variablesBox,
          h(
            "p",
            { class: "note" },
            "By nudging: move the variable by 0.000001 to both sides and see how far the result moves.",
          ),
          h("h2", {}, "Gradient descent"),
          h(
            "div",
            { class: "autodiff-row" },
            field("Learning rate", this.rateSelect),
            h("button", { type: "button", onclick: () => this.descend() }, "One step downhill"),
          ),
          this.descent,
        ),
        h(
          "div",
          { class: "autodiff-right" },
          h("h2", {}, "The graph"),
          this.lookLine,
          this.graphBox,
          h("p", { class: "note" }, "Drag a variable's box to the right or left, or use its slider."),
          h("h2", {}, "Backward, step by step"),
          h("div", { class: "autodiff-row" }, first, back, play, next, last, this.counter),
          this.sentences,
          h("p", { class: "label" }, "Order of the turns"),
          this.orderBox,
          h("details", {}, h("summary", {}, "All nodes as a table"), this.nodesBox),
        ),
      ),
    );
    this.showOrder();
    this.refresh();
  }
}

function renderAutodiff(panel, header, text) {
  new AutodiffPlayground(text).render(panel);
}

export const autodiffView = { id: "autodiff", title: "Autodiff", render: renderAutodiff };
