// Through training.
import { h, show } from "./dom.js";

function renderTraining(panel) {
  show(panel, h("p", {}, "…"));
}

export const trainingView = { id: "training", title: "Through training", render: renderTraining };
