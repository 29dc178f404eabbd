// A word against its own letters in another order, under all models.
import { announce, data, h, show } from "./dom.js";
import { dataTable } from "./tables.js";
import { nats, scrambled, surprises } from "./word_surprise.js";

// -> {button, result, changed(text)}; changed() takes the result away if it is of another word.
// input: where the word is typed.
export function wordScrambler(models, input) {
  const result = h("div", { class: "word-scrambled" });
  let word = null; // what the result is about

  function scramble() {
    word = input.value;
    const other = scrambled(word);
    if (other === null) {
      show(result, h("p", {}, "These letters have no other order."));
      return;
    }
    const mixed = surprises(models, other);
    const rows = surprises(models, word).map((row, r) => [row, mixed[r]]);
    const known = rows.filter(([row]) => row.losses);
    if (!known.length) return show(result);
    const sure = known.filter(([a, b]) => a.sum < b.sum).length;
    const count = `${sure} of ${known.length} models prefer `;
    const sentence = [count, data(word), " to ", data(other), ". These are the sums in nats:"];
    show(result, h("p", {}, sentence), sumsTable(known, word, other));
    announce(`${count}${word} to ${other}.`);
  }

  return {
    button: h("button", { type: "button", onclick: scramble }, "Scramble the letters"),
    result,
    changed: (text) => {
      if (text !== word) show(result);
    },
  };
}

function sumsTable(rows, word, other) {
  const heads = ["model", data(word), data(other), "difference"];
  const lines = rows.map(([real, mixed]) => ({
    head: real.model.label,
    cells: [nats(real.sum), nats(mixed.sum), difference(mixed.sum - real.sum)],
  }));
  return dataTable(heads, lines, { name: "word-sums", caption: "Sums in nats" });
}

function difference(number) {
  if (!Number.isFinite(number)) return "∞";
  return `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
}
