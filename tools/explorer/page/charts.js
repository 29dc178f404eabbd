// Small charts in SVG. Colours and fonts come from style.css.
import { h, svg } from "./dom.js";

const NICE = [1, 2, 5, 10];

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * NICE.find((nice) => nice * power >= rough);
  const out = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) {
    out.push(Number((k * step).toPrecision(12)));
  }
  return out;
}

// Powers of ten from low to high; round numbers if there are fewer than two of them.
function logTicks(low, high) {
  const out = [];
  for (let e = Math.ceil(Math.log10(low) - 1e-9); 10 ** e <= high * 1.0000001; e++) out.push(10 ** e);
  return out.length > 1 ? out : ticks(low, high);
}

// Heights at which texts can stand without touching: as near to those wanted as `least` allows.
function apart(wanted, least) {
  const order = [...wanted.keys()].sort((a, b) => wanted[a] - wanted[b]);
  const out = [];
  let next = -Infinity;
  for (const i of order) {
    out[i] = Math.max(wanted[i], next);
    next = out[i] + least;
  }
  return out;
}

function shortNumber(n) {
  if (n === 0) return "0";
  const size = Math.abs(n);
  if (size >= 1e6) return `${Number((n / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((n / 1e3).toPrecision(3))}k`;
  return size < 0.001 ? n.toExponential(0) : String(Number(n.toPrecision(3)));
}

// A function from numbers to pixels.
export function scale(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (x) => x;
  const span = f(high) - f(low) || 1;
  return (x) => from + ((f(x) - f(low)) / span) * (to - from);
}

// Lines over a common axis.
//
// series: [{name, colour, points: [[x, y], ...], dashed, dash, marker, end}]; end: a short text
// behind the last point. options: width, height, title (for screen readers), xLabel, yLabel, logX,
// logY, xRange, yRange, level lines [{y, name}], marks [{x, name}] for vertical lines, xTicks
// [[x, text], ...] instead of numbers.
export function lineChart(series, options) {
  const { width = 640, height = 320, title, xLabel = "", yLabel = "", logX, logY } = options;
  const levels = options.levels ?? [];
  const shown = series.map((line) => ({
    ...line,
    points: line.points.filter(([x, y]) => y !== null && (!logX || x > 0) && (!logY || y > 0)),
  }));
  const xs = shown.flatMap((line) => line.points.map(([x]) => x));
  const ys = [
    ...shown.flatMap((line) => line.points.map(([, y]) => y)),
    ...levels.map((level) => level.y),
  ];
  const longest = Math.max(0, ...shown.map((line) => (line.end ?? "").length));
  const [left, right, top, bottom] = [52, 14 + 8 * longest, 12, 40];
  const [xLow, xHigh] = options.xRange ?? [Math.min(...xs), Math.max(...xs)];
  const [yLow, yHigh] = options.yRange ?? [Math.min(...ys), Math.max(...ys)];
  const x = scale(xLow, xHigh, left, width - right, logX);
  const y = scale(yLow, yHigh, height - bottom, top, logY);
  const axis = [];
  const numbers = (logX ? logTicks(xLow, xHigh) : ticks(xLow, xHigh)).map((n) => [n, shortNumber(n)]);
  for (const [tick, name] of options.xTicks ?? numbers) {
    axis.push(
      svg("line", { class: "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - bottom }),
      svg("text", { x: x(tick), y: height - bottom + 16, "text-anchor": "middle" }, name),
    );
  }
  for (const tick of logY ? logTicks(yLow, yHigh) : ticks(yLow, yHigh)) {
    axis.push(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, shortNumber(tick)),
    );
  }
  const ends = shown.filter((line) => line.end && line.points.length);
  const endHeights = apart(
    ends.map((line) => y(line.points.at(-1)[1])),
    13,
  );
  const endNames = ends.map((line, i) =>
    svg("text", { x: x(line.points.at(-1)[0]) + 6, y: endHeights[i] + 4 }, line.end),
  );
  const lines = shown.map((line) =>
    svg(
      "g",
      { class: "series", style: { color: line.colour } },
      svg("polyline", {
        points: line.points.map(([px, py]) => `${x(px)},${y(py)}`).join(" "),
        fill: "none",
        stroke: "currentColor",
        "stroke-width": 2,
        "stroke-dasharray": line.dash ?? (line.dashed ? "5 4" : null),
      }),
      line.points.map(([px, py]) =>
        svg(
          "circle",
          { cx: x(px), cy: y(py), r: 3, fill: "currentColor" },
          svg("title", {}, `${line.name}: ${shortNumber(px)}, ${py.toFixed(3)}`),
        ),
      ),
    ),
  );
  const extra = [
    ...levels.map((level) => [
      svg("line", { class: "level", x1: left, x2: width - right, y1: y(level.y), y2: y(level.y) }),
      svg("text", { class: "level-name", x: width - right, y: y(level.y) - 4, "text-anchor": "end" }, level.name),
    ]),
    ...(options.marks ?? []).map((m) =>
      svg("line", { class: "mark", x1: x(m.x), x2: x(m.x), y1: top, y2: height - bottom }),
    ),
  ];
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title },
    axis,
    extra,
    lines,
    endNames,
    svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
    svg(
      "text",
      { x: 14, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + height - bottom) / 2})` },
      yLabel,
    ),
  );
}

// The names of lines with their colours.
export function legend(series) {
  return h(
    "ul",
    { class: "legend" },
    series.map((line) =>
      h("li", {}, h("span", { class: "swatch", style: { background: line.colour } }), line.name),
    ),
  );
}

// A colour from pale (0) to dark (1), that light and dark pages both can show.
export function shade(share) {
  return `color-mix(in oklab, var(--heat) ${Math.round(100 * Math.max(0, Math.min(1, share)))}%, var(--ground))`;
}

// Blue for negative, red for positive numbers; `most` is the darkest.
export function signedShade(value, most) {
  const share = Math.max(-1, Math.min(1, most ? value / most : 0));
  const colour = share < 0 ? "var(--negative)" : "var(--positive)";
  return `color-mix(in oklab, ${colour} ${Math.round(100 * Math.abs(share))}%, var(--ground))`;
}

// A strip of coloured cells, one for each number of a vector.
export function strip(numbers, most, label) {
  const size = 10;
  return svg(
    "svg",
    {
      class: "strip",
      viewBox: `0 0 ${numbers.length * size} ${size}`,
      role: "img",
      "aria-label": label,
    },
    [...numbers].map((value, i) =>
      svg(
        "rect",
        { x: i * size, y: 0, width: size - 1, height: size, style: { fill: signedShade(value, most) } },
        svg("title", {}, `${i}: ${value.toFixed(4)}`),
      ),
    ),
  );
}
