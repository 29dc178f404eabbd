// A vector as a strip of coloured cells that answers with its numbers: point at a cell, or focus
// the strip and use the arrow keys.
import { signedShade } from "./charts.js";
import { h, svg } from "./dom.js";

const VECTOR_CELL = 10; // units of the drawing

function columnsOf(length) {
  if (length <= 32) return length;
  return length <= 128 ? 32 : 64;
}

export function largestOf(...vectors) {
  return vectors.reduce((most, v) => v.reduce((m, x) => Math.max(m, Math.abs(x)), most), 0);
}

export function signed(number, decimals = 3) {
  const text = number.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−"); // never −0.00
}

function cells(numbers, columns, most) {
  return [...numbers].map((value, i) =>
    svg("rect", {
      x: (i % columns) * VECTOR_CELL,
      y: Math.floor(i / columns) * VECTOR_CELL,
      width: VECTOR_CELL - 1,
      height: VECTOR_CELL - 1,
      style: { fill: signedShade(value, most) },
    }),
  );
}

// label: what the vector is. options: most, the size of number that gets the darkest colour; part,
// [from, to], a range of cells to frame; shape, such as list[16].
export function vectorStrip(numbers, label, options = {}) {
  const { most = largestOf(numbers), part = null, shape = `list[${numbers.length}]` } = options;
  const columns = columnsOf(numbers.length);
  const rows = Math.ceil(numbers.length / columns);
  const shown = h("output", { class: "vector-value", "aria-hidden": "true" });
  const cursor = svg("rect", {
    class: "vector-cursor",
    width: VECTOR_CELL,
    height: VECTOR_CELL,
    x: -100,
  });
  let at = 0;
  const frame =
    part &&
    svg("rect", {
      class: "vector-part",
      x: part[0] * VECTOR_CELL - 0.5,
      y: -0.5,
      width: (part[1] - part[0]) * VECTOR_CELL,
      height: VECTOR_CELL,
    });
  const picture = svg(
    "svg",
    {
      class: "vector-cells",
      viewBox: `-1 -1 ${columns * VECTOR_CELL + 1} ${rows * VECTOR_CELL + 1}`,
      "aria-hidden": "true", // the strip says its numbers
    },
    cells(numbers, columns, most),
    frame,
    cursor,
  );
  const strip = h(
    "div",
    {
      class: "vector-strip",
      tabindex: "0",
      role: "slider",
      "aria-label": `${label}, ${shape}: the arrow keys read its numbers`,
      "aria-valuemin": "0",
      "aria-valuemax": String(numbers.length - 1),
      style: { "max-width": `${columns * (columns > 32 ? 0.75 : 1.5)}rem` },
      onpointermove: (event) => {
        const box = picture.getBoundingClientRect();
        const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
        const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
        point(Math.max(0, Math.min(columns - 1, column)) + columns * Math.max(0, row));
      },
      onpointerleave: rest,
      onfocus: () => point(at),
      onblur: rest,
      onkeydown: (event) => {
        const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
        const ends = { Home: 0, End: numbers.length - 1 };
        const next = event.key in ends ? ends[event.key] : at + (moves[event.key] ?? NaN);
        if (Number.isNaN(next)) return;
        event.preventDefault();
        event.stopPropagation();
        point(next);
      },
    },
    picture,
  );

  function point(i) {
    at = Math.max(0, Math.min(numbers.length - 1, i));
    const text = `[${at}] ${signed(numbers[at], 4)}`;
    shown.textContent = text;
    strip.setAttribute("aria-valuenow", String(at));
    strip.setAttribute("aria-valuetext", `number ${at}: ${signed(numbers[at], 4)}`);
    cursor.setAttribute("x", String((at % columns) * VECTOR_CELL - 0.5));
    cursor.setAttribute("y", String(Math.floor(at / columns) * VECTOR_CELL - 0.5));
  }

  function rest() {
    if (document.activeElement === strip) return;
    cursor.setAttribute("x", "-100");
    const all = [...numbers];
    shown.textContent = `${signed(Math.min(...all), 2)} to ${signed(Math.max(...all), 2)}`;
  }

  point(0);
  rest();
  return h(
    "div",
    { class: "vector" },
    h("div", { class: "vector-head" }, h("span", {}, label), h("code", {}, shape), shown),
    strip,
  );
}
