// The views in the order of their tabs, which is that of the course. Each has an id for the
// address, a title, and render(panel, header, text), which fills an empty element once; text: what
// follows the id in the address, such as emma in #word/emma. Later texts reach the element as
// events of the type "text".
import { autodiffView } from "./view_autodiff.js";
import { copiedView } from "./view_copied.js";
import { insideView } from "./view_inside.js";
import { lossesView } from "./view_losses.js";
import { nextView } from "./view_next.js";
import { textView } from "./view_text.js";
import { trainingView } from "./view_training.js";
import { wordView } from "./view_word.js";

export const VIEWS = [
  autodiffView, // stage 01
  nextView, // 02 to 05
  wordView,
  copiedView,
  insideView, // 05
  textView, // 06
  trainingView, // all
  lossesView,
];

// What opens if the address names no view: here the models answer.
export const FIRST_VIEW = nextView;
