// A running text whose characters show how much they surprise the model.
import { shade } from "./charts.js";
import { announce, h, mark, show, spoken } from "./dom.js";

const DARKEST = 6; // nats
const EARLIER = 300; // characters before the window that are shown
const LISTED = 8; // characters in the table

const shownCharacter = (ch) => (ch === " " ? ch : ch === "\n" ? "↵\n" : mark(ch));

// One to four pixels under a character, so that surprise is not told by colour alone.
function underline(loss) {
  return `${Math.min(4, Math.floor(loss))}px`;
}

function characterSpan(ch, loss, i) {
  if (loss === null) return h("span", { dataset: { place: i } }, shownCharacter(ch));
  const style = {
    background: shade((0.7 * loss) / DARKEST),
    "border-bottom-width": underline(loss),
  };
  return h("span", { class: "text-char", dataset: { place: i }, style }, shownCharacter(ch));
}

function describeCharacter(reading, symbols, i) {
  const { chars, rows, losses } = reading;
  if (losses[i] === null) return `${spoken(chars[i])}: nothing comes before it`;
  const row = rows[i - 1];
  const best = row.indexOf(Math.max(...row));
  const p = (logP) => Math.exp(logP).toFixed(3);
  const asExpected = best === symbols.indexOf(chars[i]);
  const expected = asExpected
    ? "; the likeliest one"
    : `; likeliest: ${spoken(symbols[best])}, P ${p(row[best])}`;
  return `${spoken(chars[i])}: P ${p(-losses[i])}, ${losses[i].toFixed(2)} nats${expected}`;
}

function surpriseTable({ chars, losses }) {
  const places = losses.map((loss, i) => i).filter((i) => losses[i] !== null);
  places.sort((a, b) => losses[b] - losses[a]);
  const row = (i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, mark(chars[i])),
      h(
        "td",
        {},
        h(
          "bdi",
          {},
          chars
            .slice(Math.max(0, i - 12), i)
            .map(mark)
            .join(""),
        ),
      ),
      h("td", {}, Math.exp(-losses[i]).toFixed(3)),
      h("td", {}, losses[i].toFixed(2)),
    );
  const head = ["character", "after", "P", "nats"].map((t) => h("th", { scope: "col" }, t));
  return h(
    "details",
    {},
    h("summary", {}, "The most surprising characters"),
    h(
      "table",
      { class: "text-table" },
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, places.slice(0, LISTED).map(row)),
    ),
  );
}

// -> {box, update(reading, before)}. reading: as TextReader.read() gives it. before: the characters
// in front of the window, which the model does not see.
export function createSurprise(symbols) {
  const says = h("p", { class: "note text-says" });
  const text = h("div", {
    class: "text-surprise",
    tabindex: 0,
    role: "group",
    "aria-label": "The surprise of each character; the left and right arrow keys go through them",
    onpointerover: (event) => point(event.target.dataset.place),
    onkeydown: moveAlong,
  });
  const summary = h("p", {});
  const table = h("div", {});
  let reading = null;
  let at = 0;

  function point(place) {
    if (place === undefined || !reading) return;
    at = Number(place);
    text.querySelectorAll(".text-at").forEach((span) => span.classList.remove("text-at"));
    text.querySelector(`[data-place="${at}"]`)?.classList.add("text-at");
    says.textContent = describeCharacter(reading, symbols, at);
  }

  function moveAlong(event) {
    const last = (reading?.chars.length ?? 0) - 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    point(Math.max(0, Math.min(last, to)));
    announce(says.textContent);
  }

  function update(newReading, before) {
    reading = newReading;
    at = reading.chars.length;
    says.textContent = "";
    const judged = reading.losses.filter((loss) => loss !== null);
    const mean = judged.reduce((a, b) => a + b, 0) / judged.length;
    const window = reading.chars.map((ch, i) => characterSpan(ch, reading.losses[i], i));
    const outside = before.slice(-EARLIER).map(shownCharacter).join("");
    show(
      text,
      before.length > EARLIER ? h("span", { class: "text-outside" }, "… ") : null,
      outside
        ? h("span", { class: "text-outside", title: "the model no longer sees this" }, outside)
        : null,
      h("span", { class: before.length ? "text-window" : null }, window),
    );
    summary.textContent = judged.length
      ? `Mean surprise: ${mean.toFixed(3)} nats per character, over ${judged.length} characters.`
      : "Type more to see what surprises the model.";
    if (before.length) {
      summary.textContent +=
        ` The model sees the last ${reading.chars.length} characters, those after the bar. ` +
        "It no longer sees the grey ones.";
    }
    show(table, judged.length ? surpriseTable(reading) : null);
  }

  return { box: h("div", {}, text, says, summary, table), update };
}
