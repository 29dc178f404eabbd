// Switch off parts of a microGPT: what changes for the next letter, and what it costs.
import { hasBlob, loadJson } from "./data.js";
import { announce, data, h, mark, show, spoken } from "./dom.js";
import { hasParts, partName, partsOf } from "./inside_parts.js";
import { meanWithout, spreadNames, sumWithout } from "./inside_parts.js";
import { dataTable } from "./tables.js";
import { nats } from "./word_surprise.js";

const SHOWN = 8; // letters

function pairOfBars(before, after, most) {
  const cells = (p, kind) => [
    h(
      "td",
      { class: "inside-bar" },
      h("span", { class: `bar ${kind}` }, h("span", { style: { width: `${(100 * p) / most}%` } })),
    ),
    h("td", {}, p.toFixed(3)),
  ];
  return [cells(before, "inside-before"), cells(after, "inside-after")];
}

// P of the likeliest next letters with all parts on, and with some off. target: what follows.
// isOff: whether any part is off.
function nextTable(model, before, after, target, isOff) {
  const largest = (id) => Math.max(before[id], after[id]);
  const order = [...before.keys()].sort((a, b) => largest(b) - largest(a));
  const ids = order.slice(0, SHOWN);
  if (!ids.includes(target)) ids[SHOWN - 1] = target;
  return h(
    "table",
    { class: "inside-both" },
    h("caption", { class: "unseen" }, "P of the next letter; the one that follows is framed"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "next"),
        h("th", { scope: "col", colspan: "2" }, "all parts on"),
        h("th", { scope: "col", colspan: "2" }, isOff ? "parts off" : "nothing off"),
      ),
    ),
    h(
      "tbody",
      {},
      ids.map((id) =>
        h(
          "tr",
          { class: id === target ? "inside-true" : null },
          h(
            "th",
            { scope: "row", "aria-label": spoken(model.symbols[id]) },
            mark(model.symbols[id]),
          ),
          pairOfBars(before[id], after[id], largest(order[0])),
        ),
      ),
    ),
  );
}

// rows: [{model, one, many}], texts. count: the number of val names, or 0 if there are none.
function costsTable(rows, name, count) {
  const heads = ["model", h("th", { scope: "col" }, data(name), ", sum")];
  if (count) heads.push(`${count} val names, per character`);
  const lines = rows.map(({ model, one, many }) => ({
    head: model.label,
    cells: count ? [one, many] : [one],
  }));
  const missing = h(
    "p",
    { class: "note" },
    "This page does not have the val names. ",
    h("code", {}, "make explore ARGS='--data FILE'"),
    " adds them.",
  );
  const sample = h(
    "p",
    { class: "note" },
    "The loss table uses the whole val split, so its numbers differ a little.",
  );
  return [
    h("h3", {}, "What does it cost, in nats?"),
    dataTable(heads, lines, { name: "inside-cost", caption: "The cost of switching parts off" }),
    count ? sample : missing,
  ];
}

// With all parts on, there is only one number.
function costChange(before, after, off, decimals = 2) {
  return off.size ? `${nats(before, decimals)} → ${nats(after, decimals)}` : nats(before, decimals);
}

function costOfName(model, name, off) {
  if (![...name].every((ch) => model.stoi.has(ch))) return "unknown letter";
  return costChange(sumWithout(model, name, new Set()), sumWithout(model, name, off), off);
}

// The switches, the bars and the costs. all: the models that are compared.
// -> {box, update(model, name, position)}
export function createSwitches(all) {
  const boxes = h("div", { class: "inside-boxes" });
  const bars = h("div", {});
  const costs = h("div", { class: "inside-costs" });
  const off = new Set();
  const means = new Map(); // model -> Map: parts that are off -> mean loss on the val names
  let shown = {}; // {model, name, position}
  let turn = 0;
  const valNames = (hasBlob("names") ? loadJson("names") : Promise.resolve(null)).then((splits) =>
    splits ? spreadNames(splits.val) : [],
  );

  function drawBoxes() {
    const { model } = shown;
    const box = (part) =>
      h("input", {
        type: "checkbox",
        checked: off.has(part),
        onchange: (event) => {
          if (event.target.checked) off.add(part);
          else off.delete(part);
          draw();
        },
      });
    show(
      boxes,
      partsOf(model).map((part) => h("label", {}, box(part), ` ${partName(part, model)}`)),
    );
  }

  function draw() {
    const { model, name, position } = shown;
    const probs = (parts) => model.rowsWithout(name, parts)[position].map(Math.exp);
    const target = [...model.encode(name), model.BOS][position];
    const beginning = [...name].slice(0, position).join("");
    const place = beginning ? ["“", data(beginning), "”"] : "the start";
    show(
      bars,
      h("h3", {}, "What comes after ", place, "?"),
      nextTable(model, probs(new Set()), probs(off), target, off.size > 0),
    );
    measure(name, new Set(off));
  }

  // The mean loss on the val names, from an earlier computation if there was one.
  async function meanOf(model, names, parts, onprogress, isOld) {
    if (!means.has(model)) means.set(model, new Map());
    const known = means.get(model);
    const key = [...parts].sort().join(" ");
    if (!known.has(key)) {
      const loss = await meanWithout(model, names, parts, onprogress, isOld);
      if (loss === null) return null;
      known.set(key, loss);
    }
    return known.get(key);
  }

  async function measure(name, parts) {
    const mine = ++turn;
    const isOld = () => mine !== turn;
    const names = await valNames;
    if (isOld()) return;
    const rows = all.map((model) =>
      hasParts(model, parts)
        ? { model, one: costOfName(model, name, parts), many: "…" }
        : { model, one: "", many: "does not have this part" },
    );
    const drawTable = () => show(costs, costsTable(rows, name, names.length));
    drawTable();
    for (const row of names.length ? rows.filter((r) => r.one) : []) {
      const { model } = row;
      const readable = names.filter((n) => [...n].every((ch) => model.stoi.has(ch)));
      if (!readable.length) {
        row.many = "unknown letters";
        drawTable();
        continue;
      }
      const onprogress = (done) => {
        row.many = `${done} of ${readable.length} …`;
        drawTable();
      };
      const before = await meanOf(model, readable, new Set(), onprogress, isOld);
      const after =
        before === null ? null : await meanOf(model, readable, parts, onprogress, isOld);
      if (after === null || isOld()) return;
      row.many = costChange(before, after, parts, 3);
      if (readable.length < names.length) row.many += ` (${readable.length} of them)`;
      drawTable();
    }
    if (parts.size) announce(rows.map((row) => spokenCost(row, names.length)).join(", "));
  }

  function update(model, name, position) {
    const isSame = shown.model === model && shown.name === name && shown.position === position;
    if (isSame) return;
    shown = { model, name, position };
    for (const part of off) if (!hasParts(model, [part])) off.delete(part);
    drawBoxes();
    draw();
  }

  const box = h(
    "section",
    { class: "inside-switches", "aria-label": "Switch parts off" },
    h("h2", {}, "Switch parts off"),
    h(
      "p",
      {},
      "What is each part good for? Guess which one the model can do without, then switch it off. ",
      "The weights stay as they are; nothing is trained again.",
    ),
    h("fieldset", {}, h("legend", {}, "Off"), boxes),
    h("div", { class: "inside-results" }, bars, costs),
  );
  return { box, update };
}

function spokenCost({ model, one, many }, count) {
  const text = count ? many : one;
  return `${model.label}: ${text.replace("→", "to")}`;
}
