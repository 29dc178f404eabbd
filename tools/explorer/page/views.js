// The views in the order of their tabs. Each has an id for the address, a title, and
// render(panel, header, text), which fills an empty element once; text: what follows the id in the
// address, such as emma in #word/emma. Later texts reach the element as events of the type "text".
import { autodiffView } from "./view_autodiff.js";
import { copiedView } from "./view_copied.js";
import { insideView } from "./view_inside.js";
import { lossesView } from "./view_losses.js";
import { nextView } from "./view_next.js";
import { textView } from "./view_text.js";
import { trainingView } from "./view_training.js";
import { wordView } from "./view_word.js";

export const VIEWS = [
  nextView,
  wordView,
  insideView,
  trainingView,
  copiedView,
  textView,
  autodiffView,
  lossesView,
];
