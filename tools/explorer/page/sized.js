// Pictures whose texts keep their size when the window is narrow.
import { h, show } from "./dom.js";

// A box that draws its picture again when its width changes. draw(width) returns an element;
// height: what to keep free until then, in pixels.
export function sizedBox(draw, height) {
  const box = h("div", { style: { "min-height": `${height}px` } });
  let width = 0;
  const redraw = () => width && show(box, draw(width));
  // A frame later, because a change of size inside of the observer is an error.
  const later = ([entry]) =>
    requestAnimationFrame(() => {
      const now = Math.round(entry.contentRect.width);
      if (!now || now === width) return;
      width = now;
      redraw();
    });
  new ResizeObserver(later).observe(box);
  return { box, redraw };
}
