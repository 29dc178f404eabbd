// Losses and pictures.
import { h, show } from "./dom.js";

function renderLosses(panel) {
  show(panel, h("p", {}, "…"));
}

export const lossesView = { id: "losses", title: "Losses and pictures", render: renderLosses };
