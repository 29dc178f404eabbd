// Type a beginning: what every names model expects next, side by side.
import { data, debounce, field, h, mark, show, spoken } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { models } from "./state.js";

function nextBars(model, text) {
  let row;
  try {
    row = model.next(text);
  } catch (error) {
    if (!(error instanceof UnknownCharacter)) throw error;
    return h("p", { class: "problem" }, error.message);
  }
  const order = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 12);
  return h(
    "ol",
    { class: "bars" },
    order.map((id) => {
      const p = Math.exp(row[id]);
      return h(
        "li",
        { "aria-label": `${spoken(model.symbols[id])}: ${(100 * p).toFixed(1)} percent` },
        h("span", { class: "char" }, mark(model.symbols[id])),
        h("span", { class: "bar" }, h("span", { style: { width: `${100 * p}%` } })),
        h("span", { class: "p" }, p.toFixed(3)),
      );
    }),
  );
}

async function renderNext(panel, header, text) {
  const all = await models();
  const grid = h("div", { class: "models" });
  const input = h("input", { type: "text", value: text || "em", autocomplete: "off", spellcheck: "false" });
  const update = () =>
    show(
      grid,
      all.map((model) =>
        h(
          "article",
          { style: { "--colour": model.colour } },
          h("h3", {}, model.label, h("span", { class: "note" }, ` ${data(model.folder).textContent}`)),
          nextBars(model, input.value),
        ),
      ),
    );
  input.addEventListener("input", debounce(update));
  show(panel, field("The beginning of a name", input), grid);
  update();
}

export const nextView = { id: "next", title: "Next letter", render: renderNext };
