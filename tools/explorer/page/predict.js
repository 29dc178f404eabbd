// Predict first: answers stay hidden until the reader has committed, and a score is kept.
import { h, show } from "./dom.js";

const PREDICT_STORE = "explorer-predict";

// on: whether to ask first. scores: {kind: {label: {rounds, sum}}}.
const predictions = { on: false, scores: {} };

function restorePredictions() {
  try {
    const saved = JSON.parse(localStorage.getItem(PREDICT_STORE));
    if (saved?.scores) Object.assign(predictions, { on: saved.on === true, scores: saved.scores });
  } catch {
    // No storage is allowed here, or it holds something else: start without a score.
  }
}

function storePredictions() {
  try {
    localStorage.setItem(PREDICT_STORE, JSON.stringify(predictions));
  } catch {
    // No storage is allowed here; the score lasts as long as the page.
  }
}

restorePredictions();

const switches = new EventTarget(); // tells every view that the switch has moved

// A switch for each view; all of them move together.
export function predictSwitch() {
  const button = h("button", {
    type: "button",
    class: "predict-switch",
    onclick: () => {
      predictions.on = !predictions.on;
      storePredictions();
      switches.dispatchEvent(new Event("change"));
    },
  });
  const label = () => {
    button.setAttribute("aria-pressed", String(predictions.on));
    button.textContent = predictions.on ? "Predict first: on" : "Predict first: off";
  };
  switches.addEventListener("change", label);
  label();
  return button;
}

// Hides answers while the reader predicts, and asks a question in their place.
//
// ask(commit): the question, a node or a promise of one. It calls commit(...nodes) when the reader
// has decided; then the answers show, with these nodes above them.
// -> {box, restart()}: box belongs before the answers; restart() asks again.
export function hideUntil(answers, ask) {
  const box = h("section", { class: "predict-box", "aria-label": "Predict first", tabindex: -1 });
  let round = 0;

  async function restart() {
    const mine = ++round;
    answers.hidden = predictions.on;
    box.hidden = !predictions.on;
    if (!predictions.on) return;
    const commit = (...nodes) => {
      answers.hidden = false;
      show(box, nodes);
      box.focus({ preventScroll: true });
    };
    const question = await ask(commit);
    if (mine === round) show(box, question);
  }

  switches.addEventListener("change", restart);
  restart();
  return { box, restart };
}

// ---- score -----------------------------------------------------------------------------------
// results: {label: number} of one round, such as nats.
export function addScore(kind, results) {
  const scores = (predictions.scores[kind] ??= {});
  for (const [label, number] of Object.entries(results)) {
    const { rounds, sum } = scores[label] ?? { rounds: 0, sum: 0 };
    scores[label] = { rounds: rounds + 1, sum: sum + number };
  }
  storePredictions();
}

// {rounds, sum} of a label so far.
export function scoreOf(kind, label) {
  return predictions.scores[kind]?.[label] ?? { rounds: 0, sum: 0 };
}

export function resetButton(kind, onreset) {
  const reset = () => {
    delete predictions.scores[kind];
    storePredictions();
    onreset();
  };
  return h("button", { type: "button", onclick: reset }, "Forget the score");
}
