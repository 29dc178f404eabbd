// Copied or invented.
import { h, show } from "./dom.js";

function renderCopied(panel) {
  show(panel, h("p", {}, "…"));
}

export const copiedView = { id: "copied", title: "Copied or invented", render: renderCopied };
