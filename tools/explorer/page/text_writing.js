// A model writes on, character by character, at two temperatures side by side.
import { announce, data, h, pause, show } from "./dom.js";
import { UnknownCharacter } from "./models.js";
import { seeded } from "./numbers.js";
import { temperatureSlider } from "./sampling.js";

const LENGTH = 300;

// first: the slider of the first temperature. settings: {text(), setText(text), topK(), seed(),
// model()}. -> the element.
export function createWriting(first, settings) {
  const second = temperatureSlider("A second temperature", 0.5, () => {});
  const columns = [first, second].map((temperature) => createColumn(temperature, settings));
  const button = h("button", { type: "button" }, `Write ${LENGTH} characters`);
  let running = false;

  button.addEventListener("click", async () => {
    if (running) return void (running = false);
    running = true;
    button.textContent = "Stop";
    await Promise.all(columns.map((column) => column.write(() => running)));
    running = false;
    button.textContent = `Write ${LENGTH} characters`;
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
  const take = h("button", { type: "button", hidden: true }, "Go on from this text");
  const box = h("article", {}, title, output, progress, take);
  const label = () => (title.textContent = `Temperature ${temperature.value().toFixed(2)}`);
  temperature.input.addEventListener("input", label);
  let whole = "";
  take.addEventListener("click", () => settings.setText(whole));
  label();

  async function write(isRunning) {
    const beginning = settings.text();
    if (!beginning)
      return show(output, h("p", { class: "problem" }, "Type at least one character."));
    const random = seeded(settings.seed());
    const options = {
      longest: LENGTH,
      temperature: temperature.value(),
      topK: settings.topK(),
      random,
    };
    const added = h("span", {});
    show(output, h("span", { class: "text-outside" }, data(beginning)), added);
    label();
    whole = beginning;
    take.hidden = false;
    let count = 0;
    try {
      for (const ch of settings.model().stream(beginning, options)) {
        whole += ch;
        count += 1;
        added.append(ch);
        progress.textContent = `${count} of ${LENGTH} characters`;
        output.scrollTop = output.scrollHeight;
        await pause();
        if (!isRunning()) break;
      }
    } catch (error) {
      if (!(error instanceof UnknownCharacter)) throw error;
      show(output, h("p", { class: "problem" }, error.message));
      take.hidden = true;
    }
  }

  return { box, write };
}
