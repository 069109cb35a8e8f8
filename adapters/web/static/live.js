// Keeps the lists of a page up to date, and copies commands. Without it the page's Refresh link does the same, and commands are marked by hand.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.nextElementSibling.textContent = button.dataset.done;
  });
  const box = document.querySelector("[data-live]");
  if (!box || !window.EventSource) return;
  const note = document.getElementById("live-note");
  let source = null, over = false;

  // Only lines that changed are put in, so that a screen reader says those alone.
  const show = (event) => {
    const fresh = document.createElement("template");
    fresh.innerHTML = event.data;
    for (const line of fresh.content.querySelectorAll("li[id]")) {
      const old = document.getElementById(line.id);
      if (old && old.innerHTML !== line.innerHTML) old.innerHTML = line.innerHTML;
    }
  };
  const close = () => {
    if (source) source.close();
    source = null;
    note.hidden = true;
  };
  // A page that nobody sees gives its connection back: browsers have few for one site.
  const watch = () => {
    if (document.hidden || over) return close();
    if (source) return;
    source = new EventSource(box.dataset.live);
    source.addEventListener("open", () => { note.hidden = false; });
    source.addEventListener("error", () => { note.hidden = true; });
    source.addEventListener("status", show);
    source.addEventListener("done", () => { over = true; close(); });
  };
  document.addEventListener("visibilitychange", watch);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", watch);
  watch();
})();
