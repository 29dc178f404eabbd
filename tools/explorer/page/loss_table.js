// The loss table of a group of runs that may be compared, sortable by each column.
import { data, h, show } from "./dom.js";
import { groupTitle } from "./runs.js";

const decimal = (value) => value.toFixed(3);
const whole = (value) => value.toLocaleString("en");

// key: of a row. text(value): what the cell shows; words: a column of words.
const LOSS_COLUMNS = [
  { key: "label", title: "model", words: true },
  { key: "run", title: "run", words: true },
  { key: "params", title: "params", text: whole },
  { key: "train", title: "train", text: decimal },
  { key: "val", title: "val", text: decimal },
  { key: "best_val", title: "best val", text: decimal },
  { key: "test", title: "test", text: decimal },
  { key: "accuracy", title: "accuracy (val)", text: (share) => `${(100 * share).toFixed(1)}%` },
  { key: "bits_per_char", title: "bits/char (val)", text: decimal },
  { key: "perplexity", title: "perplexity (val)", text: decimal },
  { key: "chars_seen", title: "characters seen", text: whole },
  { key: "seconds", title: "seconds", text: (s) => (s < 10 ? s.toFixed(1) : whole(Math.round(s))) },
];

function isTry(row) {
  return row.folder.includes("/tries/");
}

// Rows in the order of a column. Those without a value stay at the end.
function sortRows(rows, key, descending) {
  const known = rows.filter((row) => row[key] !== null && row[key] !== undefined);
  const unknown = rows.filter((row) => !known.includes(row));
  const compare = (a, b) =>
    typeof a[key] === "string" ? a[key].localeCompare(b[key], "en") : a[key] - b[key];
  known.sort((a, b) => (descending ? compare(b, a) : compare(a, b)));
  return [...known, ...unknown];
}

function rowsOf(group) {
  const baselines = group.baselines.map((row) => ({ ...row, isBaseline: true }));
  const rows = group.rows.map((row) => ({ ...row, accuracy: row.result.accuracy?.val ?? null }));
  return [...baselines, ...rows];
}

function nameCell(row) {
  const notes = [
    row.isBaseline ? "to beat" : null,
    row.interrupted ? "stopped early" : null,
    !row.isBaseline && isTry(row) ? "other settings" : null,
  ].filter(Boolean);
  return h(
    "th",
    { scope: "row" },
    data(row.label),
    notes.map((note) => [" ", h("span", { class: "losses-tag" }, note)]),
  );
}

function valueCell(row, column, lowest) {
  const value = row[column.key];
  if (value === null || value === undefined) return h("td", {});
  const text = column.words ? data(value) : column.text(value);
  const spread = row[`${column.key}_sd`];
  const isLowest = column.key === "val" && !row.isBaseline && value === lowest;
  return h(
    "td",
    { class: column.words ? "losses-words" : null },
    isLowest ? h("strong", {}, text, h("span", { class: "unseen" }, " (lowest)")) : text,
    typeof spread === "number"
      ? h("span", { class: "losses-spread" }, ` ± ${decimal(spread)} (${row.seeds})`)
      : null,
  );
}

// A section with the table. isTwo: there are two runs, so the run's name is a column.
export function createLossTable(group, isTwo) {
  const all = rowsOf(group);
  const has = (key) => all.some((row) => row[key] !== null && row[key] !== undefined);
  const columns = LOSS_COLUMNS.filter(({ key }) => (key === "run" ? isTwo : has(key)));
  const losses = group.rows.map((row) => row.val).filter((val) => val !== null);
  const lowest = losses.length > 1 ? Math.min(...losses) : null;
  const body = h("tbody", {});
  let sorted = { key: null, descending: false };

  const drawRows = () => {
    const rows = sorted.key ? sortRows(all, sorted.key, sorted.descending) : all;
    show(
      body,
      rows.map((row) =>
        h(
          "tr",
          { class: row.isBaseline ? "losses-baseline" : null },
          columns.map((column) =>
            column.key === "label" ? nameCell(row) : valueCell(row, column, lowest),
          ),
        ),
      ),
    );
  };
  const headers = columns.map((column) => {
    const arrow = h("span", { class: "losses-arrow", "aria-hidden": "true" });
    const sort = () => {
      sorted = { key: column.key, descending: sorted.key === column.key && !sorted.descending };
      headers.forEach((header) => header.set(sorted));
      drawRows();
    };
    const isPoints = group.unit === "nats/point" && column.key === "chars_seen";
    const title = isPoints ? "points seen" : column.title;
    const button = h("button", { type: "button", onclick: sort }, title, arrow);
    const cell = h("th", { scope: "col" }, button);
    const set = ({ key, descending }) => {
      const here = key === column.key;
      arrow.textContent = here ? (descending ? " ▼" : " ▲") : "";
      if (here) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    };
    return { cell, set };
  });
  drawRows();
  const head = h("thead", {}, h("tr", {}, headers.map((header) => header.cell)));
  const label = `Losses: ${groupTitle(group)}`;
  const table = h("table", { class: "losses-table", "aria-label": label }, head, body);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table);
}
