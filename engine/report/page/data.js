// The run, out of the block of JSON: columns of numbers, and the words for them.
const run = JSON.parse(document.getElementById("run").textContent);

const FAILED = 1, CANCELLED = 2, AGAIN = 4, JOURNAL = 8, SLICE = 16;

// ---- columns, see engine/report/columns.h ---------------------------------

function column(text, Type, count, differences) {
   const bytes = atob(text), out = new Type(count);
   let at = 0, i = 0, before = 0;

   // Bits of up to four bytes, which is nearly all; beyond them, arithmetic.
   function number() {
      let byte = bytes.charCodeAt(at++), n = byte & 127, shift = 7;
      for (; byte > 127 && shift < 28; shift += 7) {
         byte = bytes.charCodeAt(at++);
         n |= (byte & 127) << shift;
      }
      for (let scale = 2 ** 28; byte > 127; scale *= 128) {
         byte = bytes.charCodeAt(at++);
         n += (byte & 127) * scale;
      }
      return n;
   }
   while (at < bytes.length) {
      const token = number();
      let times = token % 2 ? number() : 1;
      const zigzag = Math.floor(token / 2), value = zigzag % 2 ? -(zigzag + 1) / 2 : zigzag / 2;
      for (; times > 0; times--) {
         before = differences ? before + value : value;
         out[i++] = before;
      }
   }
   return out;
}

// In the order of page_private.h.
const columns = {
   name: [Uint32Array, true],
   group: [Uint32Array, true],
   id: [Float64Array, true],
   keyed: [Uint8Array],
   key: [Float64Array, true],
   start: [Float64Array],
   time: [Float64Array],
   ready: [Float64Array, true],
   what: [Uint8Array],
   attempt: [Uint16Array],
   items: [Float64Array],
   error: [Uint32Array],
   needs: [Uint32Array],
   cpu: [Int32Array],
   memory: [Float64Array, true],
};

const rows = { count: run.rows, lane: new Int32Array(run.rows).fill(-1),
               end: new Float64Array(run.rows) };
Object.entries(columns).forEach(([name, [Type, differences]], i) => {
   rows[name] = column(run.columns[i], Type, run.rows, differences);
});
const chain = column(run.costs.chain, Uint32Array, run.costs.links, true);

// ---- lanes: one for each worker -------------------------------------------

// Rows of a lane stand side by side, by their start. A worker may have several
// tasks at once, where one waits: those that overlap are at different depths.
const lanes = [];
for (let i = 0, first = 0; i < run.lanes.length; i += 3) {
   lanes.push({ pool: run.lanes[i], worker: run.lanes[i + 1], first,
                end: first + run.lanes[i + 2], depth: 1 });
   first += run.lanes[i + 2];
}
rows.depth = new Uint8Array(rows.count);
rows.reach = new Float64Array(rows.count); // the latest end so far in the lane

function place(from, to, lane) {
   const tick = run.tick * 1e-12, ends = [];
   let before = 0, reach = 0;

   for (let i = from; i < to; i++) {
      const start = before + rows.start[i], end = start + rows.time[i];
      before = end;
      rows.start[i] = start * tick;
      rows.end[i] = end * tick;
      rows.time[i] *= tick;
      rows.ready[i] *= tick;
      rows.memory[i] *= 65536;
      rows.reach[i] = reach = Math.max(reach, rows.end[i]);
      rows.lane[i] = lane;
      let depth = 0;
      while (depth < 3 && ends[depth] > start)
         depth++;
      ends[depth] = end;
      rows.depth[i] = depth;
   }
   return Math.max(1, ends.length);
}

lanes.forEach((lane, i) => { lane.depth = place(lane.first, lane.end, i); });
const ranCount = lanes.length ? lanes[lanes.length - 1].end : 0;
place(ranCount, rows.count, -1);

const wall = run.costs.makespan * 1e-9;
const workers = run.pools.reduce((sum, pool) => sum + pool.workers, 0);

// ---- words ----------------------------------------------------------------

// What could hide or turn around what stands beside it is shown as its number.
function clean(text) {
   return text.replace(
      /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
      c => "\\u{" + c.codePointAt(0).toString(16) + "}");
}
const texts = ["", ...run.texts.map(text => text === "" ? '""' : clean(text))];

function key(i) {
   if (rows.what[i] & SLICE) {
      const first = rows.key[i] + 1;
      return rows.items[i] > 1 ? first + ".." + (rows.key[i] + rows.items[i]) : String(first);
   }
   switch (rows.keyed[i]) {
      case 1: return String(rows.key[i]);
      case 2: return texts[rows.key[i]];
      case 3: return String(run.large[rows.key[i] - 1]);
      default: return "";
   }
}

function title(i) {
   const name = rows.name[i] ? texts[rows.name[i]] : "task " + rows.id[i];
   const inside = key(i);
   return inside === "" ? name : name + " [" + inside + "]";
}

function groupName(group) {
   return group ? texts[group] : "task";
}

function state(i) {
   const what = rows.what[i];
   if (what & AGAIN) return "tried again";
   if (what & FAILED) return "failed";
   if (what & CANCELLED) return "cancelled";
   return what & JOURNAL ? "from journal" : "done";
}

function laneName(i) {
   if (i < 0) return "";
   const lane = lanes[i], pool = run.pools[lane.pool];
   const who = lane.worker ? String(lane.worker) : "main";
   return run.pools.length > 1 ? clean(pool.name) + " " + who : "worker " + who;
}

function digits(n, places) {
   return n.toLocaleString("en", { maximumSignificantDigits: places }).replace(/,/g, "\u202f");
}

function count(n) {
   return n.toLocaleString("en").replace(/,/g, "\u202f");
}

function seconds(s) {
   if (!(s > 0)) return "0 s";
   if (s < 0.9995e-3) return digits(s * 1e6, 3) + " µs";
   if (s < 0.9995) return digits(s * 1e3, 3) + " ms";
   if (s < 100) return s.toFixed(s < 10 ? 2 : 1) + " s";
   if (s < 6000) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
   return Math.floor(s / 3600) + " h " + Math.floor(s / 60 % 60) + " min";
}

function bytes(n) {
   if (n < 1 << 20) return digits(n / 1024, 3) + " KiB";
   return n < 1 << 30 ? digits(n / (1 << 20), 3) + " MiB" : digits(n / (1 << 30), 3) + " GiB";
}

function percent(part, whole) {
   const p = whole > 0 ? 100 * part / whole : 0;
   return (p > 0 && p < 9.95 ? p.toFixed(1) : p.toFixed(0)) + "\u2009%";
}

// ---- elements -------------------------------------------------------------

const $ = id => document.getElementById(id);

// element("td", { class: "number" }, "text", child ...): texts are text nodes.
function element(tag, attributes, ...children) {
   const e = document.createElement(tag);
   for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "click") e.addEventListener("click", value);
      else if (value !== false && value != null) e.setAttribute(name, value);
   }
   e.append(...children.filter(child => child != null));
   return e;
}

const stateClass = i => state(i).replace(" ", "-");
const stateMark = i => element("span", { class: "state " + stateClass(i) }, state(i));

// A style sheet cannot know these; the page's policy allows setting them here.
function styled(e, properties) {
   for (const [name, value] of Object.entries(properties)) e.style.setProperty(name, value);
   return e;
}

// Colours of the style sheet, for the canvases.
let colours;
function readColours() {
   const style = getComputedStyle(document.documentElement);
   const get = name => style.getPropertyValue("--" + name).trim();
   colours = { text: get("text"), quiet: get("quiet"), line: get("line"), accent: get("accent"),
               failed: get("failed"), lane: get("lane"), chain: get("chain"), dim: get("dim"),
               groups: Array.from({ length: 8 }, (_, i) => get("group-" + i)) };
}
readColours();

// Black or white, whichever can be read on a colour: "#rrggbb".
const inks = new Map();
function inkOn(colour) {
   if (!inks.has(colour)) {
      const n = parseInt(colour.slice(1), 16);
      const light = 0.299 * (n >> 16) + 0.587 * (n >> 8 & 255) + 0.114 * (n & 255);
      inks.set(colour, light > 150 ? "#10151d" : "#ffffff");
   }
   return inks.get(colour);
}

// The largest groups have colours of their own; the others share the last one.
const groupSeconds = new Map(), groupPlace = new Map();
for (let i = 0; i < ranCount; i++)
   groupSeconds.set(rows.group[i], (groupSeconds.get(rows.group[i]) || 0) + rows.time[i]);
[...groupSeconds].sort((a, b) => b[1] - a[1]).forEach(([group], i) => {
   groupPlace.set(group, Math.min(i, 7));
});
const groupColour = group => colours.groups[groupPlace.get(group) || 0];
