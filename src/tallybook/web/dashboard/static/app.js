// What every page does: the reader's numbers and dates, the theme, the menu, copying, charts, and staying current.

import { drawAll, redraw, savePng } from "./charts.js";
import { localise } from "./format.js";
import { everyFiveSeconds, load, showStale } from "./live.js";

const THEMES = ["", "light", "dark"];
const YEAR_S = 31_536_000;
const root = document.documentElement;
const main = document.getElementById("main");

localise(document);
if (main) drawAll(main);
if (main?.hasAttribute("data-live")) everyFiveSeconds(async () => main.ariaBusy === "true" || load(location.href));

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  if (button.matches("[data-theme-switch]")) switchTheme();
  else if (button.matches("[data-menu]")) switchMenu(button);
  else if (button.matches("[data-copy]")) copy(button);
  else if (button.matches("[data-png]")) savePng(document.getElementById(button.dataset.png), button.dataset.name);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-instant]");
  if (form) ask(form);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-instant]")) {
    event.preventDefault();
    ask(form);
  } else if (form.dataset.confirm && !confirm(form.dataset.confirm)) {
    event.preventDefault();
  }
});

addEventListener("popstate", () => location.reload());

/** Show what a form asks for under its own address, without leaving the page. */
async function ask(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value) query.append(name, value);
  const address = `${form.getAttribute("action")}?${query}`;
  main.setAttribute("aria-busy", "true");
  try {
    if (!(await load(address))) return;
    history.pushState(null, "", address);
  } catch {
    showStale();
  }
  main.removeAttribute("aria-busy");
}

function switchTheme() {
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "") + 1) % THEMES.length];
  keepTheme(next);
  for (const word of document.querySelectorAll("[data-theme-name]")) word.textContent = next || "system";
}

/** Put a theme in force, and keep it for the next page. */
export function keepTheme(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  document.cookie = `tallybook-theme=${theme}; path=/dashboard; max-age=${theme ? YEAR_S : 0}; samesite=lax`;
  redraw();
}

function switchMenu(button) {
  const open = button.closest(".side").classList.toggle("open");
  button.setAttribute("aria-expanded", String(open));
}

async function copy(button) {
  const word = button.querySelector("[data-copy-word]");
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    word.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    word.textContent = "Selected";
  }
  setTimeout(() => (word.textContent = "Copy"), 2000);
}
