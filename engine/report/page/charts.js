// The head, what cost the time, failures, bars and utilisation.

// ---- the head -------------------------------------------------------------

const totals = { done: 0, failed: 0, cancelled: 0, again: 0, journal: 0, busy: 0 };
for (let i = 0; i < rows.count; i++) {
   const what = rows.what[i];
   if (what & AGAIN) totals.again++;
   else if (what & FAILED) totals.failed++;
   else if (what & CANCELLED) totals.cancelled++;
   else totals.done += rows.items[i];
   if (what & JOURNAL) totals.journal++;
   totals.busy += rows.time[i];
}

function outcome() {
   if (run.run.cause) return ["bad", clean(run.run.cause)];
   if (totals.failed) return ["bad", count(totals.failed) + " failed"];
   if (totals.cancelled) return ["some", count(totals.cancelled) + " cancelled"];
   if (!totals.done) return ["some", "no task"];
   return ["good", "all " + count(totals.done) + " done"];
}

function tile(label, value, note) {
   return element("div", { class: "tile" }, element("span", { class: "label" }, label),
      element("span", { class: "value" }, value), element("span", { class: "note" }, note || ""));
}

function counts() {
   const parts = [];
   if (totals.failed) parts.push(count(totals.failed) + " failed");
   if (totals.cancelled) parts.push(count(totals.cancelled) + " cancelled");
   if (totals.again) parts.push(count(totals.again) + " retried");
   if (totals.journal) parts.push(count(totals.journal) + " from journal");
   return parts.join(", ") || "none failed";
}

function facts() {
   const r = run.run;
   return [
      r.began ? new Date(r.began / 1000).toLocaleString(undefined,
                   { dateStyle: "medium", timeStyle: "medium" }) : "",
      r.host && "on " + clean(r.host),
      r.cores ? r.cores + (r.cores === 1 ? " core" : " cores") : "",
      ["flowrun", r.version, r.lua && "(" + r.lua + ")"].filter(Boolean).join(" "),
      "seed " + r.seed,
      r.words.length ? "options: " + r.words.map(clean).join(" ") : "",
   ].filter(Boolean);
}

function poolWords(pool) {
   return pool.workers + " " + (pool.kind === "commands" ? "commands at once" : pool.kind);
}

function drawHead() {
   const r = run.run, series = run.costs.series * 1e-9, gain = wall > 0 ? series / wall : 0;
   const all = totals.done + totals.failed + totals.cancelled;
   const [mood, words] = outcome();
   const name = clean((r.script || "run").split("/").pop());

   document.title = name + " · flowrun";
   $("head").append(
      element("div", { class: "title" }, element("h1", null, name),
         element("span", { class: "pill " + mood }, words)),
      element("p", { class: "quiet facts" }, ...facts().map(fact => element("span", null, fact))),
      element("div", { class: "tiles" },
         tile("In parallel", seconds(wall), "wall time"),
         tile("In series", seconds(series), "sum of all tasks"),
         tile("Speed-up", gain.toFixed(gain < 10 ? 2 : 1) + "×",
              run.pools.map(poolWords).join(", ")),
         tile("Utilisation", percent(totals.busy, wall * workers),
              "of " + count(workers) + (workers === 1 ? " worker" : " workers")),
         tile("Tasks", count(all), counts())));
   if (r.missing)
      $("head").append(element("p", { class: "warning" },
         "Memory did not suffice for " + count(r.missing) + " rows, which are missing here."));
}

// ---- what cost the time ---------------------------------------------------

const meaning = [
   "the longest chain of tasks: only shorter tasks help",
   "tasks waited for its seats, or ran once they had them",
   "there was more to do than workers to do it",
   "tasks were ready and workers free: handing over and starting up",
   "the last tasks of a round ran while other workers had nothing left",
   "tasks that took more than twice as long as their like",
   "attempts that failed, and the pauses after them",
   "nothing was submitted: the script computed, or read and wrote",
];

// Costs that the task which has most of them says something about.
const telling = [0, 1, 4, 5, 6];

function costRow(part) {
   const row = element("tr", null,
      element("th", { scope: "row" }, styled(element("i", { class: "swatch" }),
         { background: `var(--cost-${part.cost})` }), clean(part.label)),
      element("td", { class: "number" }, seconds(part.ns * 1e-9)),
      element("td", { class: "number" }, percent(part.ns, run.costs.makespan)),
      element("td", { class: "quiet" }, meaning[part.cost]));
   if (part.row !== undefined && telling.includes(part.cost))
      row.lastChild.append("; most of it ", element("button", { class: "link", type: "button",
         click: () => go(part.row) }, title(part.row)));
   return row;
}

function drawCosts() {
   const { parts, bound, advice, makespan } = run.costs;

   if (advice) {
      $("advice").append(element("strong", null, "Next: "), clean(advice));
      $("advice").hidden = false;
   }
   for (const part of parts) {
      const name = clean(part.label), wide = part.ns > 0.12 * makespan;
      $("costs-bar").append(styled(element("span", { title: name + ": " + seconds(part.ns * 1e-9) },
            wide ? percent(part.ns, makespan) + " " + name : ""),
         { "flex-grow": part.ns, background: `var(--cost-${part.cost})` }));
      $("costs-list").tBodies[0].append(costRow(part));
   }
   if (bound.ns > 0)
      $("bound").append("With these workers and limits no order of the same tasks takes less than ",
         element("strong", null, seconds(bound.ns * 1e-9)),
         ", because of " + clean(bound.label) + "; this run took ",
         (makespan / bound.ns).toFixed(2) + " times as long.");
}

// ---- failures -------------------------------------------------------------

const FAILURES_SHOWN = 100, TASKS_SHOWN = 8;

function causes(error) {
   const list = [];
   for (let e = error[4]; e; e = e[4])
      list.push(element("p", { class: "cause" },
         "because of " + clean(e[3] || "another task") + ": ",
         element("b", null, clean(e[0])), " " + clean(e[1])));
   return list;
}

const lines = text => text.replace(/\t/g, "   ").split("\n").map(clean).join("\n");

function errorText(error) {
   return [...causes(error),
      error[2] ? element("pre", null, lines(error[2])) : null];
}

function taskButton(i) {
   return element("button", { class: "link", type: "button", click: () => go(i) }, title(i));
}

function failure(number, tasks) {
   const error = run.errors[number - 1];
   const names = tasks.slice(0, TASKS_SHOWN).map(taskButton);

   return element("details", { class: "failure" },
      element("summary", null, element("b", { class: "kind" }, clean(error[0])),
         (tasks.length > 1 ? count(tasks.length) + " tasks" : title(tasks[0])) + ": ",
         clean(error[1])),
      element("p", { class: "names" }, ...names,
         tasks.length > TASKS_SHOWN ? ` and ${count(tasks.length - TASKS_SHOWN)} more` : ""),
      ...errorText(error));
}

function drawFailures() {
   const of = new Map(), failed = [];

   for (let i = 0; i < rows.count; i++)
      if (rows.what[i] & FAILED && !(rows.what[i] & AGAIN) && rows.error[i]) failed.push(i);
   for (const i of failed.sort((a, b) => rows.end[a] - rows.end[b])) {
      const number = rows.error[i];
      if (of.has(number)) of.get(number).push(i);
      else of.set(number, [i]);
   }
   $("failures").hidden = of.size === 0;
   [...of].slice(0, FAILURES_SHOWN).forEach(([number, tasks], i) => {
      const e = failure(number, tasks);
      e.open = i === 0;
      $("failures-list").append(e);
   });
   if (of.size > FAILURES_SHOWN)
      $("failures-list").append(element("p", { class: "quiet" },
         `and ${count(of.size - FAILURES_SHOWN)} other errors: filter the table by “failed”`));
}

// ---- bars -----------------------------------------------------------------

const BARS_MOST = 24;

// A bar for all rows with the same number of `of`, the longest first when there
// are too many to show them in the order of the run.
function barsBy(number, label) {
   const of = new Map();

   for (let i = 0; i < ranCount; i++) {
      if (rows.what[i] & AGAIN) continue;
      let bar = of.get(number(i));
      if (!bar) of.set(number(i), bar = { row: i, seconds: 0, times: [], failed: 0,
                                          start: rows.start[i] });
      bar.seconds += rows.time[i];
      bar.times.push(rows.time[i]);
      bar.failed += rows.what[i] & FAILED ? 1 : 0;
      bar.start = Math.min(bar.start, rows.start[i]);
   }
   const bars = [...of.values()], many = bars.length > BARS_MOST;
   bars.sort(many ? (a, b) => b.seconds - a.seconds : (a, b) => a.start - b.start);
   const rest = many ? bars.splice(BARS_MOST - 1) : [];
   for (const bar of bars) {
      bar.name = label(bar.row);
      bar.colour = `var(--group-${groupPlace.get(rows.group[bar.row])})`;
   }
   if (!many) return bars;
   bars.push({ name: `${count(rest.length)} others`, colour: "var(--quiet)",
               seconds: rest.reduce((sum, bar) => sum + bar.seconds, 0),
               failed: rest.reduce((sum, bar) => sum + bar.failed, 0),
               times: rest.flatMap(bar => bar.times) });
   return bars;
}

const barModes = [
   ["each task", () => barsBy(i => i, title)],
   ["by name", () => barsBy(i => rows.name[i], i => rows.name[i] ? texts[rows.name[i]] : "task")],
   ["by function", () => barsBy(i => rows.group[i], i => groupName(rows.group[i]))],
];

function bar(name, value, most, colour, note, total) {
   return element("tr", total ? { class: "total" } : null,
      element("th", { scope: "row", title: name }, name),
      element("td", { class: "bar" }, styled(element("span"),
         { width: Math.max(0.2, 100 * value / most) + "%", background: colour })),
      element("td", { class: "number" }, seconds(value)),
      element("td", { class: "quiet note" }, ...note));
}

function barNote(b) {
   const n = b.times.length, times = Float64Array.from(b.times).sort();

   if (n === 1) return b.failed ? [element("span", { class: "red" }, "failed")] : [];
   const words = [`${count(n)} tasks, median ${seconds(times[n >> 1])}, longest ${seconds(times[n - 1])}`];
   if (b.failed) words.push(", ", element("span", { class: "red" }, count(b.failed) + " failed"));
   return words;
}

function drawBars(mode) {
   const bars = barModes[mode][1](), series = run.costs.series * 1e-9;
   const most = Math.max(wall, series, 1e-9);
   $("bars-list").replaceChildren(element("table", null, element("tbody", null,
      ...bars.map(b => bar(b.name, b.seconds, most,
                          b.failed && b.times.length === 1 ? "var(--failed)" : b.colour, barNote(b))),
      bar("total in parallel", wall, most, "var(--parallel)", ["wall time"], true),
      bar("total in series", series, most, "var(--series)", ["one after the other"], true))));
   [...$("bars-modes").children].forEach((button, i) =>
      button.setAttribute("aria-pressed", String(i === mode)));
}

function startBars() {
   const names = new Set();
   let tasks = 0, grouped = false;

   for (let i = 0; i < ranCount; i++) {
      names.add(rows.name[i]);
      grouped = grouped || rows.group[i] !== rows.name[i];
      tasks += rows.what[i] & AGAIN ? 0 : 1;
   }
   $("bars").hidden = tasks === 0;
   const useless = [false, tasks < 2, !grouped];
   barModes.forEach(([label], i) => $("bars-modes").append(element("button",
      { type: "button", hidden: useless[i] ? "" : null, click: () => drawBars(i) }, label)));
   drawBars(tasks <= BARS_MOST ? 0 : grouped && names.size > BARS_MOST ? 2 : 1);
}

// ---- utilisation ----------------------------------------------------------

const LIMITS_SHOWN = 4;
let useChart = null;

// How many at once, on average, in each of n equal parts of the view.
function average(n, from, to, begin, end, weight) {
   const sums = new Float64Array(n + 1), steps = new Float64Array(n + 1), k = n / (to - from);

   for (let i = 0; i < ranCount; i++) {
      const w = weight ? weight(i) : 1;
      const a = Math.max(0, (begin[i] - from) * k), b = Math.min(n, (end[i] - from) * k);
      if (w === 0 || b <= a) continue;
      const p = Math.floor(a), q = Math.min(n - 1, Math.floor(b));
      if (p === q) {
         sums[p] += w * (b - a);
         continue;
      }
      sums[p] += w * (p + 1 - a);
      sums[q] += w * (b - q);
      steps[p + 1] += w;
      steps[q] -= w;
   }
   for (let i = 0, level = 0; i < n; i++) {
      level += steps[i];
      sums[i] += level;
   }
   return sums.subarray(0, n);
}

function useData() {
   const n = Math.max(50, Math.min(600, Math.floor($("use-chart").clientWidth / 2)));
   const { from, to } = view, x = new Float64Array(n);

   for (let i = 0; i < n; i++) x[i] = from + (i + 0.5) * (to - from) / n;
   const data = [x, average(n, from, to, rows.start, rows.end)];
   for (let limit = 0; limit < Math.min(LIMITS_SHOWN, run.limits.length); limit++) {
      const seats = run.needs.map(pairs => {
         for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === limit) return pairs[i + 1];
         return 0;
      });
      data.push(average(n, from, to, rows.start, rows.end,
                        i => rows.needs[i] ? seats[rows.needs[i] - 1] : 0));
   }
   data.push(average(n, from, to, rows.ready, rows.start));
   return data;
}

const short = n => n == null ? "–" : n < 10 ? n.toFixed(1) : count(Math.round(n));

function useOptions(width) {
   const axis = { stroke: colours.quiet, grid: { stroke: colours.line, width: 1 },
                  ticks: { stroke: colours.line, width: 1 }, font: "12px system-ui, sans-serif" };
   const limitColours = [4, 1, 5, 6];
   const most = run.limits.slice(0, LIMITS_SHOWN).reduce((m, l) => Math.max(m, l.count), workers);

   return {
      width, height: 200, padding: [8, PAD, 0, 0], legend: { live: true },
      cursor: { drag: { x: true, y: false, setScale: false } },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      scales: { x: { time: false }, y: { range: [0, most * 1.05] },
                waiting: { range: (u, low, high) => [0, Math.max(1, high)] } },
      axes: [{ ...axis, space: 100, values: (u, ticks) => ticks.map(axisSeconds(ticks)) },
             { ...axis, size: line.gutter }],
      series: [
         { label: "time", value: (u, v) => v == null ? "–" : seconds(v) },
         { label: `workers busy, of ${workers}`, stroke: colours.accent, width: 1.5,
           fill: colours.accent + "38", value: (u, v) => short(v), points: { show: false } },
         ...run.limits.slice(0, LIMITS_SHOWN).map((limit, i) => (
            { label: `seats of ${clean(limit.name)}, of ${limit.count}`,
              stroke: colours.groups[limitColours[i]], width: 1.5,
              value: (u, v) => short(v), points: { show: false } })),
         { label: "tasks waiting (own scale)", stroke: colours.quiet, width: 1, dash: [4, 3],
           scale: "waiting", value: (u, v) => short(v), points: { show: false } },
      ],
      hooks: { setSelect: [u => {
         if (u.select.width < 4) return;
         setView(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
         u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }] },
   };
}

function drawUse() {
   const box = $("use-chart");
   $("use").hidden = ranCount === 0;
   if (ranCount === 0 || !box.clientWidth) return;
   if (useChart) useChart.destroy();
   useChart = new uPlot(useOptions(box.clientWidth), useData(), box);
   useChart.over.addEventListener("dblclick", () => setView(0, wall));
}

function updateUse() {
   if (useChart) useChart.setData(useData());
}
