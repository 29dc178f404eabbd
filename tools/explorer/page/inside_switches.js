// Switch off parts of a microGPT: what changes for the next letter, and what it costs.
import { hasBlob, loadJson } from "./data.js";
import { announce, data, h, mark, pause, show, spoken } from "./dom.js";

const MANY_NAMES = 200; // of the val split
const SLICE = 12; // milliseconds of computing before the page may draw and listen

// "positions", "head0.1", "mlp0" in the reader's words.
function partName(part, { n_layer }) {
  if (part === "positions") return "positions";
  const [, kind, layer, head] = /^(head|mlp)(\d+)\.?(\d*)$/.exec(part);
  const where = n_layer > 1 ? ` of layer ${layer}` : "";
  return kind === "mlp" ? `MLP${where}` : `head ${head}${where}`;
}

export function partsOf({ n_layer, n_head }) {
  const parts = ["positions"];
  for (let layer = 0; layer < n_layer; layer++) {
    for (let head = 0; head < n_head; head++) parts.push(`head${layer}.${head}`);
    parts.push(`mlp${layer}`);
  }
  return parts;
}

// -log P of each letter of a name and of its end, with some parts off.
function lossesWithout(model, name, off) {
  const targets = [...model.encode(name), model.BOS];
  return model.rowsWithout(name, off).map((row, i) => -row[targets[i]]);
}

// `count` names spread over a list, as many as there are at most.
export function spreadNames(names, count = MANY_NAMES) {
  const n = Math.min(count, names.length);
  return Array.from({ length: n }, (_, i) => names[Math.floor((i * names.length) / n)]);
}

// Mean nats per character over names, or null if `isOld()` became true on the way.
export async function meanLossWithout(model, names, off, onprogress, isOld) {
  let sum = 0;
  let targets = 0;
  let start = performance.now();
  for (const [i, name] of names.entries()) {
    for (const loss of lossesWithout(model, name, off)) {
      sum += loss;
      targets += 1;
    }
    if (performance.now() - start < SLICE) continue;
    onprogress(i + 1);
    await pause();
    if (isOld()) return null;
    start = performance.now();
  }
  return sum / targets;
}

function bothBars(model, before, after, target) {
  const order = [...before.keys()]
    .sort((a, b) => Math.max(before[b], after[b]) - Math.max(before[a], after[a]))
    .slice(0, 8);
  if (!order.includes(target)) order.push(target);
  const most = Math.max(...before, ...after);
  const bar = (p, kind) =>
    h("span", { class: `bar ${kind}` }, h("span", { style: { width: `${(100 * p) / most}%` } }));
  return h("table", { class: "inside-both" },
    h("caption", { class: "unseen" }, "P of the next letter, before and after"),
    h("thead", {}, h("tr", {},
      ["next", "all parts on", "", "with parts off", ""].map((head, i) =>
        head ? h("th", { scope: "col", colspan: i ? "2" : null }, head) : null))),
    h("tbody", {}, order.map((id) => h("tr", { class: id === target ? "inside-true" : null },
      h("th", { scope: "row" }, h("span", { "aria-label": spoken(model.symbols[id]) }, mark(model.symbols[id]))),
      h("td", { class: "inside-bar" }, bar(before[id], "inside-before")),
      h("td", {}, before[id].toFixed(3)),
      h("td", { class: "inside-bar" }, bar(after[id], "inside-after")),
      h("td", {}, after[id].toFixed(3))))));
}

// With all parts on there is only one number.
function costChange(before, after, parts) {
  return parts.size ? `${before.toFixed(2)} → ${after.toFixed(2)}` : before.toFixed(2);
}

function spokenCost({ model, many }) {
  return `${model.label}: ${many.replace("→", "to")} nats per character`;
}

// The fieldset of switches, bars and costs. all: the models that are compared. -> {box, update}
export function switchesOf(all) {
  const boxes = h("div", { class: "inside-boxes" });
  const bars = h("div", {});
  const costs = h("div", { class: "inside-costs" });
  const off = new Set();
  const intact = new Map(); // model -> its mean loss on the val names with all parts on
  let names = null; // promise of the val names
  let model, name, position;
  let turn = 0;

  function drawBoxes() {
    show(boxes, partsOf(model).map((part) => h("label", {},
      h("input", { type: "checkbox", ...(off.has(part) ? { checked: true } : {}), onchange: (event) => {
        if (event.target.checked) off.add(part);
        else off.delete(part);
        draw();
      } }), ` ${partName(part, model)}`)));
  }

  function draw() {
    const before = model.rowsWithout(name, new Set());
    const after = model.rowsWithout(name, off);
    const target = [...model.encode(name), model.BOS][position];
    show(bars,
      h("h4", {}, "What comes after “", data(name.slice(0, position) || "start"), "”?"),
      bothBars(model, before[position].map(Math.exp), after[position].map(Math.exp), target));
    measure();
  }

  async function measure() {
    const mine = ++turn;
    const isOld = () => mine !== turn;
    const parts = new Set(off);
    const able = all.filter((m) => [...parts].every((part) => partsOf(m).includes(part)));
    const rows = able.map((m) => ({ model: m, ...onThisName(m, parts), many: "…" }));
    const drawTable = (count) => show(costs, costsTable(rows, name, count));
    names ??= hasBlob("names") ? loadJson("names") : Promise.resolve(null);
    const splits = await names;
    if (isOld()) return;
    const some = splits ? spreadNames(splits.val) : [];
    drawTable(some.length);
    if (!some.length) return;
    for (const row of rows) {
      const known = some.filter((n) => [...n].every((ch) => row.model.stoi.has(ch)));
      const run = (parts_) =>
        meanLossWithout(row.model, known, parts_, (done) => {
          row.many = `${done} of ${known.length} …`;
          drawTable(some.length);
        }, isOld);
      if (!intact.has(row.model)) {
        const loss = await run(new Set());
        if (loss === null) return;
        intact.set(row.model, loss);
      }
      const loss = parts.size ? await run(parts) : 0;
      if (loss === null) return;
      row.many = costChange(intact.get(row.model), loss, parts);
      drawTable(some.length);
    }
    if (parts.size) announce(rows.map(spokenCost).join(", "));
  }

  function onThisName(m, parts) {
    try {
      const sum = (o) => lossesWithout(m, name, o).reduce((a, b) => a + b, 0);
      return { one: costChange(sum(new Set()), sum(parts), parts) };
    } catch {
      return { one: "unknown character" };
    }
  }

  return {
    box: h("section", { class: "inside-switches", "aria-label": "Switch parts off" },
      h("h2", {}, "Switch parts off"),
      h("p", {}, "What is each part good for? Guess which one the model can do without, then switch it ",
        "off. The weights stay as they are; nothing is trained again."),
      h("fieldset", {}, h("legend", {}, "Off"), boxes),
      h("div", { class: "inside-results" }, bars, costs)),
    update(newModel, newName, newPosition) {
      const isSame = model === newModel && name === newName && position === newPosition;
      [model, name, position] = [newModel, newName, newPosition];
      if (isSame) return;
      for (const part of off) if (!partsOf(model).includes(part)) off.delete(part);
      drawBoxes();
      draw();
    },
  };
}

function costsTable(rows, name, count) {
  return [
    h("h4", {}, "What does it cost, in nats?"),
    h("table", { class: "inside-cost" },
      h("thead", {}, h("tr", {},
        h("th", { scope: "col" }, "model"),
        h("th", { scope: "col" }, data(name), ", sum"),
        count ? h("th", { scope: "col" }, `${count} val names, per character`) : null)),
      h("tbody", {}, rows.map((row) => h("tr", {},
        h("th", { scope: "row" }, row.model.label),
        h("td", {}, row.one),
        count ? h("td", {}, row.many) : null)))),
    count ? null : h("p", { class: "note" }, "This page does not have the val names. ",
      h("code", {}, "make explore ARGS='--data FILE'"), " adds them."),
  ];
}
