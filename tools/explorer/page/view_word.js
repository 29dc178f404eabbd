// A word.
import { h, show } from "./dom.js";

function renderWord(panel) {
  show(panel, h("p", {}, "…"));
}

export const wordView = { id: "word", title: "A word", render: renderWord };
