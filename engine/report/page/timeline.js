// The timeline of workers: a lane for each, a box for each task. Only what is in
// view is drawn; tasks narrower than a pixel are drawn as the share of the pixel
// that they fill.

const PAD = 16; // right of the charts, for half of the last number
const view = { from: 0, to: wall || 1 };
const line = { canvas: $("line"), context: $("line").getContext("2d"), width: 0, height: 0,
               gutter: 0, right: 0, axis: 24, hover: -1, drag: null, due: false };
let selected = -1;
let found = null; // rows found: a byte each, or null
const onChain = new Uint8Array(rows.count);
for (const i of chain) onChain[i] = 1;

// ---- where things are -----------------------------------------------------

function layout() {
   const ratio = window.devicePixelRatio || 1, canvas = line.canvas;
   const levels = lanes.reduce((sum, lane) => sum + lane.depth, 0) || 1;
   const height = Math.max(5, Math.min(26, Math.floor(460 / levels)));

   line.width = $("line-box").clientWidth;
   line.right = line.width - PAD;
   line.gutter = line.width < 500 ? 56 : 92;
   let y = line.axis;
   for (const lane of lanes) {
      lane.y = y;
      lane.height = height;
      y += height * lane.depth + (height > 8 ? 3 : 1);
   }
   line.height = y + 4;
   canvas.style.height = line.height + "px";
   canvas.width = Math.round(line.width * ratio);
   canvas.height = Math.round(line.height * ratio);
   line.context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

const scale = () => (line.right - line.gutter) / (view.to - view.from);
const timeAt = x => view.from + (x - line.gutter) / scale();

// The first row of the lane that ends after a time.
function firstAfter(lane, time) {
   let low = lane.first, high = lane.end;

   while (low < high) {
      const middle = (low + high) >> 1;
      if (rows.reach[middle] > time) high = middle;
      else low = middle + 1;
   }
   return low;
}

function laneAt(y) {
   return lanes.find(lane => y >= lane.y && y < lane.y + lane.height * lane.depth);
}

// The row at a point; a narrow one is found within two pixels.
function rowAt(x, y) {
   const lane = laneAt(y);
   if (!lane || x < line.gutter || x > line.right + 2) return -1;
   const depth = Math.floor((y - lane.y) / lane.height), time = timeAt(x), near = 2 / scale();
   let best = -1, distance = Infinity;

   for (let i = firstAfter(lane, time - near); i < lane.end && rows.start[i] <= time + near; i++) {
      const d = Math.max(rows.start[i] - time, time - rows.end[i], 0);
      if (rows.depth[i] === depth && d < distance) {
         best = i;
         distance = d;
      }
   }
   return best;
}

// ---- drawing --------------------------------------------------------------

const steps = [1, 2, 5];
function axisStep(span, most) {
   let step = Math.pow(10, Math.floor(Math.log10(span / most)));
   if (span > 90) {
      for (const s of [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400])
         if (span / s <= most) return s;
      return 86400 * Math.ceil(span / 86400 / most);
   }
   for (let i = 0; ; i = (i + 1) % 3, step *= i === 0 ? 10 : 1)
      if (span / (step * steps[i]) <= most) return step * steps[i];
}

// How the ticks of an axis are written: all in the unit of the largest one.
function axisSeconds(ticks) {
   const last = Math.abs(ticks[ticks.length - 1] || 0);
   const step = ticks.length > 1 ? ticks[1] - ticks[0] : last || 1;
   if (last >= 120 && step >= 1)
      return t => {
         const h = Math.floor(t / 3600), m = Math.floor(t / 60 % 60), s = Math.floor(t % 60);
         return (h ? h + ":" + String(m).padStart(2, "0") : m) + ":" + String(s).padStart(2, "0");
      };
   const [unit, k] = last >= 1 ? ["s", 1] : last >= 1e-3 ? ["ms", 1e3] : ["µs", 1e6];
   let places = 0;
   for (let s = step * k; places < 9 && Math.abs(s - Math.round(s)) > 1e-3 * s; s *= 10) places++;
   return t => (t * k).toFixed(places) + " " + unit;
}

function drawAxis(c) {
   const most = Math.max(2, (line.right - line.gutter) / 90);
   const step = axisStep(view.to - view.from, most), k = scale(), ticks = [];

   for (let n = Math.ceil(view.from / step - 1e-9); n * step <= view.to; n++) ticks.push(n * step);
   const write = axisSeconds(ticks);
   c.font = "12px system-ui, sans-serif";
   c.textBaseline = "middle";
   c.textAlign = "center";
   for (const t of ticks) {
      const x = Math.round(line.gutter + (t - view.from) * k) + 0.5;
      c.fillStyle = colours.line;
      c.fillRect(x - 0.5, line.axis - 6, 1, line.height - line.axis + 2);
      c.fillStyle = colours.quiet;
      const text = write(t), half = c.measureText(text).width / 2;
      c.fillText(text, Math.min(Math.max(x, line.gutter + half), line.width - half), 9);
   }
}

function drawNames(c, top, bottom) {
   let last = -100;

   c.textAlign = "right";
   c.fillStyle = colours.quiet;
   for (const [i, lane] of lanes.entries()) {
      const y = lane.y + lane.height * lane.depth / 2;
      if (y < top || y > bottom || y - last < 13) continue;
      last = y;
      c.fillText(laneName(i), line.gutter - 8, y, line.gutter - 10);
   }
}

function boxColour(i) {
   if (rows.what[i] & (FAILED | AGAIN)) return colours.failed;
   return rows.what[i] & CANCELLED ? colours.quiet : groupColour(rows.group[i]);
}

function drawBox(c, i, x, y, width, height) {
   const dimmed = found && !found[i];

   c.fillStyle = dimmed ? colours.dim : boxColour(i);
   const gap = width > 3 ? 0.75 : 0;
   c.fillRect(x, y, width - gap, height);
   if (width < 34 || height < 12) return;
   c.fillStyle = dimmed ? colours.quiet : inkOn(c.fillStyle);
   const name = title(i), room = width - 8;
   const letters = Math.floor(room / 6.2);
   c.fillText(name.length > letters ? name.slice(0, Math.max(1, letters - 1)) + "…" : name,
              x + 4, y + height / 2 + 0.5, room);
}

// Boxes narrower than a pixel, of one lane and depth, pixel by pixel.
function pixels(c, y, height) {
   let at = -1, filled = 0, most = 0, row = -1, special = false;

   function flush() {
      if (row >= 0) {
         c.fillStyle = found && !found[row] ? colours.dim : boxColour(row);
         c.globalAlpha = special ? 1 : 0.3 + 0.7 * Math.min(1, filled);
         c.fillRect(at, y, 1, height);
         c.globalAlpha = 1;
      }
      filled = most = 0;
      row = -1;
      special = false;
   }
   function add(i, x, width) {
      const pixel = Math.floor(x);
      if (pixel !== at) {
         flush();
         at = pixel;
      }
      filled += width;
      // What was looked for, and what failed, must not be lost among others.
      const weight = width + (found && found[i] ? 1e9 : 0)
         + (rows.what[i] & (FAILED | AGAIN) ? 1e6 : 0);
      special = special || weight >= 1e6;
      if (row < 0 || weight > most) {
         most = weight;
         row = i;
      }
   }
   return { add, flush };
}

function drawLane(c, lane) {
   const k = scale(), left = line.gutter, height = lane.height;
   const small = Array.from({ length: lane.depth },
                            (_, d) => pixels(c, lane.y + d * height, height));

   c.fillStyle = colours.lane;
   c.fillRect(left, lane.y, line.right - left, height * lane.depth);
   c.textAlign = "left";
   for (let i = firstAfter(lane, view.from); i < lane.end && rows.start[i] < view.to; i++) {
      const x = left + (rows.start[i] - view.from) * k, width = rows.time[i] * k;
      if (width < 1.5) small[rows.depth[i]].add(i, Math.max(left, x), width);
      else {
         const from = Math.max(left, x), to = Math.min(x + width, line.right);
         drawBox(c, i, from, lane.y + rows.depth[i] * height, to - from, height);
      }
   }
   for (const s of small) s.flush();
}

function outline(c, i, colour, width) {
   if (i < 0 || rows.lane[i] < 0 || rows.end[i] < view.from || rows.start[i] > view.to) return;
   const lane = lanes[rows.lane[i]], k = scale();
   const from = Math.max(line.gutter, line.gutter + (rows.start[i] - view.from) * k);
   const to = Math.max(from + 2, Math.min(line.right, line.gutter + (rows.end[i] - view.from) * k));

   c.strokeStyle = colour;
   c.lineWidth = width;
   c.strokeRect(from, lane.y + rows.depth[i] * lane.height + width / 2, to - from,
                lane.height - width);
}

function drawChain(c) {
   let last = -1;

   for (const i of chain) {
      const x = Math.floor(line.gutter + (rows.start[i] - view.from) * scale());
      if (x === last) continue;
      last = x;
      outline(c, i, colours.chain, 2);
   }
}

function drawLine() {
   const c = line.context, box = $("line-box");
   const top = box.scrollTop - 30, bottom = box.scrollTop + box.clientHeight + 30;

   line.due = false;
   c.clearRect(0, 0, line.width, line.height);
   drawAxis(c);
   c.font = "12px system-ui, sans-serif";
   for (const lane of lanes)
      if (lane.y + lane.height * lane.depth > top && lane.y < bottom) drawLane(c, lane);
   drawNames(c, top, bottom);
   if ($("chain").checked) drawChain(c);
   outline(c, line.hover, colours.text, 1);
   outline(c, selected, colours.text, 2);
   if (line.drag && line.drag.moved && !line.drag.pan) drawDrag(c);
   $("range").textContent = view.to - view.from < wall * 0.999 ? rangeText() : "";
}

// With as many digits as tell the ends apart.
function rangeText() {
   const write = axisSeconds([view.from, view.from + (view.to - view.from) / 20, view.to]);
   return write(view.from) + " – " + write(view.to);
}

function drawDrag(c) {
   const { x, now } = line.drag;

   c.fillStyle = colours.accent + "33";
   c.fillRect(Math.min(x, now), line.axis, Math.abs(now - x), line.height - line.axis);
}

function redraw() {
   if (line.due) return;
   line.due = true;
   requestAnimationFrame(drawLine);
}

// ---- the view -------------------------------------------------------------

let useDue = false;
function setView(from, to) {
   const least = Math.max(wall * 1e-7, 1e-9);
   const span = Math.min(Math.max(to - from, least), wall || 1);

   view.from = Math.max(0, Math.min(from, (wall || 1) - span));
   view.to = view.from + span;
   redraw();
   if (useDue) return;
   useDue = true;
   requestAnimationFrame(() => {
      useDue = false;
      updateUse();
   });
}

// Around `at`, which stays where it is on the screen.
function zoom(factor, at = (view.from + view.to) / 2) {
   setView(at - (at - view.from) * factor, at + (view.to - at) * factor);
}

function move(share) {
   const by = (view.to - view.from) * share;
   setView(view.from + by, view.to + by);
}

// So that the row is in it, and not too narrow to be seen.
function show(i) {
   if (rows.lane[i] < 0) return;
   const span = view.to - view.from, lane = lanes[rows.lane[i]], box = $("line-box");
   if (rows.time[i] * scale() < 4 || rows.time[i] > span) {
      const half = Math.max(rows.time[i] * 6, wall * 1e-6);
      const middle = (rows.start[i] + rows.end[i]) / 2;
      setView(middle - half, middle + half);
   } else if (rows.start[i] < view.from || rows.end[i] > view.to) {
      setView(rows.start[i] - span / 2, rows.start[i] + span / 2);
   }
   if (lane.y < box.scrollTop || lane.y + lane.height > box.scrollTop + box.clientHeight)
      box.scrollTop = lane.y - box.clientHeight / 2;
}

// ---- the hand and the keys ------------------------------------------------

function tipLines(i) {
   const parts = [seconds(rows.time[i]) + " on " + laneName(rows.lane[i]),
                  "from " + seconds(rows.start[i]) + ", waited " + seconds(waited(i))];
   if (rows.attempt[i] > 1) parts.push("attempt " + rows.attempt[i]);
   if (rows.error[i]) parts.push(clean(run.errors[rows.error[i] - 1][1]).slice(0, 200));
   return parts;
}

function showTip(i, event) {
   const tip = $("tip");

   tip.hidden = i < 0;
   if (i < 0) return;
   tip.replaceChildren(element("b", null, title(i)),
      stateMark(i), ...tipLines(i).map(text => element("div", null, text)));
   const x = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
   const y = event.clientY + tip.offsetHeight + 24 > window.innerHeight
      ? event.clientY - tip.offsetHeight - 10 : event.clientY + 16;
   styled(tip, { left: Math.max(4, x) + "px", top: y + "px" });
}

function at(event) {
   const box = line.canvas.getBoundingClientRect();
   return [event.clientX - box.left, event.clientY - box.top];
}

function dragTo(x) {
   const drag = line.drag;

   if (Math.abs(x - drag.x) > 3) drag.moved = true;
   if (drag.pan) setView(drag.from - (x - drag.x) / scale(), drag.to - (x - drag.x) / scale());
   drag.now = Math.max(line.gutter, Math.min(x, line.right));
   redraw();
}

function drop(x, y) {
   const drag = line.drag;

   line.drag = null;
   if (!drag.moved) {
      const i = rowAt(x, y);
      if (i >= 0) select(i, false);
   } else if (!drag.pan) {
      setView(timeAt(Math.min(drag.x, drag.now)), timeAt(Math.max(drag.x, drag.now)));
   }
   redraw();
}

function neighbour(step) {
   const i = selected < 0 || rows.lane[selected] < 0 ? 0 : selected + step;
   if (i >= 0 && i < ranCount) select(i, true);
}

const keys = {
   "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => setView(0, wall),
   ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), Home: () => setView(0, wall),
   ArrowUp: () => neighbour(-1), ArrowDown: () => neighbour(1),
};

function listenToHand(canvas) {
   canvas.addEventListener("pointerdown", event => {
      if (event.button > 1) return;
      const [x] = at(event);
      line.drag = { x, now: x, moved: false, pan: event.shiftKey || event.button === 1,
                    from: view.from, to: view.to };
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
   });
   canvas.addEventListener("pointermove", event => {
      const [x, y] = at(event);
      if (line.drag) dragTo(x);
      const i = line.drag && line.drag.moved ? -1 : rowAt(x, y);
      if (i !== line.hover) redraw();
      line.hover = i;
      showTip(i, event);
   });
   canvas.addEventListener("pointerup", event => { if (line.drag) drop(...at(event)); });
   canvas.addEventListener("pointercancel", () => { line.drag = null; redraw(); });
   canvas.addEventListener("pointerleave", event => {
      line.hover = -1;
      showTip(-1, event);
      redraw();
   });
   canvas.addEventListener("dblclick", () => setView(0, wall));
}

function startLine() {
   const canvas = line.canvas;

   listenToHand(canvas);
   // A wheel over a page scrolls the page, until somebody has come into the chart.
   canvas.addEventListener("wheel", event => {
      if (!event.ctrlKey && document.activeElement !== canvas) return;
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX / 1000);
      else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), timeAt(at(event)[0]));
   }, { passive: false });
   canvas.addEventListener("keydown", event => {
      const action = keys[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      action();
   });
   $("line-box").addEventListener("scroll", redraw);
   $("zoom-in").addEventListener("click", () => zoom(0.5));
   $("zoom-out").addEventListener("click", () => zoom(2));
   $("zoom-all").addEventListener("click", () => setView(0, wall));
   $("chain").addEventListener("change", redraw);
   $("chain-label").hidden = chain.length === 0;
   layout();
}
