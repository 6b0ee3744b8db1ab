-- deadlock.lua: waits that can never end, and those that only seem so.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, fails, refused, hold = kit.on, kit.fails, kit.refused, kit.hold

local function echo(...) return ... end

-- In a task: takes the first lock, meets the others there, wants the second.
local function cross(first, second, here, there)
   return first:hold(function()
      here:push(true)
      there:pop()
      return second:hold(function() return "both" end)
   end)
end

-- Of these futures one has failed so; gives its error and how many are done.
local function one_failed(futures)
   local failed, done = nil, 0
   for _, future in ipairs(futures) do
      local ok, err = future:try()
      if ok then
         done = done + 1
      else
         t.equal(failed, nil, "only one")
         failed = err
      end
   end
   t.ok(failed, "one failed")
   t.equal(failed.kind, "deadlock", tostring(failed))
   return failed, done
end

local function names_all(err, ...)
   for _, name in ipairs{ ... } do
      t.ok(err.message:find(name, 1, true), err.message .. " names " .. name)
   end
end

local function crosswise(pool)
   local a, b, x, y = flow.lock(), flow.lock(), flow.queue(), flow.queue()
   return { pool:with{ name = "ann" }:submit(cross, a, b, x, y),
      pool:with{ name = "bob" }:submit(cross, b, a, y, x) }
end

-- What is one ---------------------------------------------------------------

on("two locks taken crosswise: one fails, naming both", 2, function(pool)
   local futures = crosswise(pool)
   local err, done = one_failed(futures)
   names_all(err, "ann", "bob", "lock")
   t.equal(done, 1)
end)

on("one worker is enough for that", 1, function(pool)
   local futures = crosswise(pool)
   local err = one_failed(futures)
   names_all(err, "ann", "bob")
end)

on("three in a circle", 3, function(pool)
   local locks, full, go = {}, flow.queue(), flow.queue()
   for i = 1, 3 do locks[i] = flow.lock() end
   local function take(first, second, ready, go_on)
      return first:hold(function()
         ready:push(true)
         go_on:pop()
         return second:hold(function() return true end)
      end)
   end
   local futures = {}
   for i = 1, 3 do
      futures[i] = pool:with{ name = "number " .. i }:submit(take,
         locks[i], locks[i % 3 + 1], full, go)
   end
   for _ = 1, 3 do full:pop() end
   go:close()
   local err, done = one_failed(futures)
   names_all(err, "number 1", "number 2", "number 3")
   t.equal(done, 2)
end)

on("who catches it goes on", 2, function(pool)
   local a, b, x, y = flow.lock(), flow.lock(), flow.queue(), flow.queue()
   local function careful(...)
      local ok, err = pcall(cross, ...)
      return ok and "both" or err.kind
   end
   -- (cross is an upvalue: it travels.)
   local one, two = pool:submit(careful, a, b, x, y),
      pool:submit(careful, b, a, y, x)
   local got = { one:result(), two:result() }
   table.sort(got)
   t.same(got, { "both", "deadlock" })
end)

on("waiting for a task that needs the seat that one holds", 2, function(pool)
   local seat = flow.limit(1)
   local limited = pool:with{ limit = seat }
   local future = limited:with{ name = "outer" }:submit(function(inner)
      return inner:with{ name = "inner" }:submit(echo):result()
   end, limited)
   names_all(fails("deadlock", future), "outer", "inner")
   t.equal(limited:submit(function() return 2 end):result(), 2)
end)

on("a task that is to run after one that waits for it", 2, function(pool)
   local seat = flow.limit(1)
   local limited = pool:with{ limit = seat }
   local future = limited:submit(function(inner, free)
      local first = inner:submit(function() return 1 end)
      return free:with{ after = first }:submit(function() return 2 end)
         :result()
   end, limited, pool)
   fails("deadlock", future)
end)

on("a slice of a map, and a task", 2, function(pool)
   local a, b, x, y = flow.lock(), flow.lock(), flow.queue(), flow.queue()
   local other = pool:submit(cross, b, a, y, x)
   local map_ok, err = pcall(function()
      return pool:map(function() return cross(a, b, x, y) end, { 1 })
   end)
   local ok, why = other:try()
   t.ok(map_ok ~= ok, "one of them")
   t.equal((ok and err or why).kind, "deadlock")
end)

on("while others work, and the main program sleeps", 3, function(pool)
   local release, held = hold(pool, 1)
   local futures = crosswise(pool)
   while not (futures[1]:done() and futures[2]:done()) do
      flow.sleep(0.01)
   end
   t.equal(held[1]:state(), "running")
   one_failed(futures)
   release()
   t.equal(held[1]:result(), "released")
end)

on("many at once", 2, function(pool)
   local all = {}
   for i = 1, 10 do all[i] = crosswise(pool) end
   for i = 1, 10 do one_failed(all[i]) end
end)

on("a queue that only those push to who wait for it", 2, function(pool)
   local q, other = flow.queue(), flow.queue()
   local function forward(from, to) to:push((from:pop())) end
   local one = pool:submit(forward, q, other)
   local two = pool:submit(forward, other, q)
   refused("deadlock", function() flow.queue():pop() end)
   fails("deadlock", one, "a queue that nobody pushes to")
   fails("deadlock", two, "a queue that nobody pushes to")
end)

t.test("a task that waits for room that nobody makes", function()
   local pool = flow.threads(1)
   local future = pool:submit(function()
      local q = flow.queue(1)
      q:push(1)
      q:push(2)
   end)
   fails("deadlock", future, "nobody pops")
   pool:close()
end)

t.test("where Lua cannot yield", function()
   local pool = flow.threads(2)
   local a, b, x, y = flow.lock(), flow.lock(), flow.queue(), flow.queue()
   local function blocked(...)
      local arguments, result, n = { ... }, nil, select("#", ...)
      local unpack = table.unpack or unpack
      local ok, err = pcall(string.gsub, "x", "x", function()
         result = cross(unpack(arguments, 1, n))
      end)
      if not ok then error(err, 0) end
      return result
   end
   one_failed{ pool:submit(blocked, a, b, x, y),
      pool:submit(blocked, b, a, y, x) }
   pool:close()
end)

-- Async functions and the main program ----------------------------------------

t.test("async functions that wait for each other", function()
   local one, two
   one = flow.async(function()
      flow.sleep(0.01)
      return two:result()
   end)
   two = flow.async(function() return one:result() end)
   local ok, err = one:try()
   t.equal(ok, false)
   t.equal(err.kind, "deadlock", tostring(err))
   t.equal(select(2, err.message:gsub("async %(task %d+%) waits for", "")), 2)
   t.equal(select(2, two:try()).value.kind, "deadlock")
end)

t.test("an async function that waits for itself", function()
   local self
   self = flow.async(function()
      flow.sleep(0.01)
      return self:result()
   end)
   fails("deadlock", self)
end)

t.test("an async function and a task", function()
   local pool = flow.threads(1)
   local a, b, x, y = flow.lock(), flow.lock(), flow.queue(), flow.queue()
   one_failed{ pool:submit(cross, a, b, x, y), flow.async(cross, b, a, y, x) }
   pool:close()
end)

t.test("the main program alone", function()
   local err = refused("deadlock", function() flow.queue():pop() end)
   t.ok(err.message:find("main program", 1, true), err.message)
end)

t.test("the main program waits for the lock's holder, which waits for it",
   function()
      local pool = flow.threads(1)
      local l = flow.lock()
      local future
      l:hold(function()
         future = pool:submit(function(lock)
            lock:hold(function() return 1 end)
         end, l)
         fails("deadlock", future, "the main program")
      end)
      pool:close()
   end)

t.test("at the end of a script", function()
   local status, _, err = kit.run([[
      local flow = require "flowrun"
      local one, two
      one = flow.async(function() flow.sleep(0.01); two:result() end)
      two = flow.async(function() one:result() end)
   ]])
   t.equal(status, 1)
   t.ok(err:find("async: deadlock:", 1, true), err)
end)

t.test("tasks at the end of a script", function()
   local status, _, err = kit.run([[
      local flow = require "flowrun"
      flow.threads(1):submit(function() flow.queue():pop() end)
   ]])
   t.equal(status, 1)
   t.ok(err:find("deadlock: ", 1, true), err)
end)

-- What is none ----------------------------------------------------------------

-- Longer than it takes until waits are looked at.
local LONG = 0.35

on("behind a task that computes, behind a timer", 2, function(pool)
   local function compute(seconds)
      local stop = flow.now() + seconds
      while flow.now() < stop do end
      return "computed"
   end
   local function sleep(seconds)
      flow.sleep(seconds)
      return "slept"
   end
   local function nest(inner, fn, seconds)
      return inner:submit(fn, seconds):result()
   end
   local one = pool:submit(nest, pool, compute, LONG)
   local two = pool:submit(nest, pool, sleep, LONG)
   t.equal(one:result(), "computed")
   t.equal(two:result(), "slept")
end)

on("behind a back-off", 2, function(pool)
   local patient = pool:with{ retries = 1, backoff = LONG }
   local future = pool:submit(function(inner)
      return inner:submit(function()
         if flow.attempt() == 1 then error("once more") end
         return "second"
      end):result()
   end, patient)
   t.equal(future:result(), "second")
end)

on("behind a timeout of its own", 2, function(pool)
   local future = pool:with{ timeout = LONG }:submit(function()
      flow.queue():pop()
   end)
   fails("timeout", future)
end)

on("behind a full queue that is emptied later", 2, function(pool)
   local q = flow.queue(1)
   local producer = pool:submit(function(queue)
      for i = 1, 3 do queue:push(i) end
      return true
   end, q)
   flow.sleep(LONG)
   for i = 1, 3 do t.equal(q:pop(), i) end
   t.equal(producer:result(), true)
end)

on("a consumer of a producer that computes", 2, function(pool)
   local q = flow.queue()
   local consumer = pool:submit(function(queue) return queue:pop() end, q)
   pool:submit(function(queue, seconds)
      local stop = flow.now() + seconds
      while flow.now() < stop do end
      queue:push("late")
   end, q, LONG)
   t.equal(consumer:result(), "late")
end)

on("waits with seconds are unfinished", 2, function(pool)
   local limited = pool:with{ limit = flow.limit(1) }
   local err = fails("error", limited:submit(function(inner, seconds)
      inner:submit(echo):result(seconds)
   end, limited, LONG), "unfinished")
   t.equal(err.value.kind, "unfinished")
   local timed = pool:submit(function(queue, seconds)
      return select(2, queue:pop(seconds))
   end, flow.queue(), LONG)
   t.equal(timed:result(), "timeout")
   t.equal(select(2, flow.queue():pop(LONG)), "timeout")
end)

on("a limit that is held for long", 2, function(pool)
   local limited = pool:with{ limit = flow.limit(1) }
   local first = limited:submit(function(seconds)
      flow.sleep(seconds)
      return 1
   end, LONG)
   local second = limited:submit(function() return 2 end)
   local third = pool:submit(function(inner)
      return inner:submit(function() return 3 end):result()
   end, limited)
   t.equal(first:result() + second:result() + third:result(), 6)
end)

t.test("10,000 tasks wait for one lock", function()
   local pool, l, d = flow.threads(2), flow.lock(), flow.dict()
   local release, held = hold(pool, 1)
   local futures = {}
   for i = 1, 10000 do
      futures[i] = pool:submit(function(lock, dict)
         lock:hold(function() dict:add("n", 1) end)
      end, l, d)
   end
   flow.settle(futures)
   t.equal(d:get("n"), 10000)
   release()
   held[1]:result()
   pool:close()
end)

t.test("a pause of the main program's callbacks", function()
   local pool, q = flow.threads(1), flow.queue()
   local future = pool:submit(function(queue) return queue:pop() end, q)
   local async = flow.async(function()
      flow.sleep(LONG)
      q:push("from async")
   end)
   t.equal(future:result(), "from async")
   async:result()
   pool:close()
end)

return t.finish()
