// Inside microGPT.
import { h, show } from "./dom.js";

function renderInside(panel) {
  show(panel, h("p", {}, "…"));
}

export const insideView = { id: "inside", title: "Inside microGPT", render: renderInside };
