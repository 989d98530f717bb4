// Numbers and times as the reader writes them. Only showing: what adds up was added up on the server, exactly.

const PLACES_MAX = 9;
const numbers = new Intl.NumberFormat(undefined, { maximumFractionDigits: PLACES_MAX });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const small = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 2 });
const UTC = { timeZone: "UTC" };
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...UTC });
const longDays = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", ...UTC });
const instants = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exactly = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const walls = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...UTC });
const months = new Intl.DateTimeFormat(undefined, { month: "short", year: "numeric", ...UTC });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const STEPS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** A decimal string or a number, every digit of it. */
export const number = (value) => numbers.format(value);

/** The same in few characters, for axes. */
export const compact = (value) => (Math.abs(value) < 1 ? small : short).format(value);

/** An amount of money with as many places as *value* has. */
export function money(value, currency) {
  const places = value.split(".")[1]?.length ?? 0;
  return new Intl.NumberFormat(undefined, { style: "currency", currency, minimumFractionDigits: places, maximumFractionDigits: places }).format(value);
}

/** A date such as 2026-03-01, without its year. */
export const day = (text) => days.format(new Date(`${text}T00:00:00Z`));

/** A date with its year. */
export const longDay = (text) => longDays.format(new Date(`${text}T00:00:00Z`));

/** A time on the wall of some zone, such as 2026-03-01T05:00: shown as it stands there, whatever the reader's own zone. */
export function wall(text, style) {
  const date = new Date(`${text.length > 10 ? text : `${text}T00:00`}:00Z`);
  return (style === "month" ? months : style === "wall" ? walls : longDays).format(date);
}

/** A span of days, both ends in it. */
export const daySpan = (first, last) =>
  longDays.formatRange(new Date(`${first}T00:00:00Z`), new Date(`${last}T00:00:00Z`));

/** The time of day by the reader's clock. */
export const timeOfDay = (date) => clock.format(date);

/** Seconds as minutes and seconds, m:ss. */
export function minutesAndSeconds(seconds) {
  const whole = Math.round(Number(seconds));
  return `${number(Math.floor(whole / 60))}:${String(whole % 60).padStart(2, "0")}`;
}

/** How far away an instant is: in 3 days, 5 minutes ago. */
export function away(date, now = Date.now()) {
  const seconds = Math.round((date.getTime() - now) / 1000);
  const [unit, size] = STEPS.find(([, size]) => Math.abs(seconds) >= size) ?? STEPS.at(-1);
  return relative.format(Math.trunc(seconds / size), unit);
}

/** Write every number and time below *root* the reader's way; how far away a time is goes by the server's clock. */
export function localise(root) {
  const told = (root.id === "main" ? root : root.querySelector("#main"))?.dataset.now;
  const now = told ? Date.parse(told) : Date.now();
  for (const node of root.querySelectorAll("data.n")) node.textContent = number(node.value || node.getAttribute("value"));
  for (const node of root.querySelectorAll("data.money")) node.textContent = money(node.dataset.shown, node.dataset.currency);
  for (const node of root.querySelectorAll("time[datetime]")) {
    const text = node.getAttribute("datetime");
    const date = new Date(text);
    if (Number.isNaN(date.getTime())) continue;
    const style = node.dataset.style;
    if (style === "wall" || style === "month" || style === "day") {
      node.textContent = wall(style === "day" ? text.slice(0, 10) : text, style);
      continue;
    }
    node.textContent = style === "away" ? away(date, now) : instants.format(date);
    node.title = exactly.format(date);
  }
}
