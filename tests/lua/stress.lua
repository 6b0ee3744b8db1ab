-- stress.lua: many of everything, and nothing left behind.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on = kit.on

local function echo(...) return ... end
local function increment(x) return x + 1 end

-- A number from /proc/self/status: Threads, VmRSS (kB).
local function status(name)
   return tonumber(t.read("/proc/self/status"):match(name .. ":%s*(%d+)"))
end

-- Its child processes.
local function children()
   local _, n = t.read("/proc/thread-self/children"):gsub("%d+", "")
   return n
end

-- What is open is soon as it was.
local function as_before(threads, fds)
   local late = flow.now() + 20
   while (status("Threads") > threads or kit.descriptors() > fds)
      and flow.now() < late do
      collectgarbage()
      flow.sleep(0.005)
   end
   t.equal(status("Threads"), threads, "threads")
   t.equal(kit.descriptors(), fds, "descriptors")
end

on("100,000 tasks by submit and gather", 2, function(pool)
   local futures = {}
   for i = 1, 100000 do futures[i] = pool:submit(increment, i) end
   local results = flow.gather(futures)
   for i = 1, 100000 do
      if results[i] ~= i + 1 then t.equal(results[i], i + 1) end
   end
   t.equal(pool:stats().done, 100000)
end)

on("100,000 items by scatter, and a million by map", 2, function(pool)
   local items = {}
   for i = 1, 100000 do items[i] = i end
   local results, sum = flow.gather(pool:scatter(increment, items)), 0
   for i = 1, 100000 do sum = sum + results[i] end
   t.ok(sum == 5000150000)
   for i = 100001, 1000000 do items[i] = i end
   results, sum = pool:map(increment, items), 0
   for i = 1, 1000000 do
      if results[i] ~= i + 1 then t.equal(results[i], i + 1) end
   end
   t.equal(#results, 1000000)
end)

on("10,000 by as_completed", 2, function(pool)
   local items = {}
   for i = 1, 10000 do items["key " .. i] = i end
   local n = 0
   for key, future in flow.as_completed(pool:scatter(increment, items)) do
      t.equal(future:result(), items[key] + 1)
      n = n + 1
   end
   t.equal(n, 10000)
end)

on("a chain of 100,000, done and failed", 2, function(pool)
   local last = pool:submit(echo, 0)
   for _ = 1, 100000 do last = pool:submit(increment, last) end
   t.equal(last:result(), 100000)
   local release = kit.hold(pool, 2)
   last = pool:submit(error, "at the root")
   for _ = 1, 100000 do last = pool:submit(increment, last) end
   release()
   local ok, err = last:try()
   t.equal(ok, false)
   t.equal(err.kind, "dependency")
end)

on("a fan of 100,000 out of one, into one", 2, function(pool)
   local root, leaves = pool:submit(echo, 1), {}
   for i = 1, 100000 do leaves[i] = pool:submit(increment, root) end
   local sum = pool:submit(function(list)
      local total = 0
      for _, v in ipairs(list) do total = total + v end
      return total
   end, leaves)
   t.equal(sum:result(), 200000)
end)

on("10,000 small maps", 2, function(pool)
   for i = 1, 10000 do
      local got = pool:map(increment, { i, 2 * i, 3 })
      if got[1] ~= i + 1 or got[2] ~= 2 * i + 1 or got[3] ~= 4 then
         t.same(got, { i + 1, 2 * i + 1, 4 })
      end
   end
end)

on("10,000 round trips, one at a time", 2, function(pool)
   for i = 1, 10000 do
      if pool:submit(increment, i):result() ~= i + 1 then t.equal(i, nil) end
   end
end)

on("10,000 pending tasks cancelled, others done", 1, function(pool)
   local release, held = kit.hold(pool)
   local futures, cancelled = {}, 0
   for i = 1, 10000 do futures[i] = pool:submit(echo, i) end
   for i = 1000, 9000 do
      if futures[i]:cancel() then cancelled = cancelled + 1 end
   end
   t.equal(cancelled, 8001)
   release()
   held[1]:result()
   for i = 1, 999 do t.equal(futures[i]:result(), i) end
   for i = 9001, 10000 do t.equal(futures[i]:result(), i) end
   t.equal(pool:stats().cancelled, 8001)
   t.equal(pool:stats().done, 2000)
end)

on("a large string there and back", 1, function(pool)
   local text = ("0123456789abcdef"):rep(2 * 1024 * 1024)
   t.ok(pool:submit(echo, text):result() == text)
   t.ok(pool:map(echo, { text })[1] == text)
   local list = {}
   for i = 1, 1000000 do list[i] = i / 2 end
   local back = pool:submit(echo, list):result()
   t.equal(#back, 1000000)
   for i = 1, 1000000, 997 do t.equal(back[i], i / 2) end
end)

on("many functions, each for once", 2, function(pool)
   local futures = {}
   for i = 1, 3000 do
      futures[i] = pool:submit((loadstring
         or load)(("return ... + %d"):format(i)), i)
   end
   for i = 1, 3000 do t.equal(futures[i]:result(), 2 * i) end
   for i = 1, 3000 do futures[i] = pool:submit(function(x) return x + i end,
      i) end
   for i = 1, 3000 do t.equal(futures[i]:result(), 2 * i) end
end)

-- What is left behind ---------------------------------------------------------

for _, kind in ipairs(kit.kinds) do
   t.test(kind .. ": 1,000 pools opened and closed leave nothing", function()
      flow[kind](2):close()
      collectgarbage()
      flow.sleep(0.01)
      local threads, fds = status("Threads"), kit.descriptors()
      local before = children()
      for i = 1, 1000 do
         local pool = flow[kind](1 + i % 3)
         if i % 2 == 0 then t.equal(pool:submit(increment, i):result(),
            i + 1) end
         if i % 5 == 0 then pool:submit(echo, i) end
         pool:close()
      end
      as_before(threads, fds)
      t.equal(children(), before, "children")
   end)

   t.test(kind .. ": pools that are dropped without close end", function()
      flow[kind](2):close()
      collectgarbage()
      flow.sleep(0.01)
      local threads, fds = status("Threads"), kit.descriptors()
      for i = 1, 200 do
         local pool = flow[kind](2)
         if i % 2 == 0 then t.equal(pool:submit(increment, i):result(),
            i + 1) end
         if i % 3 == 0 then pool:submit(echo, i) end
         pool = nil
         if i % 20 == 0 then collectgarbage() end
      end
      collectgarbage()
      collectgarbage()
      as_before(threads, fds)
   end)
end

on("what tasks took and gave is freed", 2, function(pool)
   local function rounds(n)
      for _ = 1, n do
         local futures = {}
         for i = 1, 1000 do futures[i] = pool:submit(function(s) return s
            .. "!" end, ("x"):rep(4096) .. i) end
         for i = 1, 1000 do t.equal(#futures[i]:result(),
            4097 + #tostring(i)) end
         pool:map(function(v) return { v, v } end, futures)
      end
      collectgarbage()
      collectgarbage()
      return status("VmRSS")
   end
   -- Arguments alone would leave 4 MB a round.
   local before = rounds(10)
   local after = rounds(40)
   t.ok(after < before + 100000, ("%d kB, then %d kB"):format(before, after))
end)

on("tasks that print, fail, leave and nest, all at once", 3, function(pool)
   local function work(n)
      if n % 7 == 0 then error("seven") end
      if n % 11 == 0 then os.exit(n % 3) end
      if n % 5 == 0 then return flow.pool():submit(increment, n):result() end
      if n % 13 == 0 then return #flow.pool():map(echo, { n, n }) end
      return n
   end
   local items = {}
   for n = 1, 3000 do items[n] = n end
   for n, outcome in pairs(flow.settle(pool:scatter(work, items))) do
      if n % 7 == 0 then t.equal(outcome.error.kind, "error")
      elseif n % 11 == 0 then t.equal(outcome.error.kind, "crashed")
      elseif n % 5 == 0 then t.equal(outcome.value, n + 1)
      elseif n % 13 == 0 then t.equal(outcome.value, 2)
      else t.equal(outcome.value, n) end
   end
   local stats = pool:stats()
   t.equal(stats.queued + stats.running, 0)
end)

return t.finish()
