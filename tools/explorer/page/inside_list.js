// The list of steps, and the line of main.py that does a step.
import { strip } from "./charts.js";
import { h } from "./dom.js";
import { findLine } from "./inside_steps.js";
import { largestOf } from "./vectors.js";

// The shape of what a step gives, as main.py's comments write it.
export function shapeOf(step) {
  if (step.heads) return `${step.heads.length} × list[${step.heads[0].length}]`;
  return `list[${step.vector.length}]`;
}

// The quoted line, with the piece that the step is about marked, and the function that it is in.
// details: {isOpen}, whether the reader has opened the function; kept from step to step.
export function sourceOf(step, source, details) {
  const found = findLine(source, step.line, step.nth);
  if (!found) return h("p", { class: "note" }, "main.py no longer has the line of this step.");
  return [
    h(
      "div",
      { class: "inside-line" },
      h("span", { class: "note" }, `main.py, line ${found.number} `),
      h("code", {}, markPart(found.lines[found.at].trim(), step.part)),
    ),
    h(
      "details",
      {
        class: "inside-source",
        open: details.isOpen,
        ontoggle: (event) => (details.isOpen = event.target.open),
      },
      h("summary", {}, h("code", {}, `${found.name}()`), " in your main.py"),
      h(
        "pre",
        { class: "scroll" },
        found.lines.map((line, i) => [i === found.at ? h("mark", {}, line) : line, "\n"]),
      ),
    ),
  ];
}

function markPart(text, part) {
  const at = part ? text.indexOf(part) : -1;
  if (at < 0) return text;
  return [text.slice(0, at), h("mark", {}, part), text.slice(at + part.length)];
}

// Only the chosen step is a stop of the Tab key; the arrow keys move to the others. options: head,
// whose numbers are shown where each head has its own; isDeep, whether to name the layer.
export function stepList(steps, chosen, { head, isDeep, onchoose }) {
  return h(
    "ol",
    { class: "inside-steps", "aria-label": "Steps; the arrow keys move" },
    steps.map((step, i) => {
      const isFirst = step.group !== steps[i - 1]?.group;
      const where = step.layer !== undefined && isDeep ? `, layer ${step.layer}` : "";
      return h(
        "li",
        {},
        isFirst ? h("span", { class: "inside-group" }, step.group, where) : null,
        h(
          "button",
          {
            type: "button",
            "aria-current": step === chosen ? "step" : null,
            tabindex: step === chosen ? "0" : "-1",
            onclick: () => onchoose(step),
          },
          h("span", { class: "inside-number" }, String(i + 1)),
          h("span", {}, step.title),
          h("code", { class: "note" }, shapeOf(step)),
          smallStrip(step.heads ? step.heads[head] : step.vector),
        ),
      );
    }),
  );
}

function smallStrip(numbers) {
  const picture = strip(numbers, largestOf(numbers), "");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("preserveAspectRatio", "none"); // as wide as the list
  return picture;
}
