// An error before the first view is most likely that of an old browser.
addEventListener("error", ({ message }) => {
  const loading = document.getElementById("loading");
  if (!loading) return;
  loading.textContent = `This page cannot start in this browser: ${message}. Try a newer one.`;
});

// Before anything is drawn: the reader's choice of light or dark, if there was one.
try {
  const chosen = localStorage.getItem("explorer-theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
} catch {
  // No storage is allowed here, so the system's choice stays.
}
