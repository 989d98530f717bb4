// A portal link's secret stands behind the #, which browsers do not send and servers do not log: this page sends it once.

import { keepTheme } from "./app.js";

const door = document.getElementById("main");
const word = door.querySelector("[data-portal-word]");
const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
if (door.dataset.askedTheme) keepTheme(door.dataset.askedTheme);

async function enter() {
  const answer = await fetch(location.pathname, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ secret }),
  });
  if (answer.ok) location.replace((await answer.json()).location);
  else word.textContent = "This link was used already, or is not complete. Ask for a new one where you got it.";
}

enter().catch(() => {
  word.textContent = "The server does not answer. Try the link again in a moment.";
});
