// The controls of sampling: temperature, top-k and the seed.
import { field, h, slider } from "./dom.js";

const LOWEST_LOG = Math.log10(0.1);
const HIGHEST_LOG = Math.log10(3);

// A slider on a logarithmic scale, from 0.1 to 3. -> {box, input, value()}
export function temperatureSlider(label, start, onchange) {
  const toTemperature = (log) => Number((10 ** log).toFixed(2));
  const { box, input } = slider(label, {
    min: LOWEST_LOG,
    max: HIGHEST_LOG,
    step: "any",
    value: Math.log10(start),
    format: (log) => toTemperature(log).toFixed(2),
    oninput: onchange,
  });
  return { box, input, value: () => toTemperature(Number(input.value)) };
}

// most: the number of characters of the largest alphabet. value() is 0 for all of them.
export function topKSlider(most, onchange) {
  const { box, input } = slider("Top-k", {
    min: 1,
    max: most,
    step: 1,
    value: most,
    format: (k) => (k >= most ? "all" : String(k)),
    oninput: onchange,
  });
  return { box, input, value: () => (Number(input.value) >= most ? 0 : Number(input.value)) };
}

// The same seed draws the same letters.
export function seedField(onchange = () => {}) {
  const input = h("input", {
    type: "number",
    min: 0,
    max: 2 ** 32 - 1,
    step: 1,
    value: 42,
    oninput: onchange,
  });
  return { box: field("Seed", input), input, value: () => Math.trunc(Number(input.value)) };
}
