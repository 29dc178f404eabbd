// Elements without innerHTML: text from data and runs can only become text.

// h("p", {class: "note", onclick: f}, "text", element, [more]) makes an element.
// Attributes: on... is a listener, style an object of properties, dataset an object; true sets an
// empty attribute, and null, undefined or false none.
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") setStyle(node, value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "value" && "value" in node) node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// The page's policy forbids style attributes, but not the properties themselves.
export function setStyle(node, properties) {
  for (const [name, value] of Object.entries(properties)) node.style.setProperty(name, value);
}

// Text from data or a learner: kept apart from the direction of the text around it.
export function data(text) {
  return h("bdi", {}, visible(text));
}

// A visible mark for a character; null is the end of a name.
export function mark(ch) {
  if (ch === null) return "end";
  return { " ": "␣", "\n": "↵", "\t": "⇥" }[ch] ?? visibleCharacter(ch);
}

// A screen reader's name for a character.
export function spoken(ch) {
  if (ch === null) return "end of the name";
  return { " ": "space", "\n": "line end", "\t": "tab" }[ch] ?? visibleCharacter(ch);
}

// A character on its own: an accent sits on a circle, and what has no width is shown as its code.
function visibleCharacter(ch) {
  if (/^\p{M}$/u.test(ch)) return `◌${ch}`;
  return /^[\p{Cf}\p{Z}]$/u.test(ch) ? codeOf(ch) : visible(ch);
}

function codeOf(ch) {
  return `\\u${ch.codePointAt(0).toString(16).padStart(4, "0")}`;
}

// Control characters and marks that turn text round are shown as their code.
export function visible(text) {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]/gu,
    codeOf,
  );
}

// Replaces what a node holds.
export function show(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((child) => child != null));
}

// A label above what has a name of its own for a screen reader, such as a choice.
export function named(label, control) {
  return h("div", { class: "field" }, h("span", { class: "label" }, label), control);
}

// A labelled control: the label is above it.
export function field(label, control, hint) {
  return h(
    "label",
    { class: "field" },
    h("span", { class: "label" }, label),
    control,
    hint ? h("span", { class: "hint" }, hint) : null,
  );
}

// A slider with its value beside it. format(value): the text of the value.
export function slider(label, { min, max, step, value, format = String, oninput }) {
  const output = h("output", {}, format(value));
  const input = h("input", {
    type: "range",
    min,
    max,
    step,
    value,
    oninput: () => {
      output.textContent = format(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
      oninput(Number(input.value));
    },
  });
  input.setAttribute("aria-valuetext", format(value));
  const box = field(label, input);
  box.append(output);
  return { box, input, set: (v) => ((input.value = v), input.dispatchEvent(new Event("input"))) };
}

// A group of buttons of which one is pressed. options: [value, text] pairs.
export function choice(label, options, chosen, onchange) {
  const buttons = options.map(([value, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(value === chosen),
        onclick: () => {
          buttons.forEach((b, i) => b.setAttribute("aria-pressed", String(options[i][0] === value)));
          onchange(value);
        },
      },
      text,
    ),
  );
  return h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

// Calls f once, `wait` milliseconds after the last of several calls.
export function debounce(f, wait = 60) {
  let timer;
  return (...words) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...words), wait);
  };
}

// A turn for the browser to draw and to listen, in a long computation.
export function pause() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

// For loops that compute for long: await turn() in each round, and the browser gets a turn every
// 16 milliseconds. It is true after such a pause.
export function takeTurns() {
  const length = 16;
  let due = performance.now() + length;
  return async function turn() {
    if (performance.now() < due) return false;
    await pause();
    due = performance.now() + length;
    return true;
  };
}

// A button that starts work(isStopped), and asks it to stop when it is pressed again.
export function runButton(label, work) {
  let run = null;
  const button = h("button", { type: "button", onclick: toggle }, label);
  async function toggle() {
    if (run) return void (run.stopped = true);
    const mine = (run = { stopped: false });
    button.textContent = "Stop";
    await work(() => mine.stopped);
    button.textContent = label;
    run = null;
  }
  return button;
}

// Tells screen readers what has changed.
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
}

// Rows and columns to move by, for the arrow keys in a table of cells.
export const MOVES = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
};
