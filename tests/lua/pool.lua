-- pool.lua: the verbs of a pool, its order, its policies and its end.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end
local function double(x) return x * 2 end

-- submit ----------------------------------------------------------------------

on("submit gives a future of all results", 2, function(pool)
   t.equal(pool:submit(double, 21):result(), 42)
   t.same({ pool:submit(echo, 1, nil, "x"):result() }, { 1, nil, "x" })
   t.equal(select("#", pool:submit(function() end):result()), 0)
   t.equal(select("#", pool:submit(function() return nil, nil end):result()), 2)
   local future = pool:submit(double, 4)
   t.equal(future:result(), 8)
   t.equal(future:result(), 8)
end)

on("what is no function is refused by submit, scatter and map", 1,
   function(pool)
   misuse(function() pool:submit() end, "function")
   misuse(function() pool:submit(nil, 1) end, "function")
   misuse(function() pool:submit(42) end, "function")
   misuse(function() pool:submit("print") end, "function")
   misuse(function() pool:scatter(nil, {}) end, "function")
   misuse(function() pool:scatter({}, {}) end, "function")
   misuse(function() pool:map("x", {}) end, "function")
   misuse(function() pool:map({ 1 }, echo) end, "function")
   t.equal(pool:stats().done, 0)
end)

on("a command belongs to a pool of commands", 1, function(pool)
   misuse(function() pool:submit { "echo", "x" } end, "function")
end)

on("what is no table is refused by scatter and map", 1, function(pool)
   for _, bad in ipairs { 1, "x", true, echo } do
      misuse(function() pool:scatter(echo, bad) end, "table")
      misuse(function() pool:map(echo, bad) end, "table")
   end
   misuse(function() pool:scatter(echo) end, "table")
   misuse(function() pool:map(echo, nil) end, "table")
end)

on("a method without its pool is misuse, not a crash", 1, function(pool)
   for _, name in ipairs { "submit", "scatter", "map", "with", "drain",
                           "cancel", "close", "stats" } do
      local method = pool[name]
      t.equal(type(method), "function", name)
      for _, self in ipairs { false, 5, "pool", {}, io.stdout, echo } do
         local ok, err = pcall(method, self, echo, {})
         t.equal(ok, false, name)
         t.equal(type(err), "string", name)
      end
      t.equal((pcall(method)), false, name)
   end
   t.equal(pool:submit(echo, 1):result(), 1)
end)

-- scatter and map -------------------------------------------------------------

local KEYED = { 10, 20, 30, [0] = 40, [-1] = 50, [2.5] = 60, [100] = 70,
                a = 80, ["b c"] = 90, [true] = 100, [false] = 110, [""] = 120 }

on("scatter and map keep the keys and pass them", 2, function(pool)
   local function both(value, key) return { value, key } end
   local futures = pool:scatter(both, KEYED)
   local results = pool:map(both, KEYED)
   local gathered = flow.gather(futures)
   local count = 0
   for key, value in pairs(KEYED) do
      t.same(futures[key]:result(), { value, key })
      t.same(results[key], { value, key })
      t.same(gathered[key], { value, key })
      count = count + 1
   end
   for _, got in ipairs { futures, results, gathered } do
      for _ in pairs(got) do count = count - 1 end
   end
   t.equal(count, -2 * 12)
end)

on("empty tables", 2, function(pool)
   t.same(pool:scatter(echo, {}), {})
   t.same(pool:map(echo, {}), {})
   t.same(pool:with { chunk = 3 }:map(echo, {}), {})
   t.equal(pool:stats().done, 0)
end)

on("nil, false and several results of map", 2, function(pool)
   t.same(pool:map(function() end, { 1, 2, 3 }), {})
   t.same(pool:map(function(x) if x % 2 == 0 then return x end end,
      { 1, 2, 3, 4 }),
      { [2] = 2, [4] = 4 })
   t.same(pool:map(function() return false, "second" end, { 1, a = 1 }),
      { false, a = false })
   t.same(pool:map(function() return nil, "second" end, { 1 }), {})
   t.same(pool:map(echo, { false, true }), { false, true })
end)

on("map gives a new table and leaves the old one", 2, function(pool)
   local items = { 1, 2, { 3 } }
   local results = pool:map(echo, items)
   t.ok(results ~= items and results[3] ~= items[3])
   t.same(results, { 1, 2, { 3 } })
   t.same(items, { 1, 2, { 3 } })
end)

on("lists with holes", 2, function(pool)
   local holes = { 1, nil, 3, nil, nil, 6, [40] = 40 }
   t.same(pool:map(echo, holes), holes)
   t.same(flow.gather(pool:scatter(echo, holes)), holes)
end)

on("keys are strings, numbers or booleans", 1, function(pool)
   local path, notes = kit.notes()
   local function work(v) note(path, "ran") return v end
   for _, key in ipairs { {}, echo, io.stdout, coroutine.create(print) } do
      misuse(function() pool:scatter(work, { 1, [key] = 2 }) end, "key")
      misuse(function() pool:map(work, { 1, [key] = 2 }) end, "key")
   end
   pool:drain()
   t.equal(notes(), "")
end)

on("a list of items that change type half-way", 2, function(pool)
   local items = {}
   for i = 1, 300 do items[i] = i end
   for i = 301, 600 do items[i] = i + 0.5 end
   for i = 601, 700 do items[i] = "s" .. i end
   for i = 701, 800 do items[i] = { i } end
   for i = 801, 900 do items[i] = i % 2 == 0 end
   t.same(pool:map(echo, items), items)
   t.same(pool:map(function(v, k) return type(v) == "number" and k or v end,
      items)[250], 250)
end)

on("every chunk size gives the same results", 2, function(pool)
   local items, wanted = {}, {}
   for i = 1, 100 do items[i], wanted[i] = i, i * 3 end
   items.last, wanted.last = 5, 15
   for _, chunk in ipairs { 1, 2, 3, 7, 99, 100, 101, 102, 1000, 2 ^ 31,
      "auto" } do
      t.same(pool:with { chunk = chunk }:map(function(v) return v * 3 end,
         items), wanted,
         "chunk " .. tostring(chunk))
   end
end)

on("a chunk is a count from 1, or auto", 1, function(pool)
   for _, chunk in ipairs { 0, -1, 1.5, "x", "", 0 / 0, 1 / 0, -1 / 0, true,
      {} } do
      misuse(function() pool:with { chunk = chunk } end, "chunk")
   end
end)

on("map raises the first error, with its key", 1, function(pool)
   local function work(v, key)
      if v == 13 then error("unlucky") end
      return key
   end
   for _, chunk in ipairs { 1, 4, 100, "auto" } do
      local items = {}
      for i = 1, 30 do items[i] = i end
      local err = refused("error", function()
         pool:with { chunk = chunk }:map(work, items)
      end, "unlucky")
      t.equal(err.key, 13)
      t.match(err.message, "pool%.lua:%d+: unlucky")
      err = refused("error", function() pool:with { chunk = chunk }:map(work,
         { a = 1, bad = 13, c = 2 }) end, "unlucky")
      t.equal(err.key, "bad")
      t.same(pool:map(work, { 7, 8 }), { 1, 2 })
   end
end)

on("an error stops what map has not started", 1, function(pool)
   local path, notes = kit.notes()
   refused("error", function()
      pool:with { chunk = 1 }:map(function(v)
         note(path, v)
         if v == 2 then error("stop") end
      end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
         20 })
   end, "stop")
   pool:drain()
   local ran = notes()
   t.match(ran, "^1 2")
   t.ok(not ran:find("20"), ran)
end)

on("map results are in the order of the items, whatever ends first", 4,
   function(pool)
   local items = {}
   for i = 1, 40 do items[i] = (40 - i) * 2000 end
   local results = pool:with { chunk = 1 }:map(function(n)
      local sum = 0
      for i = 1, n do sum = sum + i end
      return n
   end, items)
   t.same(results, items)
end)

-- How many --------------------------------------------------------------------

for _, kind in ipairs(kit.kinds) do
   t.test(kind .. ": a count of workers from 1 to 1024", function()
      local open = flow[kind]
      for _, bad in ipairs { 0, -1, 1.5, 1025, 1000000, 2 ^ 31, 2 ^ 32 + 1,
         2 ^ 63,
                             0 / 0, 1 / 0, -1 / 0, "x", "", true, echo } do
         misuse(function() open(bad) end, "workers")
         misuse(function() open { workers = bad } end, "workers")
      end
      misuse(function() open { wrokers = 2 } end, "wrokers")
      misuse(function() open { 2 } end, "1")
      misuse(function() open { name = 5 } end, "name")
      misuse(function() open { init = 5 } end, "init")
      misuse(function() flow.pool(0) end, "workers")
      misuse(function() flow.pool { workers = "x" } end, "workers")
      misuse(function() flow.threads(1, { name = "x" }) end, "one argument")
      local pool = open(1024)
      t.equal(pool:stats().workers, 1024)
      t.equal(pool:submit(echo, 1):result(), 1)
      pool:close()
   end)

   t.test(kind .. ": the default count is that of usable CPUs", function()
      local _, out = t.command("nproc")
      local pool = flow[kind]()
      local workers = pool:stats().workers
      t.ok(workers >= 1 and workers <= tonumber(out), tostring(workers))
      pool:close()
      pool = flow[kind] { name = "named" }
      t.equal(pool:stats().workers, workers)
      t.equal(pool:submit(echo, 1):info().pool, "named")
      pool:close()
      pool = flow[kind] {}
      t.equal(pool:stats().workers, workers)
      pool:close()
   end)
end

on("never more tasks run than there are workers", 3, function(pool)
   local release, held = hold(pool, 3)
   local more = {}
   for i = 1, 12 do more[i] = pool:submit(echo, i) end
   local items = pool:scatter(echo, { 1, 2, 3 })
   local stats = pool:stats()
   t.equal(stats.workers, 3)
   t.equal(stats.running, 3)
   t.equal(stats.queued, 15)
   for _, future in ipairs(more) do t.equal(future:state(), "pending") end
   release()
   flow.gather(held)
   flow.gather(more)
   flow.gather(items)
   stats = pool:stats()
   t.equal(stats.running, 0)
   t.equal(stats.queued, 0)
   t.equal(stats.done, 18)
end)

on("a task that sleeps stands for one that works: it keeps its worker", 2,
   function(pool)
   local futures = {}
   for i = 1, 8 do futures[i] = pool:submit(function() flow.sleep(0.01) end) end
   flow.gather(futures)
   local infos = {}
   for i, future in ipairs(futures) do infos[i] = future:info() end
   for _, a in ipairs(infos) do
      local together = 0
      for _, b in ipairs(infos) do
         if b.started <= a.started
            and a.started < b.finished then together = together + 1 end
      end
      t.ok(together <= 2, together .. " at once")
   end
end)

on("a pool of one does everything", 1, function(pool)
   t.same(pool:map(double, { 1, 2, 3 }), { 2, 4, 6 })
   t.equal(pool:submit(function() return flow.pool():submit(double,
      4):result() end):result(), 8)
end)

on("stats count what happened", 1, function(pool)
   local names = { "workers", "queued", "running", "done", "failed",
                   "cancelled", "retried", "crashed", "lost" }
   for _, name in ipairs(names) do
      t.equal(type(pool:stats()[name]), "number", name)
      t.equal(pool:stats()[name], name == "workers" and 1 or 0, name)
   end
   for i = 1, 5 do pool:submit(echo, i) end
   for _ = 1, 3 do pool:submit(error, "boom"):try() end
   local release, held = hold(pool)
   local pending = { pool:submit(echo, 1), pool:submit(echo, 2) }
   pending[1]:cancel()
   release()
   held[1]:result()
   pending[2]:result()
   local stats = pool:stats()
   t.equal(stats.done, 7)
   t.equal(stats.failed, 3)
   t.equal(stats.cancelled, 1)
   t.equal(stats.queued + stats.running + stats.crashed + stats.lost, 0)
end)

-- The end ---------------------------------------------------------------------

on("drain waits for all; false when its time ran out", 1, function(pool)
   t.ok(pool:drain())
   local path, notes = kit.notes()
   local release = hold(pool)
   for _ = 1, 3 do pool:submit(note, path, "x") end
   t.equal(pool:drain(0), false)
   t.equal(pool:drain(0.01), false)
   release()
   t.ok(pool:drain())
   t.equal(notes(), "x x x")
   t.ok(pool:drain(60))
   t.equal(pool:submit(echo, 1):result(), 1)
   misuse(function() pool:drain("x") end, "seconds")
end)

on("cancel drops what is pending", 1, function(pool)
   local path, notes = kit.notes()
   local release, held = hold(pool)
   local futures = {}
   for i = 1, 10 do futures[i] = pool:submit(note, path, "ran") end
   local keyed = pool:scatter(function() note(path, "ran") end,
      { a = 1, b = 2 })
   pool:cancel()
   release()
   for _, future in ipairs(futures) do
      t.equal(future:state(), "cancelled")
      fails("cancelled", future)
   end
   fails("cancelled", keyed.a)
   held[1]:wait()
   pool:drain()
   t.equal(notes(), "")
   t.ok(pool:stats().cancelled >= 12)
   t.equal(pool:submit(echo, "usable"):result(), "usable")
   pool:with { name = "view" }:cancel()
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("close waits for what is pending", 2, function(pool)
   local futures = {}
   for i = 1, 50 do futures[i] = pool:submit(double, i) end
   pool:close()
   for i, future in ipairs(futures) do
      t.equal(future:state(), "done")
      t.equal(future:result(), i * 2)
   end
   pool:close()
   pool:close()
end)

on("after close there is nothing to hand out to", 1, function(pool)
   local view = pool:with { name = "view" }
   pool:close()
   local err = refused("closed", function() pool:submit(echo, 1) end)
   t.equal(type(tostring(err)), "string")
   refused("closed", function() pool:scatter(echo, { 1 }) end)
   refused("closed", function() pool:map(echo, { 1 }) end)
   refused("closed", function() view:submit(echo, 1) end)
   t.ok(pool:drain())
   pool:cancel()
   t.equal(pool:stats().running, 0)
end)

on("close right after a map or a scatter", 2, function(_, kind)
   for i = 1, 50 do
      local pool = flow[kind](2)
      local futures = pool:scatter(double, { i, 2, 3 })
      pool:close()
      t.same(flow.gather(futures), { i * 2, 4, 6 })
   end
   for i = 1, 50 do
      local pool = flow[kind](1 + i % 3)
      t.same(pool:map(double, { i, 2 }), { i * 2, 4 })
      pool:close()
   end
end)

on("a pool that nobody holds finishes its tasks", 1, function(_, kind)
   local futures = {}
   do
      local pool = flow[kind](1)
      for i = 1, 50 do futures[i] = pool:submit(double, i) end
   end
   collectgarbage()
   collectgarbage()
   for i, future in ipairs(futures) do t.equal(future:result(), i * 2) end
   local path, notes = kit.notes()
   do
      flow[kind](1):submit(note, path, "ran")
   end
   collectgarbage()
   collectgarbage()
   local late = flow.now() + 10
   while t.read(path) == "" and flow.now() < late do flow.sleep(0.001) end
   t.equal(notes(), "ran")
end)

if math.type then
   on("a pool is closed at the end of its scope", 1, function(_, kind)
      local body = load([[
         local flow, kind, echo = ...
         local future, kept
         do
            local pool <close> = flow[kind](1)
            future, kept = pool:submit(echo, 7), pool
         end
         return future, kept
      ]])
      local future, kept = body(flow, kind, echo)
      t.equal(future:state(), "done")
      t.equal(future:result(), 7)
      refused("closed", function() kept:submit(echo, 1) end)
   end)
end

on("two pools at once, and their ends in any order", 1, function(_, kind)
   local one, two = flow[kind](1), flow[kind](2)
   local a, b = one:submit(double, 1), two:submit(double, 2)
   two:close()
   t.equal(a:result() + b:result(), 6)
   t.equal(two:stats().workers, 2)
   t.same(one:map(double, { 5 }), { 10 })
   one:close()
end)

-- flow.pool -------------------------------------------------------------------

t.test("flow.pool() is one default pool, flow.pool(n) a new one", function()
   t.ok(flow.pool() == flow.pool())
   t.equal(flow.pool():submit(double, 4):result(), 8)
   local new = flow.pool(2)
   t.ok(new ~= flow.pool() and new ~= flow.pool(2))
   t.equal(new:stats().workers, 2)
   t.same(new:map(double, { 1 }), { 2 })
   new:close()
   t.equal(flow.pool():submit(double, 5):result(), 10)
   local named = flow.pool { workers = 1, name = "third" }
   t.equal(named:submit(echo, 1):info().pool, "third")
   named:close()
end)

for _, kind in ipairs(kit.kinds) do
   t.test(kind .. ": flow.pool() in a task is the pool it runs in", function()
      local pool = flow[kind] { workers = 1, name = "mine" }
      local function where()
         return flow.pool() == flow.pool(),
            flow.pool():submit(echo, 1):info().pool,
            flow.pool():stats().workers
      end
      t.same({ pool:submit(where):result() }, { true, "mine", 1 })
      local name = pool:submit(function()
         return flow.pool():submit(function()
            return flow.pool():submit(echo, 1):info().pool
         end):result()
      end)
      t.equal(name:result(), "mine")
      t.same(pool:map(function() return (select(2, where())) end, { 1, 2 }),
         { "mine", "mine" })
      pool:close()
   end)
end

-- A task never runs in the main program ---------------------------------------

on("the script's random numbers and globals are its own", 2, function(pool)
   math.randomseed(42)
   local wanted = { math.random(), math.random() }
   math.randomseed(42)
   local first = math.random()
   pool:map(function() math.randomseed(7) return math.random() end, { 1, 2, 3 })
   pool:submit(math.random):result()
   t.same({ first, math.random() }, wanted)
   pool:map(function() LEFT = 1 print = nil string = nil end, { 1 })
   t.equal(rawget(_G, "LEFT"), nil)
   t.equal(type(print), "function")
end)

return t.finish()
