// Stage 02's counts beside the table that stage 03 learned.
import { data, h, mark, show, spoken } from "./dom.js";
import { createHeatmap, likeliestStart } from "./heatmap.js";

function sumOfRow(row) {
  return row.reduce((sum, n) => sum + n, 0);
}

// tables: [{label, model}, ...], the models of stages 02 and 03 with the same symbols.
export function createBigramTables(tables) {
  const { symbols } = tables[0].model;
  const P = tables.map(({ model }) => model.logTable.map((row) => row.map(Math.exp)));
  const counts = tables.map(({ model }) => model.counts ?? null);
  const readout = h("p", { class: "losses-readout" });
  const summary = h("summary", {});
  const rowTable = h("div", { class: "scroll" });
  const details = h("details", {}, summary, rowTable);

  const before = (r) => (symbols[r] === null ? "At the beginning" : `After ${spoken(symbols[r])}`);
  function describe(r, c) {
    const parts = tables.map(({ label }, i) => {
      const likely = `P ${P[i][r][c].toFixed(3)}`;
      if (!counts[i]) return `${label}: ${likely}`;
      const [times, all] = [counts[i][r][c], sumOfRow(counts[i][r])];
      const share = `${times.toLocaleString("en")} of ${all.toLocaleString("en")} times`;
      return `${label}: ${share}, ${likely}`;
    });
    return `${before(r)} comes ${spoken(symbols[c])}. ${parts.join("; ")}.`;
  }

  function drawRow(r) {
    show(summary, `The whole row: ${before(r).toLowerCase()}`);
    const ids = [...symbols.keys()].sort((a, b) => P[0][r][b] - P[0][r][a]);
    const titles = tables.flatMap(({ label }, i) =>
      counts[i] ? [`${label}: times`, `${label}: P`] : [`${label}: P`],
    );
    const headers = ["next", ...titles].map((title) => h("th", { scope: "col" }, data(title)));
    const cells = (c) =>
      tables.flatMap((_, i) => {
        const p = h("td", {}, P[i][r][c].toFixed(3));
        return counts[i] ? [h("td", {}, counts[i][r][c].toLocaleString("en")), p] : [p];
      });
    const lines = ids.map((c) =>
      h("tr", {}, h("th", { scope: "row" }, mark(symbols[c])), cells(c)),
    );
    const head = h("thead", {}, h("tr", {}, headers));
    const caption = h("caption", { class: "unseen" }, "What follows, likeliest first");
    show(rowTable, h("table", { class: "losses-table" }, caption, head, h("tbody", {}, lines)));
  }

  let rowShown = null;
  function select(r, c) {
    maps.forEach((map) => map.select(r, c));
    readout.textContent = describe(r, c);
    if (r !== rowShown) drawRow((rowShown = r));
  }
  const maps = tables.map(({ label }) => {
    const title = `${label}: P of the next character`;
    return createHeatmap({ symbols, title, onselect: select, describe });
  });
  maps.forEach((map, i) => map.fill(P[i]));
  select(symbols.length - 1, likeliestStart(P[0]));
  const rest = maps[0].rest;
  return h(
    "div",
    {},
    readout,
    h(
      "div",
      { class: "losses-pair" },
      tables.map(({ label }, i) => h("article", {}, h("h3", {}, data(label)), maps[i].node)),
    ),
    rest ? h("p", { class: "note" }, `The pictures leave out ${rest} characters.`) : null,
    details,
  );
}
