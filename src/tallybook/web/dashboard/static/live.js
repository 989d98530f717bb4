// Keeping a page current: every five seconds while it is seen, by putting in place only what changed.

import { drawAll } from "./charts.js";
import { localise, timeOfDay } from "./format.js";

export const EVERY_MS = 5000;
const WAIT_MS_MAX = 30_000;
let told = new Date();
let turn = 0;

/** Call *work* every five seconds while the tab is visible, and at once when it becomes so again. */
export function everyFiveSeconds(work) {
  let timer = 0;
  let running = false;
  const run = async () => {
    if (running || document.visibilityState !== "visible") return;
    running = true;
    try {
      await work();
      showFresh();
    } catch {
      showStale();
    } finally {
      running = false;
    }
  };
  const start = () => {
    clearInterval(timer);
    timer = setInterval(run, EVERY_MS);
  };
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") run().then(start);
    else clearInterval(timer);
  });
  start();
}

/** Hide the word that the page is not current. */
export function showFresh() {
  told = new Date();
  const stale = document.getElementById("stale");
  if (stale) stale.hidden = true;
}

/** Say since when the page is not current. */
export function showStale() {
  const stale = document.getElementById("stale");
  if (!stale) return;
  stale.textContent = `Not updated since ${timeOfDay(told)}. The server does not answer; trying again.`;
  stale.hidden = false;
}

/** Fetch a page of ours as a document in which nothing runs; null where the session is over. */
function fetchPage(address) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = WAIT_MS_MAX;
    request.onload = () => {
      if (request.status >= 500 || !request.response) reject(new Error(String(request.status)));
      else resolve(new URL(request.responseURL).pathname.endsWith("/login") ? null : request.response);
    };
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

/** Bring the page to what *address* says now; the reader's focus, scrolling and open parts stay. False if overtaken. */
export async function load(address) {
  const mine = (turn += 1);
  const page = await fetchPage(address);
  if (mine !== turn) return false;
  if (page === null) {
    location.reload();
    return false;
  }
  const main = document.getElementById("main");
  const fresh = page.getElementById("main");
  if (!fresh) throw new Error("no page");
  localise(fresh);
  document.title = page.title;
  morph(main, fresh);
  await drawAll(main);
  return true;
}

/** Make *old* like *fresh*, touching only what differs. */
export function morph(old, fresh) {
  if (old.hasAttribute("data-keep") || old instanceof HTMLCanvasElement) return;
  morphAttributes(old, fresh);
  const wanted = [...fresh.childNodes];
  let place = old.firstChild;
  for (const node of wanted) {
    const key = node.id || node.dataset?.key;
    if (key && place && keyOf(place) !== key) {
      const found = [...old.children].find((child) => keyOf(child) === key);
      if (found) {
        old.insertBefore(found, place);
        place = found;
      }
    }
    if (!place || !alike(place, node)) {
      const copy = document.importNode(node, true);
      old.insertBefore(copy, place);
      continue;
    }
    const next = place.nextSibling;
    if (place.nodeType === Node.ELEMENT_NODE) morph(place, node);
    else if (place.nodeValue !== node.nodeValue) place.nodeValue = node.nodeValue;
    place = next;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const keyOf = (node) => node.id || node.dataset?.key;

function alike(one, other) {
  return one.nodeName === other.nodeName && (keyOf(one) ?? "") === (keyOf(other) ?? "");
}

function morphAttributes(old, fresh) {
  const typing = old === document.activeElement && /^(INPUT|SELECT|TEXTAREA)$/.test(old.nodeName);
  for (const { name, value } of [...fresh.attributes]) {
    if (name === "open" || (typing && name === "value")) continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (name !== "open" && name !== "style" && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
}
