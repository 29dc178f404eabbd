// The expressions that a reader can choose, in the order of lesson 01.

// order: a key of TURNS in autodiff_walk.js. rate: a learning rate that suits the expression.
export const AUTODIFF_EXAMPLES = [
  {
    id: "hand",
    title: "By hand, from the lesson",
    text: "a = 2; b = -3\nc = a * b\nd = c + a\nL = d ** 2",
    look:
      "a is used twice. Which two paths lead from L back to a, and what does each of them bring?",
  },
  {
    id: "square",
    title: "A node used twice: a * a",
    text: "a = 3\na * a",
    look:
      "Both lines come from the same a, so its gradient is the sum of two parts. " +
      "Which number do you expect? The derivative of a² is 2a.",
  },
  {
    id: "shared",
    title: "A sum used twice: d * d",
    text: "a = 2; b = -0.5\nd = a + b\nd * d",
    look:
      "d is drawn once and used twice. It passes its gradient on only when it has both parts. " +
      "What do a and b get?",
  },
  {
    id: "neuron",
    title: "A neuron",
    text: "w1 = 0.5; x1 = 2\nw2 = -1; x2 = 1\nb = 0.25\ntanh(w1*x1 + w2*x2 + b)",
    look: "Drag w1 to 4. The answer hardly moves any more. What has happened to all gradients?",
  },
  {
    id: "loss",
    title: "The squared loss",
    text: "w = 0.5; b = 0\nx = 2; y = 3\nloss = (w*x + b - y) ** 2",
    look:
      "The model's answer w*x + b should be y. Gradient descent changes w and b: does the loss " +
      "reach 0?",
    ticked: ["w", "b"],
    rate: 0.03,
  },
  {
    id: "point",
    title: "The loss of a point, from the lesson",
    text: "score = 2; label = 1\nlog(1 + exp(-label * score))",
    look: "Set the label to -1. The model is sure and wrong: how much does that cost, in nats?",
    ticked: ["score"],
    rate: 1,
  },
  {
    id: "wait",
    title: "Why sort? A walk that does not wait",
    text: "x = 3\nb = x + 1\nL = b + b * 5",
    order: "nearest",
    look:
      "Here each node passes on what it has at once. Step through it: when does b have its turn, " +
      "and what comes too late? Then choose the sorted order.",
  },
  {
    id: "museum",
    title: "Why sort? The exhibit of the museum",
    text: "a = 2; b = 3\nc = a + b\nd = a * b\n(c + d) + c * d",
    order: "straight",
    look:
      "Here the walk goes from each node straight down to the leaves. Compare the gradients of a " +
      "and b with the nudges. Which parts were lost on the way?",
  },
  {
    id: "flat",
    title: "A flat tanh",
    text: "x = 4\ntanh(x)",
    look: "Far from 0, tanh is flat: its slope 1 - tanh² is nearly 0. Where is it steepest?",
  },
  {
    id: "overflow",
    title: "Too large for a float",
    text: "x = 800\nlog(exp(x))",
    look:
      "log undoes exp, so the gradient should be 1. But exp(800) overflows to infinity, and " +
      "infinity times 0 is NaN, not a number. Up to which x does it work?",
  },
];
