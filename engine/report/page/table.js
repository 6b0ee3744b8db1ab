// The table of tasks: only the rows in sight are in the document.

const ROW = 30, MARGIN = 10;
const HEIGHT_MOST = 8e6; // browsers bound the height of an element
const table = { order: new Uint32Array(rows.count), shown: rows.count, by: "start", down: false,
                states: "all", wanted: "", titles: null, ranks: null, first: -1 };

// ---- what is in a row -----------------------------------------------------

const waited = i => Math.max(0, rows.start[i] - rows.ready[i]);
const cpu = i => rows.cpu[i] < 0 ? -1 : rows.cpu[i] / 20;

const cells = [
   { id: "name", name: "Task", text: title, value: null },
   { id: "state", name: "State", text: state, value: i => rows.what[i] & 15 },
   { id: "lane", name: "Worker", text: i => laneName(rows.lane[i]), value: i => rows.lane[i],
     minor: true },
   { id: "start", name: "Started", text: i => rows.lane[i] < 0 ? "" : seconds(rows.start[i]),
     value: i => rows.start[i], number: true, minor: true },
   { id: "wait", name: "Waited", text: i => rows.lane[i] < 0 ? "" : seconds(waited(i)),
     value: waited, number: true, minor: true },
   { id: "time", name: "Took", text: i => rows.lane[i] < 0 ? "" : seconds(rows.time[i]),
     value: i => rows.time[i], number: true },
   { id: "cpu", name: "CPU", text: i => cpu(i) < 0 ? "" : percent(cpu(i), 1),
     value: cpu, number: true, minor: true },
   { id: "memory", name: "Memory", text: i => rows.memory[i] ? bytes(rows.memory[i]) : "",
     value: i => rows.memory[i], number: true, minor: true },
   { id: "tries", name: "Tries", text: i => rows.attempt[i] ? String(rows.attempt[i]) : "",
     value: i => rows.attempt[i], number: true, minor: true },
];

// Columns that say nothing in this run are left out.
const shownCells = cells.filter(cell =>
   cell.id === "cpu" ? rows.cpu.some(n => n >= 0)
   : cell.id === "memory" ? rows.memory.some(n => n > 0)
   : cell.id === "tries" ? rows.attempt.some(n => n > 1) : true);

const filters = [
   ["all", "All", () => true],
   ["failed", "Failed", i => rows.what[i] & FAILED && !(rows.what[i] & AGAIN)],
   ["again", "Tried again", i => rows.what[i] & AGAIN],
   ["cancelled", "Cancelled", i => rows.what[i] & CANCELLED],
   ["journal", "From journal", i => rows.what[i] & JOURNAL],
];

// ---- order and choice -----------------------------------------------------

// Texts are compared once each, not once for every two rows.
function textRanks() {
   const compare = new Intl.Collator(undefined, { numeric: true }).compare;
   const order = texts.map((_, i) => i).sort((a, b) => compare(texts[a], texts[b]));
   const ranks = new Uint32Array(texts.length);
   order.forEach((text, rank) => { ranks[text] = rank; });
   return ranks;
}

function byName(a, b) {
   const r = table.ranks;
   const keyOf = i => rows.keyed[i] === 2 ? r[rows.key[i]] : rows.key[i];
   return r[rows.name[a]] - r[rows.name[b]] || rows.id[a] - rows.id[b]
      || rows.keyed[a] - rows.keyed[b] || keyOf(a) - keyOf(b) || a - b;
}

function sortTable() {
   const cell = cells.find(c => c.id === table.by), chosen = table.order.subarray(0, table.shown);

   if (table.by === "name") {
      table.ranks = table.ranks || textRanks();
      chosen.sort(byName);
   } else {
      const values = Float64Array.from({ length: rows.count }, (_, i) => cell.value(i));
      chosen.sort((a, b) => values[a] - values[b] || a - b);
   }
   if (table.down) chosen.reverse();
}

// All words must be in the name, in any case.
function chooseRows() {
   const words = table.wanted.toLowerCase().split(/\s+/).filter(Boolean);
   const [, , fits] = filters.find(([id]) => id === table.states);

   if (words.length && !table.titles)
      table.titles = Array.from({ length: rows.count }, (_, i) => title(i).toLowerCase());
   found = words.length || table.states !== "all" ? new Uint8Array(rows.count) : null;
   table.shown = 0;
   for (let i = 0; i < rows.count; i++) {
      if (!fits(i) || !words.every(word => table.titles[i].includes(word))) continue;
      table.order[table.shown++] = i;
      if (found) found[i] = 1;
   }
   $("found").textContent = (found ? count(table.shown) + " of " : "") + count(rows.count)
      + (rows.count === 1 ? " row" : " rows");
}

function refreshTable() {
   chooseRows();
   sortTable();
   $("table-box").scrollTop = 0;
   drawTable(true);
   redraw();
}

// ---- drawing --------------------------------------------------------------

const cellClass = cell => (cell.number ? "number " : "") + (cell.minor ? "minor" : "");

function tableRow(i, place) {
   const row = element("tr", { "aria-rowindex": place + 2, "data-row": i, class: stateClass(i),
                               "aria-selected": i === selected ? "true" : false });

   for (const cell of shownCells)
      row.append(element("td", { class: cellClass(cell) },
         cell.id === "state" ? stateMark(i) : cell.text(i)));
   return row;
}

const filler = height => {
   const row = element("tr", { class: "filler", "aria-hidden": "true" },
      element("td", { colspan: shownCells.length }));
   styled(row.firstChild, { height: height + "px" });
   return row;
};

// Where there are more rows than an element can be high, the scroll bar stands
// for a share of them.
function tableHeight() {
   const all = table.shown * ROW, sight = $("table-box").clientHeight;
   return { all, sight, height: Math.min(all, HEIGHT_MOST), shared: all > HEIGHT_MOST,
            steps: table.shown - Math.floor((sight - ROW) / ROW) };
}

function topRow() {
   const { sight, height, shared, steps } = tableHeight(), y = $("table-box").scrollTop;
   return shared ? Math.round(y / (height + ROW - sight) * steps) : Math.floor(y / ROW);
}

function scrollToRow(place) {
   const { sight, height, shared, steps } = tableHeight();
   $("table-box").scrollTop = shared ? place / steps * (height + ROW - sight) : place * ROW;
}

function drawTable(always) {
   const { sight, height, shared } = tableHeight(), top = topRow();
   const first = Math.max(0, top - MARGIN);
   const last = Math.min(table.shown, top + Math.ceil(sight / ROW) + MARGIN);

   if (!always && first === table.first && !shared) return;
   table.first = first;
   const above = shared ? Math.max(0, $("table-box").scrollTop - (top - first) * ROW) : first * ROW;
   const below = height - above - (last - first) * ROW;
   const list = above > 0 ? [filler(above)] : [];
   for (let place = first; place < last; place++) list.push(tableRow(table.order[place], place));
   if (below > 0) list.push(filler(below));
   $("table").tBodies[0].replaceChildren(...list);
}

function drawHeads() {
   $("table").tHead.rows[0].replaceChildren(...shownCells.map(cell => {
      const mark = cell.id === table.by ? (table.down ? " ▾" : " ▴") : "";
      return element("th", { scope: "col", class: cellClass(cell),
            "aria-sort": mark ? (table.down ? "descending" : "ascending") : "none" },
         element("button", { type: "button", id: "sort-" + cell.id, click: () => sortBy(cell.id) },
                 cell.name + mark));
   }));
}

function sortBy(id) {
   // Of numbers the largest are looked for first.
   table.down = table.by === id ? !table.down
      : ["wait", "time", "cpu", "memory", "tries", "state"].includes(id);
   table.by = id;
   drawHeads();
   sortTable();
   $("table-box").scrollTop = 0;
   drawTable(true);
   $("sort-" + id).focus();
}

// ---- the selected task ----------------------------------------------------

function fact(name, value) {
   return value === "" ? [] : [element("dt", null, name), element("dd", null, value)];
}

function needsText(i) {
   const pairs = rows.needs[i] ? run.needs[rows.needs[i] - 1] : [], parts = [];

   for (let n = 0; n < pairs.length; n += 2)
      parts.push(clean(run.limits[pairs[n]].name)
         + (pairs[n + 1] > 1 ? " × " + pairs[n + 1] : ""));
   return parts.join(", ");
}

function drawDetail() {
   const i = selected, detail = $("detail"), error = i >= 0 && run.errors[rows.error[i] - 1];

   if (i < 0) {
      detail.replaceChildren(element("p", { class: "quiet" }, "Select a task to see more of it."));
      return;
   }
   detail.replaceChildren(element("h3", null, title(i)),
      stateMark(i),
      onChain[i] ? element("span", { class: "state pace" }, "set the pace") : "",
      element("dl", null, ...fact("function", groupName(rows.group[i])),
         ...fact("worker", laneName(rows.lane[i])),
         ...shownCells.filter(c => c.number).flatMap(c => fact(c.name.toLowerCase(), c.text(i))),
         ...fact("limits", needsText(i))),
      ...(error ? [element("p", { class: "message" },
                      element("b", { class: "kind" }, clean(error[0])), clean(error[1])),
                   ...errorText(error)] : []));
}

// Marks the row everywhere; `far`: it may be out of sight in the timeline.
function select(i, far) {
   selected = i;
   if (far) show(i);
   const place = table.order.subarray(0, table.shown).indexOf(i);
   const sight = Math.floor($("table-box").clientHeight / ROW) - 2, top = topRow();
   if (place >= 0 && (place < top || place > top + sight))
      scrollToRow(Math.max(0, place - Math.floor(sight / 2)));
   drawTable(true);
   drawDetail();
   redraw();
}

// From far away: brings the timeline and the table into sight.
function go(i) {
   select(i, true);
   $("tools").scrollIntoView({ block: "start" });
}

function moveSelection(step) {
   const chosen = table.order.subarray(0, table.shown), place = chosen.indexOf(selected);
   const next = Math.max(0, Math.min(table.shown - 1, place + step));
   if (table.shown > 0) select(chosen[place < 0 ? 0 : next], true);
}

function listenToTable(box) {
   $("table").tBodies[0].addEventListener("click", event => {
      const row = event.target.closest("tr[data-row]");
      if (row) select(Number(row.dataset.row), true);
   });
   box.addEventListener("scroll", () => drawTable(false));
   box.addEventListener("keydown", event => {
      const page = Math.max(1, Math.floor(box.clientHeight / ROW) - 2);
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page,
                     Home: -rows.count, End: rows.count };
      if (!(event.key in step) || event.target.closest("button")) return;
      event.preventDefault();
      moveSelection(step[event.key]);
   });
}

function filterButton(id, name) {
   return element("button", { type: "button", id: "only-" + id,
      "aria-pressed": String(id === "all"), click: event => {
         table.states = id;
         for (const button of $("states").children)
            button.setAttribute("aria-pressed", String(button === event.currentTarget));
         refreshTable();
      } }, name);
}

function startTable() {
   for (const [id, name, fits] of filters) {
      let n = 0;
      for (let i = 0; i < rows.count; i++) n += fits(i) ? 1 : 0;
      if (id === "all" || n > 0)
         $("states").append(filterButton(id, id === "all" ? name : name + " " + count(n)));
   }
   $("states").hidden = $("states").children.length < 2;
   $("find").addEventListener("input", event => {
      table.wanted = event.target.value;
      refreshTable();
   });
   $("find").addEventListener("keydown", event => { if (event.key === "Enter") moveSelection(1); });
   $("table").setAttribute("aria-rowcount", rows.count + 1);
   listenToTable($("table-box"));
   drawHeads();
   drawDetail();
}
