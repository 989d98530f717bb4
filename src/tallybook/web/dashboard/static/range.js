// The range picker: two calendar months, presets, and the rule that a range has at most so many days. Days are UTC.

import { daySpan, longDay } from "./format.js";
import { el, replace, svg } from "./dom.js";

const DAY_MS = 86_400_000;
const monthNames = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });
const weekdays = new Intl.DateTimeFormat(undefined, { weekday: "narrow", timeZone: "UTC" });
const weekdaysLong = new Intl.DateTimeFormat(undefined, { weekday: "long", timeZone: "UTC" });
const firstWeekday = (() => {
  const locale = new Intl.Locale(navigator.language);
  return ((locale.getWeekInfo?.() ?? locale.weekInfo)?.firstDay ?? 1) % 7;
})();

const date = (text) => new Date(`${text}T00:00:00Z`);
const text = (moment) => moment.toISOString().slice(0, 10);
export const plusDays = (day, count) => text(new Date(date(day).getTime() + count * DAY_MS));
const daysBetween = (one, other) => Math.abs(date(one) - date(other)) / DAY_MS;
const monthOf = (day) => `${day.slice(0, 7)}-01`;
const plusMonths = (day, count) => text(new Date(Date.UTC(+day.slice(0, 4), +day.slice(5, 7) - 1 + count, 1)));

export class RangePicker {
  /** *onPick* is called with the first and the last day, both in the range. */
  constructor(root, { today, daysMax, first, last, onPick }) {
    Object.assign(this, { root, today, daysMax, onPick });
    this.button = root.querySelector("[data-picker-open]");
    this.label = root.querySelector("[data-picker-label]");
    this.show(first, last);
    this.button.addEventListener("click", () => (this.panel ? this.close() : this.open()));
    document.addEventListener("pointerdown", (event) => {
      if (this.panel && !event.composedPath().includes(root)) this.close();
    });
  }

  /** Show a range on the button. */
  show(first, last) {
    Object.assign(this, { first, last });
    this.label.textContent = first === last ? longDay(first) : daySpan(first, last);
    this.button.setAttribute("aria-label", `Days: ${this.label.textContent}`);
  }

  open() {
    this.picked = null;
    this.month = plusMonths(monthOf(this.last), -1);
    this.focus = this.last;
    this.panel = el("div", { class: "panel", role: "dialog", "aria-label": "Choose days", "data-panel": true });
    this.panel.addEventListener("keydown", (event) => this.key(event));
    this.root.append(this.panel);
    this.button.setAttribute("aria-expanded", "true");
    if (matchMedia("(max-width: 640px)").matches) this.month = monthOf(this.last);
    this.draw(true);
  }

  close() {
    this.panel?.remove();
    this.panel = null;
    this.button.setAttribute("aria-expanded", "false");
    this.button.focus();
  }

  /** Whether *day* is too far from the first pick for both to be in one range. */
  isTooFar(day) {
    return this.picked !== null && daysBetween(day, this.picked) > this.daysMax - 1;
  }

  pick(day) {
    if (this.isTooFar(day)) return;
    if (this.picked === null) {
      this.picked = this.focus = day;
      this.draw(true);
      return;
    }
    const [first, last] = [this.picked, day].sort();
    this.done(first, last);
  }

  done(first, last) {
    this.show(first, last);
    this.close();
    this.onPick(first, last);
  }

  presets() {
    const { today } = this;
    const month = monthOf(today);
    return [
      ["Month to date", month, today],
      ["Last 7 days", plusDays(today, -6), today],
      ["Last 30 days", plusDays(today, -29), today],
      ["Last month", plusMonths(month, -1), plusDays(month, -1)],
      ["Last 12 months", plusMonths(month, -11), today],
    ];
  }

  draw(focus) {
    const presets = el("div", { class: "panel-presets" });
    for (const [name, first, last] of this.presets()) {
      const button = el("button", { type: "button", class: "quiet" }, name);
      button.addEventListener("click", () => this.done(first, last));
      presets.append(button);
    }
    const hint = this.picked
      ? `From ${longDay(this.picked)}: choose the other end, at most ${this.daysMax} days in all.`
      : "Choose the first day. Days are UTC.";
    const months = el("div", { class: "months" }, this.drawMonth(this.month, -1), this.drawMonth(plusMonths(this.month, 1), 1));
    replace(this.panel, presets, months, el("div", { class: "panel-foot" }, el("span", { role: "status" }, hint)));
    if (focus) this.panel.querySelector(`[data-day="${this.focus}"]`)?.focus();
  }

  drawMonth(month, side) {
    const head = el("div", { class: "month-head" });
    const turn = (step, name, path) => {
      const button = el("button", { type: "button", class: `icon-${name}`, "aria-label": step < 0 ? "Month before" : "Month after" },
        svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: path })));
      button.addEventListener("click", () => this.turn(step));
      return button;
    };
    const narrow = matchMedia("(max-width: 640px)").matches;
    if (side < 0) head.append(turn(-1, "left", "M12.5 4.5L7 10l5.5 5.5"));
    head.append(el("span", { class: "month-name", "aria-live": "polite" }, monthNames.format(date(month))));
    if (side > 0 || narrow) head.append(turn(1, "right", "M7.5 4.5L13 10l-5.5 5.5"));
    return el("div", { class: "month" }, head, this.grid(month));
  }

  grid(month) {
    const start = plusDays(month, -((date(month).getUTCDay() - firstWeekday + 7) % 7));
    const names = el("tr");
    for (let index = 0; index < 7; index += 1) {
      const moment = date(plusDays(start, index));
      names.append(el("th", { scope: "col", abbr: weekdaysLong.format(moment) }, weekdays.format(moment)));
    }
    const body = el("tbody");
    for (let day = start; day < plusMonths(month, 1); day = plusDays(day, 7)) {
      const week = el("tr");
      for (let index = 0; index < 7; index += 1) week.append(this.cell(plusDays(day, index), month));
      body.append(week);
    }
    return el("table", { "aria-label": monthNames.format(date(month)) }, el("thead", {}, names), body);
  }

  cell(day, month) {
    if (monthOf(day) !== month) return el("td");
    const [first, last] = this.picked ? [this.picked, this.picked] : [this.first, this.last];
    const marks = [day >= first && day <= last && "within", day === first && "first", day === last && "last"];
    const button = el("button", {
      type: "button",
      class: "day",
      "data-day": day,
      "aria-label": longDay(day),
      "aria-pressed": String(day >= first && day <= last),
      "aria-disabled": this.isTooFar(day) ? "true" : null,
      "aria-current": day === this.today ? "date" : null,
      tabindex: day === this.focus ? "0" : "-1",
    }, String(+day.slice(8)));
    button.addEventListener("click", () => this.pick(day));
    return el("td", { class: marks.filter(Boolean).join(" ") }, button);
  }

  turn(step) {
    this.month = plusMonths(this.month, step);
    this.draw(false);
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
    if (event.key === "Escape") {
      event.stopPropagation();
      this.close();
    } else if (event.target.dataset.day && (event.key in steps || event.key === "PageUp" || event.key === "PageDown")) {
      event.preventDefault();
      const day = event.target.dataset.day;
      this.focus = event.key in steps ? plusDays(day, steps[event.key]) : plusMonths(monthOf(day), event.key === "PageUp" ? -1 : 1);
      if (this.focus < this.month || this.focus >= plusMonths(this.month, 2)) this.month = monthOf(this.focus);
      this.draw(true);
    }
  }
}
