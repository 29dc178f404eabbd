// A playground for stage 01: an expression, its graph, and the walk back through it.
import { Descent } from "./autodiff_descent.js";
import { AUTODIFF_EXAMPLES } from "./autodiff_examples.js";
import { addDragging, drawGraph, fixedNumber } from "./autodiff_graph.js";
import { nodesTable, variablesTable } from "./autodiff_parts.js";
import { BackwardWalk } from "./autodiff_walk.js";
import { announce, data, debounce, field, h, show } from "./dom.js";
import { evaluateExpression, slopeByNudging, textWithValues } from "./evaluate.js";
import { ExpressionError, FUNCTIONS } from "./expression.js";

const LOOK = "Which variable has the largest gradient? A small change of it moves the result most.";

class AutodiffPlayground {
  constructor(text) {
    const [example] = AUTODIFF_EXAMPLES;
    this.text = text || example.text;
    this.look = text ? LOOK : example.look; // the sentence that says what to look for
    this.values = new Map(); // of variables that the text does not set
    this.graph = null; // as evaluateExpression() returns it
    this.variables = null; // the table of variables; null: it has to be made
    this.walk = new BackwardWalk(() => {
      this.refresh();
      this.scrollToTurn();
    });
    this.descent = new Descent(() => this.descend());
    this.tellResult = debounce(() => announce(this.resultSentence()), 600);
    this.makeElements();
    this.example.selectedIndex = text ? 0 : 1;
  }

  makeElements() {
    this.example = h(
      "select",
      { onchange: () => this.choose(AUTODIFF_EXAMPLES[this.example.selectedIndex - 1]) },
      h("option", { disabled: true }, "your own"),
      AUTODIFF_EXAMPLES.map(({ title }) => h("option", {}, title)),
    );
    this.input = h("textarea", {
      rows: 5,
      cols: 30,
      class: "autodiff-text",
      autocapitalize: "off",
      autocomplete: "off",
      spellcheck: "false",
      "aria-describedby": "autodiff-problem",
      oninput: () => this.type(),
    });
    this.input.value = this.text;
    this.problem = h("p", { class: "problem autodiff-problem", id: "autodiff-problem" });
    this.lookLine = h("p", { class: "autodiff-look" });
    this.graphBox = h("div", {
      class: "scroll autodiff-scroll",
      tabindex: 0, // so that the arrow keys can scroll it
      role: "region",
      "aria-label": "the graph",
    });
    this.nodesBox = h("div", { class: "scroll" });
    this.variablesBox = h("div", { class: "scroll" });
    addDragging(this.graphBox, {
      numberOf: (name) => this.graph.variables.find((v) => v.name === name).value.data,
      onmove: (name, number) => this.setNumber(name, number),
    });
  }

  // ---- what the reader does ----
  // Another text from the page's address.
  write(text) {
    this.input.value = text;
    this.type();
  }

  type() {
    this.example.selectedIndex = 0;
    this.look = LOOK;
    this.start(this.input.value);
  }

  choose(example) {
    this.look = example.look;
    this.descent.choose(example);
    this.input.value = example.text;
    this.start(example.text, example.order ?? "sorted");
  }

  // Another text: walk and descent start over.
  start(text, order) {
    this.text = text;
    this.walk.reset(order);
    this.descent.history = [];
    this.variables = null;
    this.refresh();
  }

  // Other numbers for some variables, which the text then shows, too. Throws ExpressionError, and
  // changes nothing, if the expression has no result there.
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
    if (!this.attempt(() => this.setNumbers(new Map([[name, number]])), `${name} = ${number}: `)) {
      return;
    }
    this.descent.history = [];
    this.refresh();
    this.tellResult();
  }

  // Does something that may fail. -> whether it worked; if not, the problem is shown.
  attempt(action, before = "") {
    try {
      action();
      this.showProblem("");
      return true;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      this.showProblem(before + error.message);
      return false;
    }
  }

  descend() {
    if (!this.graph) return;
    this.walk.finish();
    const before = this.graph.result.data;
    const numbers = this.descent.next(this.graph.variables);
    if (!numbers.size) return this.showProblem("no step: tick a variable first");
    if (![...numbers.values()].every(Number.isFinite)) {
      return this.showProblem("no step: a gradient is not a finite number");
    }
    const way = "no step, try a lower learning rate: ";
    if (!this.attempt(() => this.setNumbers(numbers), way)) return;
    this.refresh();
    this.descent.add(before, this.graph.result.data);
    this.descent.show();
    announce(this.descent.sentence());
  }

  // ---- what the page shows ----
  resultSentence() {
    const { result, variables } = this.graph;
    const grads = variables.map(
      ({ name, value }) => `gradient of ${name} ${fixedNumber(value.grad)}`,
    );
    return [`${result.name} = ${fixedNumber(result.data)}`, ...grads].join(", ");
  }

  showProblem(text) {
    show(this.problem, text ? data(text) : null);
    this.input.setAttribute("aria-invalid", String(Boolean(text)));
    this.graphBox.classList.toggle("autodiff-stale", Boolean(text));
    if (text) announce(text);
  }

  refresh() {
    show(this.lookLine, this.look);
    const evaluate = () => (this.graph = evaluateExpression(this.text, this.values));
    if (!this.attempt(evaluate)) return;
    const state = this.walk.show(this.graph);
    show(this.graphBox, drawGraph(this.graph, state));
    show(this.nodesBox, nodesTable(this.graph));
    this.showVariables(state.isComplete);
    this.descent.show();
  }

  // On a narrow screen, a part of the graph is out of sight.
  scrollToTurn() {
    const turn = this.graphBox.querySelector(".autodiff-turn");
    if (!turn) return;
    const [box, node] = [this.graphBox, turn].map((element) => element.getBoundingClientRect());
    this.graphBox.scrollLeft += (node.left + node.right - box.left - box.right) / 2;
  }

  showVariables(isComplete) {
    const { variables } = this.graph;
    if (this.variables === null) {
      this.variables = variablesTable(variables, (name, number) => this.setNumber(name, number));
      show(this.variablesBox, this.variables.table);
      this.descent.showTicks(variables.map(({ name }) => name));
    }
    this.variables.update(
      variables.map(({ name, value }) => ({
        name,
        number: value.data,
        grad: value.grad,
        nudged: slopeByNudging(this.text, this.values, name, value.data),
        isComplete,
      })),
    );
  }

  render(panel) {
    const hint = `+ - * / **, ${FUNCTIONS.join(", ")}. The last line is the result.`;
    const part = (kind, title, ...children) =>
      h("section", { class: `autodiff-${kind}` }, title ? h("h2", {}, title) : null, ...children);
    show(
      panel,
      h(
        "p",
        { class: "autodiff-look" },
        "Stage 01: every number remembers what it was computed from. Change a number, and see " +
          "how the result and all gradients follow. Then walk back through the graph step by step.",
      ),
      h(
        "div",
        { class: "autodiff-columns" },
        part(
          "input",
          "The expression",
          field("Example", this.example),
          field("Expression", this.input, hint),
          this.problem,
        ),
        h(
          "div",
          { class: "autodiff-right" },
          part(
            "graph-part",
            "The graph",
            this.lookLine,
            this.graphBox,
            h("p", { class: "note" }, "Drag a variable's box right or left, or use its slider."),
          ),
          part(
            "walk",
            "Backward, step by step",
            this.walk.elements,
            h("details", {}, h("summary", {}, "All nodes as a table"), this.nodesBox),
          ),
        ),
        part(
          "variables-part",
          "Variables",
          this.variablesBox,
          h(
            "p",
            { class: "note" },
            "By nudging: move the variable by a millionth to both sides, and see how far the result " +
              "moves. This knows nothing of the chain rule, and should give the same number.",
          ),
        ),
        part("descent", "Gradient descent", this.descent.elements),
      ),
    );
    this.walk.reset();
    this.refresh();
  }
}

function renderAutodiff(panel, header, text) {
  const playground = new AutodiffPlayground(text);
  playground.render(panel);
  panel.addEventListener("text", (event) => playground.write(event.detail));
}

export const autodiffView = { id: "autodiff", title: "Gradients", render: renderAutodiff };
