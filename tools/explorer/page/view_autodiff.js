// Autodiff.
import { h, show } from "./dom.js";

function renderAutodiff(panel) {
  show(panel, h("p", {}, "…"));
}

export const autodiffView = { id: "autodiff", title: "Autodiff", render: renderAutodiff };
