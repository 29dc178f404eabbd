// The views in the order of their tabs. Each has an id for the address, a title, and
// render(panel, header, text), which fills an empty element once.
import { nextView } from "./view_next.js";

export const VIEWS = [nextView];
