// Before anything is drawn: the reader's choice of light or dark, if there was one.
try {
  const chosen = localStorage.getItem("explorer-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // No storage is allowed here, so the system's choice stays.
}
