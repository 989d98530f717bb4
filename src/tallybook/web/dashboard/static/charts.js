// Charts in the page's own colours, drawn by Chart.js. A canvas's data stands beside it as text, in an element with
// data-chart="canvas id"; pages that fetch their numbers call draw() themselves.

import { compact, day, number, wall } from "./format.js";

const NAME_CHARS_MAX = 48;
const SERIES = 8;
const drawn = new Map();
let library;

function chartLibrary() {
  library ??= import("./vendor-chart.js").then(() => globalThis.Chart);
  return library;
}

/** Return a name for a canvas, which has no <bdi>: short, and isolated from the direction of what is beside it. */
const shown = (name) => {
  const text = name.length > NAME_CHARS_MAX ? `${name.slice(0, NAME_CHARS_MAX - 1)}…` : name;
  return `\u2068${text}\u2069`;
};

/** Read the colours in force: canvases know no CSS variables. */
function palette() {
  const probe = document.createElement("i");
  document.body.append(probe);
  const read = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {
    ink: read("--ink"),
    soft: read("--soft"),
    line: read("--line"),
    surface: read("--surface"),
    raised: read("--raised"),
    rest: read("--series-rest"),
    series: Array.from({ length: SERIES }, (_, index) => read(`--series-${index + 1}`)),
  };
  probe.remove();
  return colors;
}

const faded = (color, share) => color.replace(/^rgb\(/, "rgba(").replace(/\)$/, `, ${share})`);

/** Labels may be times on a wall (`times` says of what size), which readers see their own way. */
const label = (spec, text) => (!spec.times ? text : spec.times === "day" ? day(text) : wall(text, spec.times));
const title = (spec, item) => (spec.times ? wall(spec.labels[item.dataIndex], spec.times) : item.label);

function datasets(spec, colors) {
  return spec.series.map((series, index) => {
    const color = series.rest ? colors.rest : colors.series[(series.color ?? index) % SERIES];
    const line = spec.kind === "line";
    return {
      label: shown(series.name),
      data: series.values.map(Number),
      exact: series.values,
      backgroundColor: line ? faded(color, 0.1) : series.before ? faded(color, 0.35) : color,
      borderColor: series.before ? faded(color, 0.55) : color,
      borderWidth: line ? 2 : 0,
      borderDash: series.before ? [4, 4] : [],
      borderRadius: line ? 0 : 3,
      pointRadius: series.values.length === 1 ? 3 : 0,
      pointHoverRadius: 4,
      pointBackgroundColor: color,
      fill: line && spec.series.length === 1,
      // the step that is not over yet: what is there is not all that will be
      segment: spec.partial ? { borderDash: ({ p1DataIndex }) => (p1DataIndex === series.values.length - 1 ? [3, 4] : undefined) } : undefined,
      tension: 0.25,
      cubicInterpolationMode: "monotone",
      maxBarThickness: 36,
      categoryPercentage: 0.82,
      barPercentage: 0.94,
      stack: series.before ? "before" : "now",
    };
  });
}

function options(spec, colors, font) {
  const ticks = { color: colors.soft, font, maxRotation: 0, autoSkipPadding: 18 };
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    interaction: { mode: "index", intersect: false },
    layout: { padding: { top: 4 } },
    scales: {
      x: { stacked: Boolean(spec.stacked), grid: { display: false }, border: { color: colors.line }, ticks },
      y: {
        stacked: Boolean(spec.stacked),
        beginAtZero: true,
        grid: { color: colors.line },
        border: { display: false },
        ticks: { ...ticks, maxTicksLimit: 5, precision: spec.whole ? 0 : undefined, callback: compact },
      },
    },
    plugins: {
      legend: {
        display: spec.series.length > 1,
        position: "bottom",
        align: "start",
        labels: { color: colors.ink, font, boxWidth: 10, boxHeight: 10, borderRadius: 3, useBorderRadius: true, padding: 14 },
      },
      tooltip: {
        backgroundColor: colors.raised,
        titleColor: colors.ink,
        bodyColor: colors.ink,
        borderColor: colors.line,
        borderWidth: 1,
        padding: 10,
        boxPadding: 4,
        cornerRadius: 8,
        titleFont: { ...font, weight: 600 },
        bodyFont: font,
        displayColors: spec.series.length > 1,
        callbacks: {
          title: (items) => spec.titles?.[items[0].dataIndex] ?? title(spec, items[0]),
          label: (item) => {
            const value = number(item.dataset.exact[item.dataIndex]) + (spec.unit ? ` ${spec.unit}` : "");
            return spec.series.length > 1 ? `${item.dataset.label}: ${value}` : value;
          },
        },
      },
    },
  };
}

/** Draw *spec* on a canvas, or bring what is there to it. */
export async function draw(canvas, spec) {
  const Chart = await chartLibrary();
  const text = JSON.stringify(spec);
  const known = drawn.get(canvas);
  if (known && known.text === text && known.theme === theme()) return;
  const style = getComputedStyle(document.body);
  const colors = palette();
  const font = { family: style.fontFamily, size: 12 };
  const config = { type: spec.kind, data: { labels: spec.labels.map((text) => label(spec, text)), datasets: datasets(spec, colors) }, options: options(spec, colors, font) };
  canvas.closest(".chart")?.classList.remove("waiting");
  if (known && known.spec.kind === spec.kind) {
    known.chart.data = config.data;
    known.chart.options = config.options;
    known.chart.update("none");
  } else {
    known?.chart.destroy();
    drawn.set(canvas, { chart: new Chart(canvas, config) });
  }
  Object.assign(drawn.get(canvas), { spec, text, theme: theme() });
  canvas.dataset.drawn = String(spec.series.length);
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");

/** Draw every chart below *root* whose data stands in the page. */
export async function drawAll(root) {
  for (const [canvas, { chart }] of drawn) {
    if (!canvas.isConnected) {
      chart.destroy();
      drawn.delete(canvas);
    }
  }
  for (const node of root.querySelectorAll("[data-chart]")) {
    const canvas = document.getElementById(node.dataset.chart);
    if (canvas) await draw(canvas, JSON.parse(node.textContent));
  }
}

/** Draw everything again in the colours that are in force now. */
export function redraw() {
  for (const [canvas, { spec }] of drawn) draw(canvas, spec);
}
dark.addEventListener("change", redraw);

/** Offer what a canvas shows as a PNG, on the colour of its card. */
export function savePng(canvas, name) {
  const copy = document.createElement("canvas");
  const pad = 24;
  copy.width = canvas.width + 2 * pad;
  copy.height = canvas.height + 2 * pad;
  const pen = copy.getContext("2d");
  pen.fillStyle = palette().surface;
  pen.fillRect(0, 0, copy.width, copy.height);
  pen.drawImage(canvas, pad, pad);
  copy.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
