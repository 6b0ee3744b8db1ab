-- random.lua: each task draws from a stream of its own, made of the seed and
-- of what the task is; so a run gives the same numbers however it is run.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on = kit.on

-- Prints every draw of a script. `draw` is always the same function text.
local HEAD = [[
local flow = require "flowrun"
local kind = os.getenv("KIND") or "threads"
local workers = tonumber(os.getenv("WORKERS") or 2)
local pool = flow[kind](workers)
local function draw(v)
   local random = math.random
   return ("%.17g %d %d"):format(random(), random(6), random(10, 20))
end
local function show(name, t)
   local keys = {}
   for key in pairs(t) do keys[#keys + 1] = key end
   table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
   for _, key in ipairs(keys) do
      local v = t[key]
      print(name, key, type(v) == "string" and v or v:result())
   end
end
]]

-- The stdout of such a script with these lines, and others before all.
local function drawn(lines, environment, options, before)
   local dir, remove = t.directory()
   local script = t.write(dir .. "/script.lua", (before or "") .. HEAD .. lines)
   local status, out, err = t.command(("%s timeout -s KILL 60 %s %s %s"):format(
      environment or "", t.quote(kit.flowrun), options or "", t.quote(script)))
   remove()
   t.equal(status, 0, err)
   t.ok(#out > 0)
   return out
end

local ITEMS = "local items = {} for i = 1, 40 do items[i] = i end items.x = 5\n"
local SCATTER = ITEMS .. 'show("d", pool:scatter(draw, items))'

-- The same --------------------------------------------------------------------

t.test("the same at any number of workers, in any kind of pool", function()
   local wanted = drawn(SCATTER, "WORKERS=1")
   for workers = 2, 4 do
      t.equal(drawn(SCATTER, "WORKERS=" .. workers), wanted,
         workers .. " workers")
   end
   for _, kind in ipairs(kit.kinds) do
      t.equal(drawn(SCATTER, "KIND=" .. kind), wanted, kind)
   end
   t.equal(drawn(SCATTER, "", "-j 3"), wanted)
end)

t.test("the same at any packing, by scatter and by map", function()
   local wanted = drawn(SCATTER)
   for _, chunk in ipairs { "1", "3", "100", '"auto"' } do
      local view = ("local view = pool:with { chunk = %s }\n"):format(chunk)
      local lines = ITEMS .. view .. 'show("d", view:map(draw, items))'
      t.equal(drawn(lines), wanted, "chunk " .. chunk)
   end
end)

t.test("the same whatever else the run does before", function()
   local wanted = drawn(SCATTER)
   t.equal(drawn([[
      local function first() return math.random() end
      for i = 1, 20 do pool:submit(first, i):result() end
      pool:map(function(v)
         math.randomseed(v)
         return math.random()
      end, { 1, 2, 3, 4 })
      math.random()
   ]] .. SCATTER), wanted)
   t.equal(drawn(SCATTER, "", "", "-- a comment\n\nlocal x = 1\n"), wanted)
   t.equal(drawn("pool = flow[kind] { workers = 3, name = 'other' }\n"
      .. SCATTER), wanted)
   t.equal(drawn("pool = pool:with { priority = 4 }\n" .. SCATTER), wanted)
end)

t.test("the same for an item, whatever the other items", function()
   local all = drawn(SCATTER)
   local some = drawn('show("d", pool:scatter(draw, { [7] = 7, x = 5 }))')
   for line in some:gmatch("[^\n]+") do t.ok(all:find(line, 1, true), line) end
end)

t.test("the same in nested tasks", function()
   local lines = [[
      local function outer(n)
         local parts = flow.pool():map(draw, { 1, 2, 3 })
         return parts[1] .. " " .. parts[2] .. " " .. parts[3] .. " " .. draw()
      end
      show("n", pool:scatter(outer, { 1, 2, a = 3 }))
      show("s", { pool:submit(outer, 5) })
   ]]
   local wanted = drawn(lines, "WORKERS=1")
   t.equal(drawn(lines, "WORKERS=3"), wanted)
   t.equal(drawn(lines), wanted)
end)

-- Different -------------------------------------------------------------------

t.test("the seed matters, and 0 is the default", function()
   local wanted = drawn(SCATTER)
   t.equal(drawn(SCATTER, "", "--seed 0"), wanted)
   local one = drawn(SCATTER, "", "--seed 1")
   t.ok(one ~= wanted)
   t.equal(drawn(SCATTER, "", "--seed 1"), one)
   local set = "require('flowrun').options { seed = %d }\n"
   t.equal(drawn(SCATTER, "", "", set:format(1)), one)
   t.equal(drawn(SCATTER, "", "--seed 1", set:format(2)), one)
   t.ok(drawn(SCATTER, "", "--seed 123456789012345") ~= one)
end)

t.test("a name stands in place of the function's text", function()
   local function lines(word, policy)
      return ([[
         local function other(v) local %s = math.random() return %s end
         show("o", pool:with(%s):scatter(other, { 1, 2, 3 }))
      ]]):format(word, word, policy)
   end
   local unnamed_a, unnamed_b = drawn(lines("a", "{}")), drawn(lines("b", "{}"))
   t.ok(unnamed_a ~= unnamed_b)
   t.equal(drawn(lines("a", "{ name = 'n' }")),
      drawn(lines("b", "{ name = 'n' }")))
   t.ok(drawn(lines("a", "{ name = 'n' }")) ~= drawn(lines("a",
      "{ name = 'm' }")))
   t.ok(drawn(lines("a", "{ name = 'n' }")) ~= unnamed_a)
end)

on("no two tasks share a stream", 2, function(pool)
   local seen, n = {}, 0
   local function fresh(values)
      for _, value in pairs(values) do
         t.ok(not seen[value], "drawn twice")
         seen[value], n = true, n + 1
      end
   end
   local function draw() return math.random() end
   local items = {}
   for i = 1, 1000 do items[i] = i end
   fresh(pool:map(draw, items))
   fresh(flow.gather(pool:scatter(draw, items)))
   fresh(pool:with { name = "named" }:map(draw, items))
   local futures = {}
   for i = 1, 100 do futures[i] = pool:submit(draw) end
   for i = 101, 200 do futures[i] = pool:submit(draw, i) end
   fresh(flow.gather(futures))
   fresh(pool:submit(function()
      return flow.pool():map(draw, { 1, 2, 3, 4, 5 })
   end):result())
   fresh(pool:map(function() return math.random() + 0 end, { 1, 2, 3 }))
   t.equal(n, 3208)
end)

t.test("equals are told apart by their order, the same in every run", function()
   local lines = [[
      local futures = {}
      for i = 1, 5 do futures[i] = pool:submit(draw) end
      for i = 6, 8 do futures[i] = pool:submit(draw, "same") end
      show("e", futures)
   ]]
   local wanted = drawn(lines, "WORKERS=1")
   t.equal(drawn(lines, "WORKERS=4"), wanted)
   local seen = {}
   for line in wanted:gmatch("[^\n]+") do
      local value = line:match("^e\t%d+\t(.*)")
      t.ok(not seen[value], line)
      seen[value] = true
   end
end)

-- Within a task ---------------------------------------------------------------

on("math.random in a task is as the language says", 1, function(pool)
   local ok = pool:submit(function()
      for _ = 1, 1000 do
         local a, b, c = math.random(), math.random(6), math.random(-5, 5)
         if a < 0 or a >= 1 or b < 1 or b > 6 or c < -5
            or c > 5 then return false end
         if b % 1 ~= 0 or c % 1 ~= 0 then return false end
      end
      return not pcall(math.random, "x")
   end)
   t.equal(ok:result(), true)
   t.equal(pool:submit(function()
      local mean = 0
      for _ = 1, 10000 do mean = mean + math.random() / 10000 end
      return mean > 0.45 and mean < 0.55
   end):result(), true)
end)

on("randomseed in a task is its own affair", 1, function(pool)
   local function seeded()
      math.randomseed(42)
      return math.random(1000000)
   end
   local function plain() return math.random() end
   local a = pool:submit(seeded):result()
   local x = pool:submit(plain, 1):result()
   local b = pool:submit(seeded):result()
   local y = pool:submit(plain, 2):result()
   t.equal(a, b)
   t.ok(x ~= y)
   math.randomseed(42)
   t.equal(math.random(1000000), a)
end)

on("a local copy of math.random draws from the same stream", 1, function(pool)
   local random = math.random
   local m = math
   local function three() return math.random(), random(), m.random() end
   local a, b, c = pool:submit(three):result()
   t.ok(a ~= b and b ~= c and a ~= c)
   local d = pool:submit(three):result()
   t.ok(a ~= d)
   t.ok(pool:submit(math.random):result() ~= pool:submit(math.random):result())
end)

return t.finish()
