// Organization > Usage: one summary of the chosen days feeds every card and chart; the inventory in it is of now.

import { draw } from "./charts.js";
import { el, replace, setText, svg } from "./dom.js";
import { day, longDay, minutesAndSeconds, number } from "./format.js";
import { everyFiveSeconds, showFresh, showStale } from "./live.js";
import { RangePicker, plusDays } from "./range.js";

const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const refresh = main.querySelector("[data-refresh]");
const { summary: path, today, monthStart, daysMax } = main.dataset;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const asked = new URLSearchParams(location.search);
const given = (name) => (DAY.test(asked.get(name) ?? "") ? asked.get(name) : null);
let first = given("from") ?? monthStart;
let last = given("to") ? plusDays(given("to"), -1) : today;
let under = null;

const picker = new RangePicker(main.querySelector("[data-picker]"), {
  today,
  daysMax: Number(daysMax),
  first,
  last,
  onPick: (from, to) => {
    [first, last] = [from, to];
    history.pushState(null, "", `?${new URLSearchParams({ from: first, to: plusDays(last, 1) })}`);
    show();
  },
});

/** Fetch the summary and show it; an answer that a later question overtook is let go. */
async function show() {
  under?.abort();
  const mine = (under = new AbortController());
  const query = new URLSearchParams({ from: `${first}T00:00:00Z`, to: `${plusDays(last, 1)}T00:00:00Z` });
  const answer = await fetch(`${path}?${query}`, { signal: mine.signal, headers: { Accept: "application/json" } });
  if (answer.status === 401) {
    location.reload();
    return;
  }
  const body = await answer.json();
  if (mine.signal.aborted) return;
  if (!answer.ok) {
    trouble.textContent = `These days cannot be shown: ${body.detail}. Choose others.`;
    trouble.hidden = false;
    return;
  }
  trouble.hidden = true;
  await fill(body);
  main.dataset.shown = `${first}/${last}`;
}

function put(kind, field, text) {
  const node = main.querySelector(`[data-${kind}="${field}"]`);
  node.classList.remove("skeleton");
  setText(node, text);
}

async function fill(summary) {
  for (const field of ["voice_minutes", "chat_minutes", "total_calls", "workflow_runs_total", "total_agents",
    "total_phone_numbers", "total_web_widgets", "total_datasets"]) put("field", field, number(summary[field]));
  put("under", "voice_minutes", `${number(summary.voice_calls)} calls`);
  put("under", "chat_minutes", `${number(summary.chat_calls)} sessions`);
  put("under", "total_calls", `${number(summary.inbound_calls)} in · ${number(summary.outbound_calls)} out · avg ${minutesAndSeconds(summary.avg_call_duration_sec)}`);
  put("under", "workflow_runs_total", `${number(summary.workflow_runs_success)} succeeded · ${number(summary.workflow_runs_failed)} failed`);
  const shared = summary.shared_phone_numbers;
  put("under", "total_phone_numbers", shared > 0 ? `${number(shared)} on the shared pool (billable)` : "");
  put("under", "total_datasets", `${number(summary.active_datasets)} active`);
  const { daily } = summary;
  for (const [card, field] of [["voice_minutes", "voice_minutes"], ["chat_minutes", "chat_minutes"], ["total_calls", "calls"], ["workflow_runs_total", "workflow_runs"]])
    spark(main.querySelector(`[data-spark="${card}"]`), daily.map((point) => point[field]));
  const nothing = summary.total_calls + summary.workflow_runs_total === 0;
  document.getElementById("nothing").hidden = !nothing;
  for (const name of ["charts", "days-table"]) document.getElementById(name).hidden = nothing;
  main.querySelector('[data-chart-card="workflow_runs-chart"]').hidden = summary.workflow_runs_total === 0;
  table(daily);
  await charts(daily, summary.workflow_runs_total > 0);
}

async function charts(daily, withRuns) {
  const labels = daily.map((point) => day(point.day));
  const titles = daily.map((point) => longDay(point.day));
  const of = (field) => daily.map((point) => point[field]);
  const spec = (kind, field, name, unit, color) => ({ kind, labels, titles, unit, partial: last === today, whole: kind === "bar", series: [{ name, values: of(field), color }] });
  const jobs = [
    draw(document.getElementById("voice_minutes-chart"), spec("line", "voice_minutes", "Voice minutes", "min", 0)),
    draw(document.getElementById("chat_minutes-chart"), spec("line", "chat_minutes", "Chat minutes", "min", 2)),
    draw(document.getElementById("calls-chart"), spec("bar", "calls", "Calls", "calls", 0)),
  ];
  if (withRuns) jobs.push(draw(document.getElementById("workflow_runs-chart"), spec("bar", "workflow_runs", "Workflow runs", "runs", 2)));
  for (const note of main.querySelectorAll("[data-chart-note]")) setText(note, last === today && !note.dataset.chartNote.match(/^(calls|workflow)/) ? "today is not over" : "");
  await Promise.all(jobs);
}

/** A line without axes: the shape of the days, at a glance. */
function spark(node, values) {
  const most = Math.max(...values, 0);
  const text = values.join();
  if (node.dataset.values === text) return;
  node.dataset.values = text;
  if (most === 0 || values.length < 2) {
    replace(node);
    return;
  }
  const points = values.map((value, index) => `${((100 * index) / (values.length - 1)).toFixed(2)},${(38 - (34 * value) / most).toFixed(2)}`);
  replace(node, svg("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("polygon", { class: "spark-area", points: `0,40 ${points.join(" ")} 100,40` }),
    svg("polyline", { class: "spark-line", points: points.join(" ") })));
}

function table(daily) {
  const body = document.querySelector("#days-table tbody");
  const rows = daily.map((point) => el("tr", { "data-day-row": point.day }, el("th", { scope: "row" }, longDay(point.day)),
    ...[point.calls, point.voice_minutes, point.chat_minutes, point.workflow_runs].map((value) => el("td", { class: "num" }, number(value)))));
  if (body.textContent !== rows.map((row) => row.textContent).join("")) replace(body, ...rows);
}

async function again() {
  try {
    await show();
    showFresh();
  } catch (error) {
    if (error.name !== "AbortError") showStale();
  }
}

refresh.addEventListener("click", async () => {
  refresh.classList.add("busy");
  refresh.disabled = true;
  await again();
  refresh.classList.remove("busy");
  refresh.disabled = false;
});

for (const chart of main.querySelectorAll("#charts .chart")) chart.classList.add("waiting");
again();
everyFiveSeconds(show);
