// The page: tabs, theme, and one view at a time.
import { header } from "./data.js";
import { data, h, show } from "./dom.js";
import { loadModel } from "./models.js";
import { entries, models } from "./state.js";
import { FIRST_VIEW, VIEWS } from "./views.js";

const main = document.getElementById("view");

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("explorer-theme", theme);
  } catch {
    // No storage is allowed here; the choice lasts as long as the page.
  }
}

function startTheme() {
  const button = document.getElementById("theme");
  const isDark = () =>
    (document.documentElement.dataset.theme ??
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  label();
  button.addEventListener("click", () => {
    setTheme(isDark() ? "light" : "dark");
    label();
  });
}

// The part of the address after #: a view's id, and perhaps a text after a slash.
function place() {
  const [id, ...rest] = location.hash.slice(1).split("/");
  let text = "";
  try {
    text = decodeURIComponent(rest.join("/"));
  } catch {
    // A broken address has no text.
  }
  return { view: VIEWS.find((view) => view.id === id) ?? FIRST_VIEW, text };
}

const panels = new Map(); // view's id -> its element, made at the first visit

// A view that fails says so; the others still work.
async function renderView(view, panel, text) {
  try {
    await view.render(panel, header, text);
  } catch (error) {
    console.error(error);
    panels.delete(view.id); // the next visit tries again
    const problem = ["This view cannot be shown: ", data(error.message), "."];
    show(panel, h("p", { class: "problem", role: "alert" }, problem));
  }
}

async function openView() {
  const { view, text } = place();
  document.querySelectorAll("#tabs a").forEach((tab) => {
    if (tab.dataset.view === view.id) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  });
  document.title = `${view.title} · Your models answer`;
  if (!panels.has(view.id)) {
    const panel = h("section", { "aria-label": view.title });
    panels.set(view.id, panel);
    show(main, panel);
    await renderView(view, panel, text);
  } else {
    const panel = panels.get(view.id);
    show(main, panel);
    if (text) panel.dispatchEvent(new CustomEvent("text", { detail: text }));
  }
}

function about() {
  const missing = header.runs.flatMap((run) => run.missing);
  const left = header.left_out;
  show(
    document.getElementById("about"),
    missing.length
      ? h(
          "details",
          {},
          h("summary", {}, `Models that are not on this page yet: ${missing.length}`),
          h("ul", {}, missing.map(({ folder, how }) => h("li", {}, h("code", {}, folder), `: ${how}`))),
          h("p", {}, "Then write the page again: ", h("code", {}, "make explore")),
        )
      : null,
    left.length ? h("p", {}, `Left out, to keep this page below 6 MB: ${left.join(", ")}.`) : null,
  );
}

// The address has the view's id, so the link to the view's content must not change it.
function startSkipLink() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
}

// For the browser's console: (await explorer.models())[0].rows("emma"), for example.
globalThis.explorer = { header, entries, loadModel, models };

startTheme();
startSkipLink();
show(
  document.getElementById("tabs"),
  VIEWS.map((view) => h("a", { href: `#${view.id}`, dataset: { view: view.id } }, view.title)),
);
about();
addEventListener("hashchange", openView);
await openView();
document.documentElement.dataset.ready = "";
