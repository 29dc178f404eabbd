// The panels that follow the slider. Each has a node, and update(k) for the k-th kept step.
import { shade } from "./charts.js";
import { data, h, mark, setStyle, show, spoken, svg } from "./dom.js";
import { createMap, isVowel } from "./embedding_map.js";
import { createHeatmap, likeliestStart } from "./heatmap.js";
import { drawNames, isCut } from "./training_states.js";

const MOST_BARS = 12;

export function panelOf(title, ...content) {
  return h("article", {}, h("h3", {}, title), content);
}

// ---- what comes next ------------------------------------------------------------------------
// The bars keep the order of the trained model, so that each stays in its place.
export function createNextPanel(states) {
  const trained = states.at(-1).model;
  const title = h("h3", {});
  const list = h("ol", { class: "bars" });
  const note = h("p", { class: "note" }, "The thin line is where the trained model's bar ends.");
  const node = h("article", {}, title, list, note);
  let bars = [];
  let rows = [];

  function setText(text) {
    rows = states.map(({ model }) => model.next(text).map(Math.exp));
    const last = rows.at(-1);
    const order = [...last.keys()].sort((a, b) => last[b] - last[a]);
    const shown = order.slice(0, MOST_BARS).map((id) => [id]);
    const others = order.slice(MOST_BARS);
    const groups = others.length ? [...shown, others] : shown;
    bars = groups.map((ids) => createBar(trained.symbols, ids, sumOf(last, ids)));
    show(title, "After “", data(text), "”");
    show(list, bars.map((bar) => bar.node));
  }
  return { node, setText, update: (k) => bars.forEach((bar) => bar.set(sumOf(rows[k], bar.ids))) };
}

function sumOf(row, ids) {
  return ids.reduce((sum, id) => sum + row[id], 0);
}

function createBar(symbols, ids, goal) {
  const [ch] = ids.map((id) => symbols[id]);
  const [shown, said] = ids.length > 1 ? ["rest", "all others"] : [mark(ch), spoken(ch)];
  const length = h("span", {});
  const number = h("span", { class: "p" });
  const goalMark = h("span", { class: "training-goal", style: { left: `${100 * goal}%` } });
  const node = h(
    "li",
    {},
    h("span", { class: "char" }, shown),
    h("span", { class: "bar training-bar" }, length, goalMark),
    number,
  );
  const set = (p) => {
    setStyle(length, { width: `${100 * p}%` });
    number.textContent = p.toFixed(3);
    const percent = (share) => `${(100 * share).toFixed(1)} percent`;
    node.setAttribute("aria-label", `${said}: ${percent(p)}; trained: ${percent(goal)}`);
  };
  return { node, ids, set };
}

// ---- what the model has learned about each character ----------------------------------------
export function createPicturePanel(states) {
  return states[0].model.logTable ? createTablePanel(states) : createMapPanel(states);
}

function createMapPanel(states) {
  const models = states.map(({ model }) => model);
  const map = createMap(models, "A map of the tokens' vectors");
  const size = (models[0].tensors.wte ?? models[0].tensors["wte.weight"]).shape[1];
  const share = Math.round(100 * map.share);
  const node = panelOf(
    "A map of the embeddings (wte)",
    map.node,
    h(
      "p",
      { class: "note" },
      `Each token is a vector of ${size} numbers. The map shows the two directions in which they`,
      ` differ most, over all steps: ${share}% of their spread.`,
      models[0].symbols.some(isVowel)
        ? " Vowels have a circle: do they end up near each other?"
        : " Which of them end up near each other?",
    ),
  );
  return { node, update: map.move };
}

// From a table of log-probabilities: stages 02 and 03.
function createTablePanel(states) {
  const { symbols } = states[0].model;
  const tables = states.map(({ model }) => model.logTable.map((row) => row.map(Math.exp)));
  const readout = h("p", { class: "note training-readout" });
  const place = [symbols.length - 1, likeliestStart(tables.at(-1))];
  let k = 0;
  const before = (r) => (symbols[r] === null ? "At the beginning" : `After ${spoken(symbols[r])}`);
  const describe = (r, c) => {
    const counts = states[k].model.counts;
    const counted = counts ? `, counted ${counts[r][c].toLocaleString("en")} times so far` : "";
    return `${before(r)} comes ${spoken(symbols[c])}: P ${tables[k][r][c].toFixed(3)}${counted}.`;
  };
  const select = (r, c) => {
    place.splice(0, 2, r, c);
    heatmap.select(r, c);
    readout.textContent = describe(r, c);
  };
  const title = "P of the next character (columns) after each character (rows)";
  const heatmap = createHeatmap({ symbols, title, onselect: select, describe });
  const node = panelOf("The table: P(next | character)", heatmap.node, readout);
  const update = (now) => {
    k = now;
    heatmap.fill(tables[k]);
    select(...place);
  };
  return { node, update };
}

// ---- attention ------------------------------------------------------------------------------
export function createAttentionPanel(states) {
  const heads = h("div", { class: "training-heads" });
  const node = panelOf(
    "Where each head looks",
    heads,
    h(
      "p",
      { class: "note" },
      "A row is a token; its cells are the attention weights on itself and on the earlier tokens.",
      " They add up to 1; a stronger colour is more. An untrained head looks at all tokens about",
      " equally.",
    ),
  );
  let [text, maps] = ["", []];

  function setText(now) {
    text = now;
    maps = states.map(({ model }) => model.attention(text));
  }
  const update = (k) => {
    const layers = maps[k].map((layer, l) =>
      layer.map((rows, i) => headMap(text, rows, `layer ${l}, head ${i}`)),
    );
    show(heads, layers);
  };
  return { node, setText, update };
}

const HEAD_CELL = { width: 19, height: 19 };

function headMap(text, rows, name) {
  const cell = 20;
  const tokens = ["start", ...[...text].map(mark)].slice(0, rows.length);
  const [left, size] = [46, rows.length * cell];
  const last = rows.at(-1);
  const most = last.indexOf(Math.max(...last));
  const width = left + size;
  const words = `${name}: the last token looks most at ${tokens[most]}, ${last[most].toFixed(2)}`;
  return h(
    "figure",
    {},
    svg(
      "svg",
      {
        viewBox: `0 0 ${width} ${size + 18}`,
        role: "img",
        "aria-label": words,
        style: { "max-width": `${1.2 * width}px` },
      },
      tokens.map((token, t) => {
        const [x, y] = [left + t * cell + 9, t * cell + 15];
        return [
          svg("text", { x: left - 6, y, "text-anchor": "end" }, token),
          t ? svg("text", { x, y: size + 14, "text-anchor": "middle" }, token) : null,
        ];
      }),
      rows.map((row, t) =>
        [...row].map((weight, s) =>
          svg(
            "rect",
            { x: left + s * cell, y: t * cell, ...HEAD_CELL, style: { fill: shade(weight) } },
            svg("title", {}, `${tokens[t]} looks at ${tokens[s]}: ${weight.toFixed(3)}`),
          ),
        ),
      ),
    ),
    h("figcaption", { class: "note" }, name),
  );
}

// ---- samples --------------------------------------------------------------------------------
export function createSamplesPanel(states, names) {
  const known = new Set(names?.train);
  const waiting = Array.from({ length: 5 }, () => h("li", {}, "…"));
  const list = h("ul", { class: "training-names" }, waiting);
  const node = panelOf(
    "Five names",
    list,
    h("p", { class: "note" }, "All steps draw with the same random numbers. “…” marks a name that is cut."),
  );
  const drawn = new Map(); // k -> promise of the names
  let current = 0;

  async function update(k) {
    current = k;
    if (!drawn.has(k)) drawn.set(k, drawNames(states[k].model));
    const samples = await drawn.get(k);
    if (current !== k) return; // the slider has moved on
    show(
      list,
      samples.map((name) =>
        h(
          "li",
          {},
          name ? data(name) : "(empty)",
          isCut(name) ? "…" : null,
          known.has(name) ? h("span", { class: "note" }, " in train") : null,
        ),
      ),
    );
  }
  return { node, update };
}
