"use strict";
// Language, brightness and copying. Storage may be denied on a file share: then nothing is remembered.
(function () {
  const root = document.documentElement;
  function remembered(name) {
    try { return localStorage.getItem("probe." + name); } catch (error) { return null; }
  }
  function remember(name, value) {
    try { localStorage.setItem("probe." + name, value); } catch (error) { /* not allowed here */ }
  }
  function press(attribute, value) {
    for (const button of document.querySelectorAll("button[" + attribute + "]")) {
      button.setAttribute("aria-pressed", String(button.getAttribute(attribute) === value));
    }
  }
  function setLanguage(lang) {
    root.lang = lang;
    const top = document.querySelector("main > .top[lang='" + lang + "']");
    if (top) { document.title = top.dataset.title; }
    press("data-set-lang", lang);
    document.dispatchEvent(new CustomEvent("languagechange", { detail: lang }));
  }
  function setTheme(theme) {
    root.dataset.theme = theme;
    press("data-set-theme", theme);
  }
  async function copy(button) {
    const text = button.parentElement.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const label = button.textContent;
    if (label !== button.dataset.done) {
      button.textContent = button.dataset.done;
      setTimeout(function () { button.textContent = label; }, 1500);
    }
  }
  document.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) { return; }
    if (button.dataset.setLang) {
      setLanguage(button.dataset.setLang);
      remember("lang", button.dataset.setLang);
    } else if (button.dataset.setTheme) {
      setTheme(button.dataset.setTheme);
      remember("theme", button.dataset.setTheme);
    } else if (button.classList.contains("copy")) {
      copy(button);
    }
  });
  const lang = remembered("lang");
  if (lang === "ko" || lang === "en") { setLanguage(lang); }
  const theme = remembered("theme");
  if (theme === "light" || theme === "dark") { setTheme(theme); }
})();
