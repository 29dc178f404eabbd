// A table with a heading for each column and each row, and headings for tokens.
import { h, mark, spoken } from "./dom.js";

// heads: of the columns. rows: [{head, cells, name}], name: a class. What is no cell of a table
// becomes the content of one. options: name, a class; caption, for screen readers.
export function dataTable(heads, rows, { name, caption }) {
  const cell = (tag, scope, content) =>
    content instanceof HTMLTableCellElement ? content : h(tag, { scope }, content);
  const headings = heads.map((head) => cell("th", "col", head));
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      { class: name },
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, headings)),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { class: row.name },
            cell("th", "row", row.head),
            row.cells.map((content) => cell("td", null, content)),
          ),
        ),
      ),
    ),
  );
}

// What a model has read: BOS is the start of a name.
export function tokenName(model, token) {
  return token === model.BOS ? "start" : mark(model.symbols[token]);
}

export function tokenSpoken(model, token) {
  return token === model.BOS ? "the start" : spoken(model.symbols[token]);
}

// A column's heading for a token.
export function tokenHead(model, token) {
  const label = tokenSpoken(model, token);
  return h("th", { scope: "col", "aria-label": label }, tokenName(model, token));
}
