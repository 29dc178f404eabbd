// Gradient descent on the expression of the autodiff view.
import { fixedNumber } from "./autodiff_graph.js";
import { lineChart } from "./charts.js";
import { data, field, h, show } from "./dom.js";

const RATES = [0.001, 0.01, 0.03, 0.1, 0.3, 1];

export class Descent {
  // onstep is called when the reader asks for a step.
  constructor(onstep) {
    this.history = []; // the result before the first step and after each one
    this.rates = h(
      "select",
      {
        onchange: () => {
          this.rate = Number(this.rates.value);
          this.show();
        },
      },
      RATES.map((rate) => h("option", { value: rate }, String(rate))),
    );
    this.button = h("button", { type: "button", onclick: onstep }, "One step downhill");
    this.choose({});
    this.ticks = h("fieldset", { class: "autodiff-ticks" });
    this.outcome = h("div", { class: "autodiff-outcome" });
    this.elements = [
      this.ticks,
      h("div", { class: "autodiff-row" }, field("Learning rate", this.rates), this.button),
      this.outcome,
    ];
  }

  // What suits another example. ticked: names of the variables to change; null: all.
  choose({ rate = 0.01, ticked = null }) {
    this.rate = rate;
    this.ticked = ticked && new Set(ticked);
    this.rates.value = String(rate);
  }

  isTicked(name) {
    return this.ticked === null || this.ticked.has(name);
  }

  tick(name, isTicked, names) {
    this.ticked ??= new Set(names);
    if (isTicked) this.ticked.add(name);
    else this.ticked.delete(name);
  }

  showTicks(names) {
    const box = (name) => {
      const input = h("input", {
        type: "checkbox",
        onchange: () => this.tick(name, input.checked, names),
      });
      input.checked = this.isTicked(name);
      return h("label", {}, input, data(name));
    };
    show(this.ticks, h("legend", { class: "label" }, "Variables to change"), names.map(box));
  }

  // The numbers after one step x -= rate * grad of each ticked variable.
  next(variables) {
    const chosen = variables.filter(({ name }) => this.isTicked(name));
    const step = ({ data: number, grad }) => Number((number - this.rate * grad).toPrecision(8));
    return new Map(chosen.map(({ name, value }) => [name, step(value)]));
  }

  // The result went from one number to another in a step.
  add(before, after) {
    if (!this.history.length) this.history.push(before);
    this.history.push(after);
  }

  sentence() {
    const n = this.history.length - 1;
    if (n < 1) return `Each step moves a variable by -${this.rate} times its gradient.`;
    const [before, after] = this.history.slice(-2);
    const verb = after < before ? "fell" : after > before ? "rose" : "went";
    return `Step ${n}: the result ${verb} from ${fixedNumber(before)} to ${fixedNumber(after)}.`;
  }

  show() {
    const points = this.history.map((y, step) => [step, y]).filter(([, y]) => Number.isFinite(y));
    const results = points.map(([, y]) => y);
    const options = {
      width: 420,
      height: 170,
      title: `The result at each step: ${results.map(fixedNumber).join(", ")}`,
      yRange: [Math.min(0, ...results), Math.max(0, ...results)],
      xLabel: "step",
      yLabel: "result",
    };
    const line = { name: "result", colour: "var(--accent)", points };
    show(
      this.outcome,
      h("p", {}, this.sentence()),
      points.length > 1 ? lineChart([line], options) : null,
    );
  }
}
