// From the statements of expression.js to a graph of Values.
import { DomainError, Value, asValue, nodesOf } from "./autodiff.js";
import { ExpressionError, parseExpression } from "./expression.js";

const STARTS = [2, 3, 0.5, 1.5, 1]; // for variables without a number in the text

// What Python computes with engine.py: numbers stay plain until they meet a Value.
function combine(op, a, b) {
  const [left, right] = [a instanceof Value, b instanceof Value];
  if (!left && !right) return combineNumbers(op, a, b);
  if (op === "+") return left ? a.plus(b) : b.plus(a);
  if (op === "-") return left ? a.minus(b) : b.negative().plus(a);
  if (op === "*") return left ? a.times(b) : b.times(a);
  if (op === "/") return left ? a.over(b) : b.power(-1).times(a);
  return asValue(a).power(b);
}

function combineNumbers(op, a, b) {
  if (op === "/" && b === 0) throw new DomainError(`${a} / 0: nothing can be divided by 0`);
  const result = { "+": a + b, "-": a - b, "*": a * b, "/": a / b, "**": a ** b }[op];
  if (op === "**" && !Number.isFinite(result)) {
    throw new DomainError(`${a} ** ${b} is not a finite real number`);
  }
  return result;
}

class Evaluation {
  constructor(text, values) {
    this.text = text;
    this.values = values; // name -> number, instead of the one in the text
    this.names = new Map(); // name -> Value
    this.variables = []; // {name, value: Value, start, end}; start: null if it is not in the text
    this.first = new Map(); // name -> where it was first used
  }

  // The Value or the number of a tree. An error of an operation gets the operation's place.
  of(tree) {
    if (tree.kind === "number") return tree.value;
    if (tree.kind === "name") return this.named(tree);
    const of = tree.of && this.of(tree.of);
    const [left, right] = tree.left ? [this.of(tree.left), this.of(tree.right)] : [];
    try {
      if (tree.kind === "negative") return of instanceof Value ? of.negative() : -of;
      if (tree.kind === "binary") return combine(tree.op, left, right);
      return of instanceof Value ? of[tree.name]() : new Value(of)[tree.name]().data;
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      throw new ExpressionError(error.message, this.text, tree.at);
    }
  }

  named({ name, at }) {
    if (!this.first.has(name)) this.first.set(name, at);
    if (!this.names.has(name)) {
      const free = this.variables.filter((variable) => variable.start === null).length;
      this.variable(name, this.values.get(name) ?? STARTS[free % STARTS.length]);
    }
    return this.names.get(name);
  }

  variable(name, number, start = null, end = null) {
    const value = new Value(number);
    value.name = name;
    this.names.set(name, value);
    this.variables.push({ name, value, start, end });
  }

  statement({ name, tree, at, start, end }) {
    const result = this.of(tree);
    if (name === null) return asValue(result);
    if (this.first.has(name)) {
      const problem = `${name} is set here, but it was used before: rename it`;
      throw new ExpressionError(problem, this.text, at);
    }
    if (this.names.has(name)) {
      throw new ExpressionError(`${name} is set twice: choose another name`, this.text, at);
    }
    if (result instanceof Value) {
      result.name ??= name;
      this.names.set(name, result);
    } else {
      this.variable(name, this.values.get(name) ?? result, start, end);
    }
    return this.names.get(name);
  }
}

// What a text computes: {result, nodes, variables}. The result is that of the last statement, and
// each node comes after its children. values: a Map of names and the numbers to take for them.
// Throws ExpressionError.
export function evaluateExpression(text, values = new Map()) {
  const evaluation = new Evaluation(text, values);
  const results = parseExpression(text).map((statement) => evaluation.statement(statement));
  const result = results.at(-1);
  const nodes = nodesOf(result);
  nameNodes(nodes, evaluation.names);
  return { result, nodes, variables: evaluation.variables };
}

// Nodes that the reader gave no name are called v1, v2 and so on; a constant is its number.
function nameNodes(nodes, taken) {
  let count = 0;
  for (const node of nodes) {
    node.isConstant = node.name === null && !node.children.length;
    if (node.isConstant) node.name = String(node.data);
    while (node.name === null) {
      const name = `v${++count}`;
      if (!taken.has(name)) node.name = name;
    }
    node.formula = formulaOf(node);
  }
}

// How a node was computed from its children: "a * b"; empty for a leaf.
function formulaOf({ op, children: [a, b] }) {
  if (!a) return "";
  if (b) return `${a.name} ${op} ${b.name}`;
  return op.startsWith("**") ? `${a.name} ** ${op.slice(2)}` : `${op}(${a.name})`;
}

// d result / d variable by a nudge to both sides, as slope() in lesson 01. The nudge is a millionth,
// or a millionth of a number above 1. -> {slope, error}, where error is what rounding may do to it,
// or null if one of the two results does not exist.
export function slopeByNudging(text, values, name, number) {
  const resultAt = (x) => evaluateExpression(text, new Map(values).set(name, x)).result.data;
  const nudge = 1e-6 * Math.max(1, Math.abs(number));
  try {
    const [above, below] = [resultAt(number + nudge), resultAt(number - nudge)];
    const error = (4 * Number.EPSILON * Math.max(Math.abs(above), Math.abs(below))) / nudge;
    return { slope: (above - below) / (2 * nudge), error };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return null;
  }
}

// The text with other numbers for its variables. Variables that the text does not set stay out.
export function textWithValues(text, variables, values) {
  const inText = variables.filter(({ name, start }) => start !== null && values.has(name));
  return inText
    .sort((a, b) => b.start - a.start)
    .reduce(
      (changed, { name, start, end }) =>
        `${changed.slice(0, start)}${values.get(name)}${changed.slice(end)}`,
      text,
    );
}
