// The Value of 01_micrograd/engine.py in JavaScript: the same operations, the same graph, the same
// gradients. tests/test_explorer_autodiff.py compares the two.

// A number that has no logarithm, for example. The message is that of engine.py.
export class DomainError extends Error {}

// One number (data), and how much the final result changes with it (grad).
export class Value {
  static made = 0;

  constructor(data, children = [], localGrads = [], op = "") {
    this.id = Value.made++; // a node has a higher one than its children
    this.data = data;
    this.grad = 0;
    this.children = children; // the Values it was computed from
    this.localGrads = localGrads; // its derivative with respect to each of them
    this.op = op;
    this.name = null; // as the reader called it
  }

  plus(other) {
    const b = asValue(other);
    return new Value(this.data + b.data, [this, b], [1, 1], "+");
  }

  times(other) {
    const b = asValue(other);
    return new Value(this.data * b.data, [this, b], [b.data, this.data], "*");
  }

  // n is a number or a Value. Throws DomainError.
  power(n) {
    if (n instanceof Value) return n.times(this.log()).exp(); // a ** n = e ** (n * log a)
    const [power, slope] = powerAndSlope(this.data, n);
    return new Value(power, [this], [slope], `**${n}`);
  }

  exp() {
    const e = Math.exp(this.data);
    return new Value(e, [this], [e], "exp");
  }

  // Throws DomainError for 0 and below.
  log() {
    if (this.data <= 0) {
      throw new DomainError(`log of ${this.data}: only numbers above 0 have a logarithm`);
    }
    return new Value(Math.log(this.data), [this], [1 / this.data], "log");
  }

  tanh() {
    const t = Math.tanh(this.data);
    return new Value(t, [this], [1 - t * t], "tanh");
  }

  relu() {
    return new Value(Math.max(this.data, 0), [this], [this.data > 0 ? 1 : 0], "relu");
  }

  negative() {
    return this.times(-1);
  }

  minus(other) {
    return this.plus(other instanceof Value ? other.negative() : -other);
  }

  // Throws DomainError for a divisor of 0.
  over(other) {
    return this.times(other instanceof Value ? other.power(-1) : powerAndSlope(other, -1)[0]);
  }
}

export function asValue(number) {
  return number instanceof Value ? number : new Value(number);
}

// a ** n, and its derivative with respect to a.
function powerAndSlope(a, n) {
  const power = a ** n;
  const belowPower = n === 0 ? 0 : a ** (n - 1);
  const finite = Number.isFinite(power) && Number.isFinite(belowPower);
  if (!finite && Number.isFinite(a)) {
    throw new DomainError(`${a} ** ${n} or its derivative is not a finite real number`);
  }
  return [power, n * belowPower];
}

// All nodes of the graph in the order in which they were computed: each after its children.
export function nodesOf(result) {
  return sortTopologically(result).sort((a, b) => a.id - b.id);
}

// The same nodes, each after its children, in the order of engine.py.
function sortTopologically(result) {
  const order = [];
  const visited = new Set();
  const stack = [[result, false]];
  while (stack.length) {
    const [v, childrenDone] = stack.pop();
    if (childrenDone) {
      order.push(v);
    } else if (!visited.has(v)) {
      visited.add(v);
      stack.push([v, true], ...v.children.map((child) => [child, false]));
    }
  }
  return order;
}

// The nodes that pass on their gradient, in the order of their turns. A leaf has none to pass on.
export function sortedTurns(result) {
  return sortTopologically(result)
    .reverse()
    .filter((v) => v.children.length);
}

// A wrong order: the nodes nearest to the result first, complete or not, as in lesson 01.
export function nearestTurns(result) {
  const queue = new Set([result]);
  for (const v of queue) v.children.forEach((child) => queue.add(child)); // the loop gets to these
  return [...queue].filter((v) => v.children.length);
}

// A wrong order: from each node straight down to its leaves, as in the failure museum.
export function straightTurns(result) {
  const visited = new Set();
  const stack = [result];
  while (stack.length) {
    const v = stack.pop();
    if (visited.has(v)) continue;
    visited.add(v);
    stack.push(...v.children);
  }
  return [...visited].filter((v) => v.children.length);
}

// Sets all gradients to what they are after so many steps. Step 1 gives the result its gradient of
// 1, and each further one is a turn. -> what the last turn passed on: [{child, index, amount,
// local, before, after}], where index counts the children.
export function backwardTo(result, turns, steps) {
  for (const v of nodesOf(result)) v.grad = 0;
  if (steps > 0) result.grad = 1; // d result / d result
  let passed = [];
  for (const v of turns.slice(0, Math.max(0, steps - 1))) {
    const grad = v.grad;
    passed = v.children.map((child, index) => {
      const local = v.localGrads[index];
      const before = child.grad;
      child.grad += local * grad;
      return { child, index, local, amount: local * grad, before, after: child.grad };
    });
  }
  return passed;
}
