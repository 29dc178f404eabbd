// Shakespeare.
import { h, show } from "./dom.js";

function renderText(panel) {
  show(panel, h("p", {}, "…"));
}

export const textView = { id: "text", title: "Shakespeare", render: renderText };
