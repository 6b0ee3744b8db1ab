-- collect.lua: gather, settle, as_completed and wait.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end
local function boom(word) error("boom " .. tostring(word)) end

-- The keys that as_completed yields, in its order, joined by spaces.
local function order(futures, seconds)
   local keys = {}
   for key, future in flow.as_completed(futures, seconds) do
      t.ok(future == futures[key])
      t.equal(future:done(), true)
      keys[#keys + 1] = tostring(key)
   end
   return table.concat(keys, " ")
end

local function count(set)
   local n = 0
   for _ in pairs(set) do n = n + 1 end
   return n
end

-- gather ----------------------------------------------------------------------

on("gather keeps the keys, gives first values", 2, function(pool)
   local keys = { 1, 2, 3, a = 4, ["b c"] = 5, [0] = 6, [2.5] = 7, [true] = 8,
      [false] = 9 }
   t.same(flow.gather(pool:scatter(echo, keys)), keys)
   t.same(flow.gather { pool:submit(echo, "x", "more"), n = pool:submit(echo) },
      { "x" })
   t.same(flow.gather { pool:submit(echo, false) }, { false })
   t.same(flow.gather {}, {})
   t.same(flow.gather({}, 0), {})
end)

on("one future under several keys", 1, function(pool)
   local future = pool:submit(echo, 5)
   t.same(flow.gather { future, future, x = future }, { 5, 5, x = 5 })
   local settled = flow.settle { a = future, b = future }
   t.equal(settled.a.value + settled.b.value, 10)
   local done, pending = flow.wait { a = future, b = future }
   t.ok(done.a == future and done.b == future)
   t.same(pending, {})
   local yields = 0
   for key, f in flow.as_completed { future, future, x = future } do
      t.ok(f == future and key ~= nil)
      yields = yields + 1
   end
   t.ok(yields >= 1 and yields <= 3)
end)

on("futures of several pools together", 1, function(pool, kind)
   local other = flow[kind](1)
   local futures = { pool:submit(echo, 1), other:submit(echo, 2),
                     flow.async(function() return 3 end) }
   t.same(flow.gather(futures), { 1, 2, 3 })
   t.equal(count((flow.wait(futures))), 3)
   t.equal(#order(futures), 5)
   other:close()
end)

on("gather raises the first error in time and cancels the rest", 1,
   function(pool)
   local path, notes = kit.notes()
   local first = pool:submit(boom, "first")
   first:wait()
   local second = pool:submit(boom, "second")
   second:wait()
   local release, held = hold(pool)
   local futures = { second, held[1], z = first }
   for i = 3, 20 do futures[i] = pool:submit(note, path, "ran") end
   local err = refused("error", function() flow.gather(futures) end,
      "boom first")
   t.equal(err.kind, "error")
   for i = 3, 20 do t.equal(futures[i]:state(), "cancelled") end
   release()
   held[1]:wait()
   pool:drain()
   t.equal(notes(), "")
   second:try()
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("gather learns of an error before the others are done", 2, function(pool)
   local release, held = hold(pool)
   local bad = pool:submit(boom, "early")
   refused("error", function() flow.gather { held[1], bad } end, "boom early")
   release()
   held[1]:wait()
end)

on("gather of a cancelled future raises", 1, function(pool)
   local release = hold(pool)
   local gone = pool:submit(echo)
   gone:cancel()
   refused("cancelled", function() flow.gather { gone } end)
   release()
end)

on("a gather that runs out of time cancels nothing", 1, function(pool)
   local release, held = hold(pool)
   local futures = { pool:submit(echo, 1), pool:submit(echo, 2), x = held[1] }
   for _, seconds in ipairs { 0, 0.01 } do
      local err = refused("unfinished", function() flow.gather(futures,
         seconds) end)
      t.match(err.message, "%f[%d]3%f[%D]")
      t.equal(futures[1]:state(), "pending")
      t.equal(held[1]:state(), "running")
   end
   release()
   t.same(flow.gather(futures, 60), { 1, 2, x = "released" })
   t.same(flow.gather(futures, 0), { 1, 2, x = "released" })
end)

on("unfinished says how many of how many", 1, function(pool)
   local ready = { pool:submit(echo, 1), pool:submit(echo, 2) }
   flow.gather(ready)
   local release, held = hold(pool)
   local futures = { ready[1], ready[2], held[1], pool:submit(echo),
      pool:submit(echo) }
   for name, wait in pairs { gather = flow.gather, settle = flow.settle,
                             as_completed = order } do
      local err = refused("unfinished", function() wait(futures, 0.01) end)
      local a, b = err.message:match("(%d+)%D+(%d+)")
      local numbers = { [tonumber(a) or 0] = true, [tonumber(b) or 0] = true }
      t.ok(numbers[5] and (numbers[2] or numbers[3]),
         name .. ": " .. err.message)
      t.match(err.message, " after 0%.01 s: " .. tostring(held[1]):gsub("%p", "%%%0") .. ", %.%.%.$")
   end
   local late = pool:with { name = "late one" }:submit(echo)
   local err = refused("unfinished", function() late:result(0) end)
   t.equal(err.message, "1 of 1 futures unfinished after 0 s: future (late one): pending")
   t.equal(select(2, late:try(0)).message, err.message)
   release()
   flow.gather(futures)
   late:wait()
end)

-- settle ----------------------------------------------------------------------

on("settle never raises for a task", 1, function(pool)
   local futures = { pool:submit(echo, 1), pool:submit(boom, "x"),
                     n = pool:submit(echo), f = pool:submit(echo, false) }
   pool:drain()
   local release = hold(pool)
   futures.gone = pool:submit(echo)
   futures.gone:cancel()
   release()
   local settled = flow.settle(futures)
   t.equal(count(settled), 5)
   t.same(settled[1], { ok = true, value = 1 })
   t.same(settled.n, { ok = true })
   t.same(settled.f, { ok = true, value = false })
   t.equal(settled[2].ok, false)
   t.equal(settled[2].value, nil)
   t.equal(settled[2].error.kind, "error")
   t.match(settled[2].error.message, "boom x")
   t.equal(settled.gone.ok, false)
   t.equal(settled.gone.error.kind, "cancelled")
   t.same(flow.settle {}, {})
end)

on("settle waits for all, also after a failure", 1, function(pool)
   local futures = { pool:submit(boom, 1) }
   for i = 2, 30 do futures[i] = pool:submit(echo, i) end
   local settled = flow.settle(futures)
   for i = 2, 30 do t.same(settled[i], { ok = true, value = i }) end
   t.equal(settled[1].ok, false)
end)

-- as_completed ----------------------------------------------------------------

on("as_completed is pairs in the order of completion", 1, function(pool)
   local release, held = hold(pool)
   local futures = { held = held[1] }
   for i, priority in ipairs { 1, 5, 3, 4, 2 } do
      futures[i] = pool:with { priority = priority }:submit(echo, i)
   end
   release()
   t.equal(order(futures), "held 2 4 3 5 1")
   t.equal(order(futures), "held 2 4 3 5 1")
   t.equal(order {}, "")
   t.equal(order({}, 0), "")
end)

on("as_completed yields each future as it ends", 2, function(pool)
   local gates, futures, keys = {}, {}, {}
   for i = 1, 2 do
      local release, held = hold(pool)
      gates[i], futures[i] = release, held[1]
   end
   gates[2]()
   for key, future in flow.as_completed(futures) do
      t.equal(future:result(), "released")
      keys[#keys + 1] = key
      if key == 2 then
         t.equal(futures[1]:state(), "running")
         gates[1]()
      end
   end
   t.same(keys, { 2, 1 })
end)

on("as_completed yields failures and cancellations too", 1, function(pool)
   local futures = { bad = pool:submit(boom, "x"), good = pool:submit(echo, 1) }
   pool:drain()
   local release = hold(pool)
   futures.gone = pool:submit(echo)
   futures.gone:cancel()
   local states = {}
   for key, future in flow.as_completed(futures) do
      states[key] = future:state()
   end
   t.same(states, { bad = "failed", good = "done", gone = "cancelled" })
   release()
end)

on("leaving the loop early leaves the rest running", 1, function(pool)
   local futures = {}
   for i = 1, 50 do futures[i] = pool:submit(echo, i) end
   for key, future in flow.as_completed(futures) do
      t.equal(future:result(), key)
      if key == 3 then break end
   end
   local ok = pcall(function()
      for _ in flow.as_completed(futures) do error("left") end
   end)
   t.equal(ok, false)
   collectgarbage()
   for i = 1, 50 do t.equal(futures[i]:result(), i) end
   t.equal(pool:stats().done, 50)
end)

on("as_completed with seconds yields what is done, then raises", 1,
   function(pool)
   local one, two = pool:submit(echo, 1), pool:submit(echo, 2)
   flow.gather { one, two }
   local release, held = hold(pool)
   for _, seconds in ipairs { 0, 0.01 } do
      local keys = {}
      refused("unfinished", function()
         for key in flow.as_completed({ one, two, held[1] }, seconds) do
            keys[#keys + 1] = key
         end
      end)
      t.same(keys, { 1, 2 })
   end
   t.equal(held[1]:state(), "running")
   release()
   t.equal(held[1]:result(), "released")
end)

on("as_completed loops inside each other, and work handed out inside", 1,
   function(pool)
   local outer, sum = pool:scatter(echo, { 1, 2, 3 }), 0
   for _, future in flow.as_completed(outer) do
      local n = future:result()
      for _, inner in flow.as_completed(pool:scatter(echo, { n, n * 10 })) do
         sum = sum + inner:result()
      end
   end
   t.equal(sum, 66)
   local a, b = flow.as_completed(outer), flow.as_completed(outer)
   local seen = 0
   for _ = 1, 3 do
      local key = a()
      seen = seen + key + b()
   end
   t.equal(a(), nil)
   t.equal(b(), nil)
   t.equal(seen, 12)
end)

-- wait ------------------------------------------------------------------------

on("wait for all gives done and pending under the keys", 1, function(pool)
   local futures = { pool:submit(echo, 1), x = pool:submit(boom, "x") }
   local done, pending = flow.wait(futures)
   t.ok(done[1] == futures[1] and done.x == futures.x)
   t.equal(count(done), 2)
   t.same(pending, {})
   done, pending = flow.wait(futures, { when = "all" })
   t.equal(count(done), 2)
   t.same(pending, {})
   futures.x:try()
   done, pending = flow.wait {}
   t.same(done, {})
   t.same(pending, {})
   for _, when in ipairs { "all", "first", "failed" } do
      done, pending = flow.wait({}, { when = when, timeout = 5 })
      t.same(done, {})
      t.same(pending, {})
   end
end)

on("wait for the first returns with one at least", 2, function(pool)
   local release, held = hold(pool)
   local quick = pool:submit(echo, 1)
   local done, pending = flow.wait({ held = held[1], quick = quick },
      { when = "first" })
   t.ok(done.quick == quick and pending.held == held[1])
   t.equal(count(done) + count(pending), 2)
   done = flow.wait({ quick, held[1] }, { when = "first" })
   t.ok(done[1] == quick and done[2] == nil)
   release()
   held[1]:result()
end)

on("wait for a failure returns with it, or with all", 2, function(pool)
   local release, held = hold(pool)
   local good, bad = pool:submit(echo, 1), pool:submit(boom, "x")
   local done, pending = flow.wait({ held = held[1], good = good, bad = bad },
      { when = "failed" })
   t.ok(done.bad == bad and pending.held == held[1])
   done, pending = flow.wait({ bad = bad, held = held[1] }, { when = "failed" })
   t.ok(done.bad == bad and pending.held == held[1])
   release()
   done, pending = flow.wait({ held[1], good }, { when = "failed" })
   t.equal(count(done), 2)
   t.same(pending, {})
   bad:try()
end)

on("failures and cancellations are done for wait", 1, function(pool)
   local release = hold(pool)
   local gone = pool:submit(echo)
   gone:cancel()
   release()
   local bad = pool:submit(boom)
   local done, pending = flow.wait { gone, bad }
   t.equal(count(done), 2)
   t.same(pending, {})
   bad:try()
end)

-- The design lets a wait return what is done, or raise.
on("a wait that runs out disturbs nothing", 1, function(pool)
   local ready = pool:submit(echo, 1)
   ready:result()
   local release, held = hold(pool)
   local behind = pool:submit(echo, 2)
   local futures = { ready = ready, held = held[1], behind = behind }
   for _, seconds in ipairs { 0, 0.01 } do
      local ok, done, pending = pcall(flow.wait, futures, { timeout = seconds })
      if ok then
         t.ok(done.ready == ready and pending.held == held[1]
            and pending.behind == behind)
         t.equal(count(done) + count(pending), 3)
      else
         t.equal(done.kind, "unfinished")
      end
      t.equal(behind:state(), "pending")
   end
   release()
   local done = flow.wait(futures, { timeout = 60 })
   t.equal(count(done), 3)
end)

-- Misuse ----------------------------------------------------------------------

on("what is no table of futures is refused", 1, function(pool)
   local future = pool:submit(echo, 1)
   for _, name in ipairs { "gather", "settle", "as_completed", "wait" } do
      local collect = flow[name]
      misuse(function() collect() end, "table")
      misuse(function() collect(5) end, "table")
      misuse(function() collect("x") end, "table")
      misuse(function() collect { future, 5 } end, "2")
      misuse(function() collect { future, bad = "x" } end, "bad")
      misuse(function() collect { { future } } end, "future")
      if name ~= "wait" then
         misuse(function() collect({ future }, "x") end, "seconds")
         misuse(function() collect({ future }, 0 / 0) end, "seconds")
      end
   end
   misuse(function() flow.wait({ future }, { when = "sometime" }) end, "when")
   misuse(function() flow.wait({ future }, { when = 5 }) end, "when")
   misuse(function() flow.wait({ future }, { timeout = "x" }) end, "timeout")
   misuse(function() flow.wait({ future }, { tmeout = 1 }) end, "tmeout")
   misuse(function() flow.wait({ future }, 5) end, "table")
   t.equal(future:result(), 1)
end)

on("what was refused has changed nothing", 1, function(pool)
   local release = hold(pool)
   local pending = pool:submit(echo, 1)
   pcall(flow.gather, { pending, 5 })
   pcall(flow.settle, { pending, 5 })
   t.equal(pending:state(), "pending")
   release()
   t.equal(pending:result(), 1)
   fails("error", pool:submit(boom, "last"), "boom last")
end)

return t.finish()
