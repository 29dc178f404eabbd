// The backward walk of the autodiff view: its buttons, its order and its sentences.
import { backwardTo, nearestTurns, sortedTurns, straightTurns } from "./autodiff.js";
import { describeStep } from "./autodiff_parts.js";
import { announce, choice, data, h, show } from "./dom.js";

const PLAY_WAIT = 1500; // milliseconds between two steps
const TURNS = { sorted: sortedTurns, nearest: nearestTurns, straight: straightTurns };
const ORDERS = [
  ["sorted", "sorted, as in engine.py"],
  ["nearest", "nearest first (wrong)"],
  ["straight", "straight down (wrong)"],
];

export class BackwardWalk {
  // onchange is called when the reader goes to another step or chooses another order.
  constructor(onchange) {
    this.onchange = onchange;
    this.graph = null;
    this.step = null; // null: all steps
    this.order = "sorted";
    this.timer = null;
    this.makeElements();
  }

  makeElements() {
    const button = (text, onclick) => h("button", { type: "button", onclick }, text);
    const move = (target) => () => {
      if (!this.graph) return;
      this.stop();
      this.goTo(target());
    };
    this.first = button("First", move(() => 0));
    this.back = button("Back", move(() => this.now() - 1));
    this.playing = button("Play", () => (this.timer ? this.stop() : this.play()));
    this.next = button("Next", move(() => this.now() + 1));
    this.last = button("Last", move(() => this.end()));
    this.counter = h("span", { class: "autodiff-counter" });
    this.sentences = h("ol", { class: "autodiff-sentences" });
    this.orders = h("div", {});
    const { first, back, playing, next, last } = this;
    this.elements = [
      h(
        "div",
        { class: "autodiff-row", role: "group", "aria-label": "steps of the walk" },
        [first, back, playing, next, last],
        this.counter,
      ),
      this.sentences,
      h("p", { class: "label" }, "Order of the turns"),
      this.orders,
    ];
  }

  // A new expression: all steps are done.
  reset(order = this.order) {
    this.choose(order);
    const onchoice = (chosen) => {
      this.choose(chosen);
      this.onchange();
    };
    show(this.orders, choice("order of the turns", ORDERS, order, onchoice));
  }

  choose(order) {
    this.stop();
    this.step = null;
    this.order = order;
  }

  turns() {
    return TURNS[this.order](this.graph.result);
  }

  end() {
    return this.turns().length + 1; // one for the result's own gradient
  }

  now() {
    return Math.min(this.step ?? Infinity, this.end());
  }

  goTo(step) {
    this.step = Math.max(0, Math.min(step, this.end()));
    this.onchange();
    announce([...this.sentences.children].map((line) => line.textContent).join(" "));
  }

  play() {
    if (!this.graph) return;
    this.playing.textContent = "Pause";
    this.timer = setInterval(() => {
      const isShown = this.counter.isConnected; // the reader may have left for another view
      if (!isShown || this.now() >= this.end() - 1) this.stop();
      if (isShown) this.goTo(this.now() + 1);
    }, PLAY_WAIT);
    if (this.now() === this.end()) this.goTo(0);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.playing.textContent = "Play";
  }

  // All gradients of the graph, with the order that is chosen.
  finish() {
    this.stop();
    this.step = null;
    backwardTo(this.graph.result, this.turns(), this.end());
  }

  // Computes the gradients of a graph up to the step that is shown.
  // -> what drawGraph() needs, and whether this was the last step.
  show(graph) {
    this.graph = graph;
    const { result } = graph;
    const [turns, step] = [this.turns(), this.now()];
    const passed = backwardTo(result, turns, step);
    const turn = step > 1 && this.step !== null ? turns[step - 2] : null;
    const done = turns.slice(0, Math.max(0, step - 1));
    const reached = new Set(step > 0 ? [result, ...done.flatMap((v) => v.children)] : []);
    const lines =
      this.step === null
        ? ["All turns are done. Press First, then Next, to see them one by one."]
        : describeStep({ result, step, turns, turn, passed });
    show(this.sentences, lines.map((line) => h("li", {}, data(line))));
    this.counter.textContent = `step ${step} of ${this.end()}`;
    const isComplete = step === this.end();
    // A disabled button would lose the focus, so these only say that they do nothing.
    for (const b of [this.first, this.back]) b.setAttribute("aria-disabled", String(step === 0));
    for (const b of [this.next, this.last]) b.setAttribute("aria-disabled", String(isComplete));
    return { turn, passed, reached, isComplete };
  }
}
