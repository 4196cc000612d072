"use strict";

// Colours: as the system has them, unless the reader chose.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const buttons = [...document.querySelectorAll("[data-theme-choice]")];
  let choice = "auto";
  try { // a page from disk may have no storage
    choice = localStorage.getItem("posedata-theme") || "auto";
  } catch { /* then nothing is remembered */ }

  function apply() {
    const dark = choice === "auto" ? system.matches : choice === "dark";
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
    dispatchEvent(new Event("themechange"));
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      choice = button.dataset.themeChoice;
      try { localStorage.setItem("posedata-theme", choice); } catch { /* as above */ }
      apply();
    });
  }
  system.addEventListener("change", apply);
  apply();

  // The section in view is marked in the navigation.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of document.querySelectorAll("main section")) watcher.observe(section);
})();
