-- async.lua: functions of the main program that wait without blocking it.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails
local hold = kit.hold

local function echo(...) return ... end
local function double(x) return x * 2 end

-- What it is ------------------------------------------------------------------

t.test("async gives a future of all results", function()
   t.same({ flow.async(echo, 1, nil, "x"):result() }, { 1, nil, "x" })
   t.equal(select("#", flow.async(function() end):result()), 0)
   t.equal(select("#", flow.async(echo, nil, nil):result()), 2)
   local future = flow.async(double, 4)
   t.equal(future:wait(), true)
   t.equal(future:state(), "done")
   t.equal(future:done(), true)
   t.same({ future:try() }, { true, 8 })
   t.equal(type(tostring(future)), "string")
   t.equal(type(future:info().name), "string")
end)

t.test("what is no function is refused", function()
   misuse(function() flow.async() end, "function")
   misuse(function() flow.async(5) end, "function")
   misuse(function() flow.async({}) end, "function")
end)

t.test("it runs in the main program, on the script's own tables", function()
   local table, count, file = { n = 1 }, 0, io.tmpfile()
   local same, other = flow.async(function(value, f)
      value.n, count = 2, 5
      return value, f
   end, table, file):result()
   t.ok(same == table and other == file)
   t.equal(table.n, 2)
   t.equal(count, 5)
   kit.globals({ STATE = 1 }, function()
      flow.async(function() STATE = 2 end):result()
      t.equal(STATE, 2)
   end)
   file:close()
end)

t.test("an error fails its future, with place and traceback", function()
   local function deep() error("boom") end
   local future = flow.async(function() deep() return 1 end)
   local err = fails("error", future, "boom")
   t.match(err.message, "async%.lua:%d+: boom")
   t.match(err.traceback, "deep")
   t.equal(future:state(), "failed")
   local thing = {}
   local ok, caught = flow.async(function() error(thing) end):try()
   t.equal(ok, false)
   t.equal(caught.kind, "error")
   fails("error", flow.async(function() error() end))
   fails("error", flow.async(error, "level 0", 0), "level 0")
end)

-- Waiting inside --------------------------------------------------------------

on("waits inside yield to the others", 1, function(pool)
   local release, held = hold(pool)
   local log = {}
   local function say(word) log[#log + 1] = word end
   local waiting = flow.async(function()
      say "a waits"
      local value = held[1]:result()
      say "a goes on"
      return value
   end)
   local opening = flow.async(function()
      say "b runs"
      flow.sleep(0)
      say "b opens"
      release()
   end)
   t.equal(waiting:result(), "released")
   opening:result()
   t.same(log, { "a waits", "b runs", "b opens", "a goes on" })
end)

on("every wait yields", 1, function(pool)
   local waits = {
      result = function(f) return f:result() end,
      try = function(f) return select(2, f:try()) end,
      wait = function(f) f:wait() return f:result() end,
      gather = function(f) return flow.gather { f }[1] end,
      settle = function(f) return flow.settle { f }[1].value end,
      as_completed = function(f)
         for _, done in flow.as_completed { f } do return done:result() end
      end,
      ["flow.wait"] = function(f) return flow.wait { f }[1]:result() end,
      drain = function(f) pool:drain() return f:result() end,
      map = function() return pool:map(echo, { "released" })[1] end,
   }
   local release, held = hold(pool)
   local futures, passed = {}, 0
   for name, wait in pairs(waits) do
      futures[name] = flow.async(function()
         passed = passed + 1
         return wait(held[1])
      end)
   end
   flow.sleep(0.01)
   t.equal(passed, 9)
   for name, future in pairs(futures) do t.equal(future:done(), false, name) end
   release()
   for name, value in pairs(flow.gather(futures)) do t.equal(value, "released",
      name) end
end)

on("a wait that runs out inside", 1, function(pool)
   local release, held = hold(pool)
   local ok, err = flow.async(function() return held[1]:result(0.01) end):try()
   t.equal(ok, false)
   t.match(tostring(err.message), "unfinished")
   local kind = flow.async(function()
      local _, e = held[1]:try(0.01)
      return e.kind
   end)
   t.equal(kind:result(), "unfinished")
   kind = flow.async(function()
      local _, e = pcall(flow.gather, { held[1] }, 0.01)
      return e.kind
   end)
   t.equal(kind:result(), "unfinished")
   release()
   t.equal(held[1]:result(), "released")
end)

on("pcall, iterators and metamethods around a wait", 1, function(pool)
   local function run(fn) return flow.async(fn):result() end
   t.same({ run(function() return pcall(function() return pool:submit(double,
      4):result() end) end) },
      { true, 8 })
   t.equal(run(function()
      local ok, err = pcall(function() pool:submit(error, "no"):result() end)
      return not ok and err.kind
   end), "error")
   t.equal(run(function()
      local ok, text = xpcall(function() pool:submit(error, "no"):result() end,
         function(err) return "handled " .. err.kind end)
      return not ok and text
   end), "handled error")
   t.equal(run(function()
      local sum = 0
      local function each(list, i)
         i = i + 1
         if list[i] then return i, list[i]:result() end
      end
      for _, value in each, pool:scatter(double, { 1, 2, 3 }),
         0 do sum = sum + value end
      return sum
   end), 12)
   local lazy = setmetatable({}, {
      __index = function(_, n) return pool:submit(double, n):result() end,
      __add = function(_, n) return pool:submit(double, n):result() end,
      __call = function(_, n) return pool:submit(double, n):result() end,
   })
   t.equal(run(function() return lazy[5] + (lazy + 6) + lazy(7) end), 36)
end)

on("where Lua cannot yield the wait blocks", 1, function(pool)
   local function key(x) return pool:submit(function(v) return -v end,
      x):result() end
   t.same(flow.async(function()
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b) return key(a) < key(b) end)
      return list
   end):result(), { 3, 2, 1 })
   t.equal(flow.async(function()
      return (("1 2 3"):gsub("%d", function(d) return pool:submit(double,
         d):result() end))
   end):result(), "2 4 6")
   t.equal(flow.async(function()
      return (("a"):gsub("a", function() flow.sleep(0.001) return "slept" end))
   end):result(), "slept")
   t.equal(flow.async(function()
      local list = { 2, 1 }
      table.sort(list, function(a, b)
         flow.gather(pool:scatter(echo, { a, b }))
         for _ in flow.as_completed { pool:submit(echo, 1) } do end
         flow.sleep(0)
         return a < b
      end)
      return list[1]
   end):result(), 1)
end)

on("a script's own coroutines are not disturbed", 1, function(pool)
   local function numbers()
      return coroutine.wrap(function()
         for i = 1, 3 do coroutine.yield(pool:submit(double, i):result()) end
      end)
   end
   local function sum()
      local total = 0
      for n in numbers() do total = total + n end
      return total
   end
   t.equal(sum(), 12)
   t.equal(flow.async(sum):result(), 12)
   t.equal(pool:submit(function()
      local total = 0
      local co = coroutine.wrap(function()
         for i = 1, 3 do coroutine.yield(flow.pool():submit(double,
            i):result()) end
      end)
      for _ = 1, 3 do total = total + co() end
      return total
   end):result(), 12)
   local co = coroutine.create(function(a)
      local b = coroutine.yield(flow.async(function()
         flow.sleep(0)
         return a
      end):result())
      flow.sleep(0)
      return b
   end)
   t.same({ coroutine.resume(co, 1) }, { true, 1 })
   t.same({ coroutine.resume(co, 2) }, { true, 2 })
   t.equal(coroutine.status(co), "dead")
end)

on("asyncs that wait for asyncs", 1, function(pool)
   local function tree(depth)
      if depth == 0 then return pool:submit(echo, 1):result() end
      local a, b = flow.async(tree, depth - 1), flow.async(tree, depth - 1)
      return a:result() + b:result()
   end
   t.equal(flow.async(tree, 6):result(), 64)
   local chain = flow.async(echo, 0)
   for _ = 1, 200 do
      local last = chain
      chain = flow.async(function() return last:result() + 1 end)
   end
   t.equal(chain:result(), 200)
   local values = {}
   for i = 1, 10 do values[i] = flow.async(function() return flow.async(double,
      i):result() end) end
   t.same(flow.gather(values), { 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 })
end)

on("several asyncs may wait for one future", 1, function(pool)
   local release, held = hold(pool)
   local waiters = {}
   for i = 1, 100 do
      waiters[i] = flow.async(function() return held[1]:result() .. i end)
   end
   flow.sleep(0)
   release()
   for i, text in ipairs(flow.gather(waiters)) do t.equal(text,
      "released" .. i) end
end)

on("errors of tasks pass through", 1, function(pool)
   local future = flow.async(function()
      return pool:with { name = "inner task" }:submit(error, "boom"):result()
   end)
   local ok, err = future:try()
   t.equal(ok, false)
   t.equal(err.kind, "error")
   t.match(err.message, "boom")
end)

on("gather, settle, as_completed and wait take asyncs", 1, function(pool)
   local futures = { a = flow.async(function() flow.sleep(0) return 1 end),
                     b = flow.async(function() error("bad") end),
                     c = pool:submit(echo, 3) }
   local settled = flow.settle(futures)
   t.equal(settled.a.value, 1)
   t.equal(settled.b.ok, false)
   t.equal(settled.c.value, 3)
   local n = 0
   for _ in flow.as_completed(futures) do n = n + 1 end
   t.equal(n, 3)
   refused("error", function() flow.gather(futures) end, "bad")
end)

-- Time ------------------------------------------------------------------------

t.test("sleepers wake in the order of their times", function()
   local log, futures = {}, {}
   for i, seconds in ipairs { 0.15, 0.05, 0.1, 0 } do
      futures[i] = flow.async(function()
         flow.sleep(seconds)
         log[#log + 1] = i
      end)
   end
   flow.gather(futures)
   t.same(log, { 4, 2, 3, 1 })
end)

t.test("sleep and now", function()
   local before = flow.now()
   t.ok(before >= 0)
   flow.sleep(0.02)
   t.ok(flow.now() - before >= 0.02)
   local last = flow.now()
   for _ = 1, 1000 do
      local now = flow.now()
      t.ok(now >= last)
      last = now
   end
   t.equal(select("#", flow.sleep(0)), 0)
   misuse(function() flow.sleep() end, "seconds")
   misuse(function() flow.sleep("x") end, "seconds")
   misuse(function() flow.sleep(0 / 0) end, "seconds")
   misuse(function() flow.sleep({}) end, "seconds")
end)

on("sleep and now in a task", 1, function(pool)
   local before = flow.now()
   local a, b = pool:submit(function()
      local start = flow.now()
      flow.sleep(0.02)
      return start, flow.now()
   end):result()
   t.ok(before <= a and a + 0.02 <= b and b <= flow.now())
end)

-- Cancel, many, the end -------------------------------------------------------

on("an async can be cancelled while it waits", 1, function(pool)
   local went_on = false
   local sleeper = flow.async(function() flow.sleep(1000) went_on = true end)
   local release, held = hold(pool)
   local waiter = flow.async(function() held[1]:wait() went_on = true end)
   flow.sleep(0)
   for _, future in ipairs { sleeper, waiter } do
      t.equal(future:cancel(), true)
      t.equal(future:state(), "cancelled")
      fails("cancelled", future)
   end
   release()
   held[1]:result()
   flow.sleep(0)
   t.equal(went_on, false)
end)

on("ten thousand asyncs", 2, function(pool)
   local futures = {}
   for i = 1, 10000 do
      futures[i] = flow.async(function()
         flow.sleep(0.001)
         local value = pool:submit(echo, i):result()
         flow.sleep(0)
         return value
      end)
   end
   for i, value in ipairs(flow.gather(futures)) do t.equal(value, i) end
end)

t.test("asyncs at the end of the script are finished", function()
   t.run { ("%s -"):format(t.quote(kit.flowrun)), stdin = [[
      local flow = require "flowrun"
      flow.async(function()
         flow.sleep(0.01)
         print(flow.threads(1):submit(function() return "late" end):result())
      end)
      print "end"
   ]], out = "end\nlate\n", err = "" }
end)

t.test("an async that failed and nobody looked at is told", function()
   t.run { ("%s -"):format(t.quote(kit.flowrun)), stdin = [[
      local flow = require "flowrun"
      flow.async(function() flow.sleep(0) error("lost in the main program") end)
   ]], status = 1, out = "", err_match = "lost in the main program" }
end)

t.test("a script may end inside of nothing but asyncs", function()
   t.run { ("%s -"):format(t.quote(kit.flowrun)), stdin = [[
      local flow = require "flowrun"
      local pool = flow.threads(2)
      local studies = {}
      for i = 1, 20 do
         studies["case " .. i] = flow.async(function()
            local coarse = pool:submit(function(x) return x + 1 end, i):result()
            return pool:submit(function(x) return x * 2 end, coarse):result()
         end)
      end
      local sum = 0
      for _, done in flow.as_completed(studies) do sum = sum + done:result() end
      print(("%d"):format(sum))
   ]], out = "460\n", err = "" }
end)

return t.finish()
