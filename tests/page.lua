-- page.lua TO FROM DIRECTORY: what people do with a report, done by a browser.
package.path = "tests/?.lua;" .. package.path
local browser = require("browser")

local b = browser.open(arg[1], arg[2])
local directory = arg[3]
local passed, failed = 0, 0

local function check(what, ...)
   if what then
      passed = passed + 1
   else
      failed = failed + 1
      print(debug.traceback(table.concat({ "page.lua:", ... }, " "), 2))
   end
   return what
end

local function is(found, wanted)
   check(found == wanted, "found", tostring(found), "wanted", tostring(wanted))
end

local function text(selector)
   return b:eval(("document.querySelector(%q).textContent"):format(selector))
end

local function number(script) return tonumber(b:eval(script)) end

-- No message, no failure, no request but for the page itself, no dialog.
local function quiet()
   for _, event in ipairs(b.events) do
      local method = event:match('"method":"([^"]*)"')
      check(method ~= "Runtime.exceptionThrown" and method ~= "Runtime.consoleAPICalled"
            and method ~= "Log.entryAdded" and method ~= "Page.javascriptDialogOpening", event:sub(1, 600))
      if method == "Network.requestWillBeSent" then
         check(event:find('"url":"file://', 1, true) and not event:find('"type":"Script"', 1, true),
               event:sub(1, 600))
      end
   end
end

local first = "document.querySelector('#table tbody tr[data-row]')"
local function first_row(cell)
   return b:eval(("%s.cells[%d].textContent"):format(first, cell))
end

-- A name under the pointer in the timeline; then it is clicked.
local function hover_and_select()
   local x, y, width = b:place("#line")
   local name
   for i = 1, 40 do
      b:move(x + 100 + (width - 120) * i / 41, y + 24 + 10)
      if not b:eval("document.querySelector('#tip').hidden") then
         name = text("#tip b")
         b:click(x + 100 + (width - 120) * i / 41, y + 24 + 10)
         break
      end
   end
   if check(name and #name > 0, "nothing under the pointer") then
      is(text("#detail h3"), name)
      is(text("#table tr[aria-selected=true] td"), name)
   end
end

local function zoom()
   local x, y, width = b:place("#line")
   is(text("#range"), "")
   b:drag(x + width * 0.4, y + 60, x + width * 0.6, y + 60)
   local dragged = text("#range")
   check(dragged ~= "", "dragging did not zoom")
   b:wheel(x + width * 0.5, y + 60, -300)
   check(text("#range") ~= dragged, "the wheel did not zoom")
   b:key("0", 48)
   is(text("#range"), "")
   b:key("+", 187)
   check(text("#range") ~= "", "a key did not zoom")
   b:press("#zoom-all")
   is(text("#range"), "")
   b:press("#chain")
end

local function search()
   b:press("#find")
   b:type("MESH 7")
   local shown, all = text("#found"):match("^(%S+) of (%S+) rows")
   check(shown, "found:", text("#found"))
   check(shown and shown ~= "0" and shown ~= all, "not some rows:", tostring(shown))
   check(first_row(0):find("^mesh %[%d*7"), first_row(0))
   b:eval("document.querySelector('#find').select(), 1")
   b:key("Delete", 46)
   check(not text("#found"):find(" of "), text("#found"))
end

local function sort()
   local index = number([[[...document.querySelectorAll('#table thead th')].findIndex(
                          th => th.textContent.startsWith('Took'))]])
   b:press("#sort-time")
   local longest = first_row(index)
   is(b:eval("document.querySelector('#sort-time').parentNode.getAttribute('aria-sort')"), "descending")
   b:press("#sort-time")
   check(first_row(index) ~= longest, "the same row is first in both orders")
   b:press("#sort-name")
   check(first_row(0):find("^crash_test %[1%]"), first_row(0))
   b:press("#table tbody tr[data-row]")
   local name = text("#detail h3")
   b:eval("document.querySelector('#table-box').focus(), 1")
   b:key("ArrowDown", 40)
   check(text("#detail h3") ~= name, "the arrow did not select another row")
end

local function failures()
   local count = text("#only-failed"):match("(%d+)")
   b:press("#only-failed")
   is(text("#found"):match("^(%S+) of"), count)
   is(number("document.querySelectorAll('#table tbody tr[data-row]:not(.failed)').length"), 0)
   b:press("#table tbody tr[data-row]")
   check(text("#detail .message"):find("mesh folds over", 1, true), "no message")
   check(text("#detail pre"):find("crash.lua:41: in function 'solve'", 1, true), "no traceback")
   b:press("#failures summary")
   check(not b:eval("document.querySelector('#failures details').open"), "the failure did not close")
   b:press("#only-all")
end

local function costs()
   local sum = number([[[...document.querySelectorAll('#costs-list tbody tr')].reduce(
      (sum, row) => sum + parseFloat(row.cells[2].textContent), 0)]])
   check(sum > 98 and sum < 102, "the costs are", tostring(sum), "% of the time")
   check(#text("#advice") > 30, "no advice")
   check(b:eval("document.querySelector('#use-chart canvas') !== null"), "no chart")
end

-- Something is drawn in the timeline: many colours.
local function painted()
   return number([[(() => {
      const c = document.querySelector('#line');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      const seen = new Set();
      for (let i = 0; i < d.length; i += 4) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
      return seen.size;
   })()]])
end

-- The colours follow the system, also those of the charts.
local function dark()
   local function lightness()
      return number("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
   end
   local function scheme(name)
      b:call("Emulation.setEmulatedMedia",
         { features = { { name = "prefers-color-scheme", value = name } } })
      b:settle()
   end
   scheme("light")
   check(lightness() > 200, "light is dark")
   scheme("dark")
   check(lightness() < 60, "dark is light")
   scheme("light")
end

for _, tasks in ipairs{ 6, 500, 50000 } do
   b:visit(("%s/%d.html"):format(directory, tasks))
   print(("%d tasks: drawn after %.0f ms"):format(tasks,
      number("performance.getEntriesByName('drawn')[0].startTime")))
   is(text("h1"), "crash_grid.lua")
   check(painted() > 3, "nothing in the timeline")
   costs()
   hover_and_select()
   zoom()
   if tasks > 6 then
      search()
      sort()
      failures()
   end
   dark()
   quiet()
end

b:visit(directory .. "/real.html")
is(text("h1"), "crash_grid.lua")
check(painted() > 3, "nothing in the timeline of a real run")
costs()
hover_and_select()
quiet()

b:visit(directory .. "/hostile.html")
is(number("document.querySelectorAll('img').length"), 0)
is(number("document.scripts.length"), 2)
check(text("#table"):find("<img src=x onerror=alert(1)>", 1, true), "a name is not shown as it is")
check(text("#table"):find("\\u{202e}reversed", 1, true), "a name turns the text around it")
quiet()
b:close()
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0)
