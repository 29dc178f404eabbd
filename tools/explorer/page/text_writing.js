// A model writes on, character by character, at two temperatures side by side.
import { announce, data, h, pause, runButton, show } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { seeded } from "./numbers.js";
import { temperatureSlider } from "./sampling.js";

const LENGTH = 300;

class NothingTyped extends Error {}

// first: the slider of the first temperature. settings: {text(), setText(text), topK(), seed(),
// model}. -> the element.
export function createWriting(first, settings) {
  const second = temperatureSlider("A second temperature", 0.5, () => {});
  const columns = [first, second].map((temperature) => createColumn(temperature, settings));
  const button = runButton(`Write ${LENGTH} characters`, async (isStopped) => {
    await Promise.all(columns.map((column) => column.write(isStopped)));
    announce("The writing has ended.");
  });
  return h(
    "div",
    {},
    h("div", { class: "text-controls" }, button, second.box),
    h(
      "div",
      { class: "text-pair" },
      columns.map((column) => column.box),
    ),
  );
}

function createColumn(temperature, settings) {
  const title = h("h3", {}, "");
  const output = h("div", {
    class: "text-written",
    tabindex: 0,
    role: "group",
    "aria-label": "What the model writes",
  });
  const progress = h("p", { class: "note" });
  const take = h("button", { type: "button", hidden: true }, "Continue from this text");
  const box = h("article", {}, title, output, progress, take);
  const label = () => (title.textContent = `Temperature ${temperature.value().toFixed(2)}`);
  temperature.input.addEventListener("input", label);
  let whole = "";
  take.addEventListener("click", () => settings.setText(whole));
  label();

  // The characters that the model draws, one by one.
  function characters(beginning) {
    if (!beginning) throw new NothingTyped("Type at least one character.");
    const random = seeded(settings.seed());
    const options = { temperature: temperature.value(), topK: settings.topK(), random };
    return settings.model.stream(beginning, { longest: LENGTH, ...options });
  }

  async function write(isStopped) {
    const beginning = settings.text();
    const added = h("span", {});
    show(output, h("span", { class: "text-outside" }, data(beginning)), added);
    whole = beginning;
    let count = 0;
    try {
      for (const ch of characters(beginning)) {
        whole += ch;
        count += 1;
        added.append(ch);
        progress.textContent = `${count} of ${LENGTH} characters`;
        output.scrollTop = output.scrollHeight;
        await pause();
        if (isStopped()) break;
      }
    } catch (error) {
      if (!(error instanceof UnknownCharacter || error instanceof NothingTyped)) throw error;
      show(output, h("p", { class: "problem" }, error.message));
      progress.textContent = "";
    }
    take.hidden = count === 0;
  }

  return { box, write };
}
