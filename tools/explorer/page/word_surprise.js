// What a text costs each model, letter by letter, in nats.
import { mark, spoken } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { seeded } from "./numbers.js";
import { lastOfFirstRun } from "./state.js";

const DASHES = [null, "7 4", "2 3", "9 3 2 3"]; // of models that share a colour

// What each model is asked for: the letters and the end of a name, or all but the first character
// of a running text.
export function targetsOf(text, isText) {
  return isText ? [...text].slice(1) : [...text, null];
}

// [{model, losses, sum, mean}, or {model, problem} for a model that does not know a character].
export function surprises(models, text) {
  return models.map((model) => {
    try {
      const losses = model.losses(text);
      const sum = losses.reduce((a, b) => a + b, 0);
      return { model, losses, sum, mean: sum / losses.length };
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      return { model, problem: error };
    }
  });
}

// The smallest loss at each letter.
export function leastLosses(rows) {
  return rows[0].losses.map((_, i) => Math.min(...rows.map((row) => row.losses[i])));
}

// Where two models differ most: {i, least, most}, the latter two being rows. Null with one model.
export function biggestGap(rows) {
  if (rows.length < 2) return null;
  const gaps = rows[0].losses.map((_, i) => {
    const sorted = [...rows].sort((a, b) => a.losses[i] - b.losses[i]);
    return { i, least: sorted[0], most: sorted.at(-1) };
  });
  const size = ({ i, least, most }) => most.losses[i] - least.losses[i] || 0; // 0: both infinite
  return gaps.reduce((a, b) => (size(b) > size(a) ? b : a));
}

function ordinal(n) {
  const ending = n % 100 > 10 && n % 100 < 14 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${ending}`;
}

// "the 3rd letter" or "the end of the name".
function placeOf(i, targets, isText) {
  if (targets[i] === null) return "the end of the name";
  return isText ? `the ${ordinal(i + 2)} character` : `the ${ordinal(i + 1)} letter`;
}

export function gapSentence(gap, targets, isText) {
  const { i, least, most } = gap;
  const letter = targets[i] === null ? "" : `, ${quoted(targets[i])}`;
  return (
    `The models differ most at ${placeOf(i, targets, isText)}${letter}: ` +
    `${nats(least.losses[i])} nats under ${least.model.label}, ` +
    `${nats(most.losses[i])} nats under ${most.model.label}.`
  );
}

export function quoted(ch) {
  return ch === null ? "the end" : `“${mark(ch)}”`;
}

// A probability with as many digits as its logarithm needs.
export function probability(p) {
  return p >= 0.1 || p === 0 ? p.toFixed(3) : p.toPrecision(3);
}

// "“l” as the 7th letter" or "the end of the name".
export function targetOf(i, targets, isText) {
  if (targets[i] === null) return "The end of the name";
  return `${quoted(targets[i])} as ${placeOf(i, targets, isText)}`;
}

export function nats(loss, decimals = 2) {
  return Number.isFinite(loss) ? loss.toFixed(decimals) : "∞";
}

export function cellLabel({ model, losses }, i, targets, isLeast) {
  const p = probability(Math.exp(-losses[i]));
  const least = isLeast ? ", the least of all models" : "";
  return `${model.label}, ${spoken(targets[i])}: ${nats(losses[i], 3)} nats, P = ${p}${least}`;
}

// A colour and a dash pattern for each model: models of a stage share the colour.
export function lineStyles(models) {
  const used = new Map();
  return models.map(({ colour }) => {
    const times = used.get(colour) ?? 0;
    used.set(colour, times + 1);
    return { colour, dash: DASHES[times % DASHES.length] };
  });
}

// A text to begin with: the given one, or one that a model draws if it cannot read that.
export function firstText(models, text) {
  const model = lastOfFirstRun(models);
  if ([...text].every((ch) => model.stoi.has(ch))) return text;
  const beginning = model.isText ? model.chars[0] : "";
  return model.sample(beginning, { longest: 20, random: seeded(1) });
}

// Another order of the letters, or null if there is none.
export function scrambled(text, random = Math.random) {
  const letters = [...text];
  if (new Set(letters).size < 2) return null;
  for (;;) {
    for (let i = letters.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [letters[i], letters[j]] = [letters[j], letters[i]];
    }
    if (letters.join("") !== text) return letters.join("");
  }
}
