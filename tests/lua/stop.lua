-- Stopping what runs: timeouts, cancels and memory caps of tasks in threads.
--
-- Tasks that never end by themselves are the test: if they are not stopped,
-- it hangs, and the runner says so. No time is measured.
local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local soon = { timeout = 0.02 }
local threads = kit.kinds[1]
local lua54 = _VERSION == "Lua 5.4"

local function on(name, workers, body)
   t.test(name, function()
      local pool = flow[threads](workers)
      local ok, err = pcall(body, pool)
      pool:cancel()
      pool:close()
      if not ok then error(err, 0) end
   end)
end

-- What loops do: nothing. The thread sanitizer gives a thread its signals only
-- when it calls something in the C library.
local sanitized = kit.flowrun:find("tsan", 1, true)
local tick = sanitized and os.time or function() end

-- In a task: no compiled loops, which cannot be interrupted.
local function slow() if jit then jit.off() end end

local function endless(slow)
   slow()
   while true do tick() end
end

local function timed_out(future)
   local err = kit.fails("timeout", future, "timed out after 0.02 s")
   t.equal(err.seconds, 0.02)
   t.equal(future:state(), "failed")
end

-- Waits until the task has written the word.
local function reached(path)
   while not t.read(path):find("%S") do flow.sleep(0.001) end
end

-- Loops -----------------------------------------------------------------------

local loops = {
   plain = function() while true do tick() end end,
   empty = not sanitized and function() while true do end end or nil,
   calls = function() local function f() tick() return f() end return f() end,
   ["in pcall"] = function()
      pcall(function() while true do tick() end end)
      while true do tick() end
   end,
   ["in pcall for ever"] = function()
      while true do pcall(function() while true do tick() end end) end
   end,
   ["in a coroutine"] = function()
      coroutine.wrap(function() while true do tick() end end)()
   end,
   ["in coroutines for ever"] = function()
      while true do
         local co = coroutine.create(function()
            coroutine.wrap(function() while true do tick() end end)()
         end)
         coroutine.resume(co)
      end
   end,
   ["in one that yields"] = function()
      local co = coroutine.wrap(function()
         while true do tick() coroutine.yield() end
      end)
      while true do co() end
   end,
   ["in a metamethod"] = function()
      return setmetatable({}, { __index = function()
         while true do tick() end
      end }).x
   end,
   ["in sort"] = function()
      table.sort({ 3, 2, 1 }, function() while true do tick() end end)
   end,
   ["in the text of its error"] = function()
      error(setmetatable({}, { __tostring = function()
         while true do tick() end
      end }))
   end,
}

for name, loop in pairs(loops) do
   on("a loop " .. name .. " is interrupted", 1, function(pool)
      local path, noted = kit.notes()
      local body = function(slow, note, loop, path)
         slow()
         note(path, "begun")
         return loop()
      end
      timed_out(pool:with(soon):submit(body, slow, function() end, loop))
      local running = pool:submit(body, slow, kit.note, loop, path)
      reached(path)
      t.equal(running:cancel(), true)
      kit.fails("cancelled", running)
      t.equal(running:state(), "cancelled")
      t.equal(pool:submit(function() return 7 end):result(), 7)
      t.equal(pool:stats().lost, 0)
      noted()
   end)
end

-- Cancels the task once it has written "begun"; all that it wrote.
local function cancelled_notes(pool, body)
   local path, noted = kit.notes()
   local running = pool:submit(body, slow, kit.note, path)
   reached(path)
   t.equal(running:cancel(), true)
   kit.fails("cancelled", running)
   return noted()
end

on("pcall sees the interrupt once, and has time", 1, function(pool)
   t.equal(cancelled_notes(pool, function(slow, note, path)
      slow()
      local ok, err = pcall(function()
         note(path, "begun")
         while true do tick() end
      end)
      note(path, tostring(ok))
      note(path, err.kind)
      note(path, tostring(require("flowrun").cancelled()))
      return "too late"
   end), "begun false cancelled true")
end)

if lua54 then
   on("what is to be closed is closed", 1, function(pool)
      t.equal(cancelled_notes(pool, load([[
         local slow, note, path = ...
         local function closing(word)
            return setmetatable({}, { __close = function()
               note(path, word)
            end })
         end
         local a <close> = closing "a"
         pcall(function()
            local b <close> = closing "b"
            note(path, "begun")
            while true do os.time() end
         end)
         error "over"
      ]])), "begun b a")
   end)

   on("an endless close is given up", 1, function(pool)
      local body = load([[
         local a <close> = setmetatable({}, { __close = function()
            while true do end end })
         while true do os.time() end
      ]])
      timed_out(pool:with(soon):submit(body))
      t.equal(pool:submit(function() return 7 end):result(), 7)
   end)
end

on("finalizers of what was stopped run later", 1, function(pool)
   timed_out(pool:with(soon):submit(function(slow)
      slow()
      local keep = {}
      while true do
         keep[1] = newproxy and newproxy(true)
            or setmetatable({}, { __gc = function() end })
      end
   end, slow))
   t.equal(pool:submit(function() collectgarbage() return 7 end):result(), 7)
end)

on("hooks are gone when the task is", 1, function(pool)
   timed_out(pool:with(soon):submit(loops.plain))
   t.equal(pool:submit(function()
      local co = coroutine.create(function() end)
      return debug.gethook() == nil and debug.gethook(co) == nil
   end):result(), true)
end)

on("a coroutine that was kept is not harmed", 1, function(pool)
   cancelled_notes(pool, function(slow, note, path)
      slow()
      package.loaded.kept = coroutine.create(function()
         while true do tick() coroutine.yield(5) end
      end)
      note(path, "begun")
      while true do coroutine.resume(package.loaded.kept) end
   end)
   -- It may have been the one that was interrupted.
   t.ok(pool:submit(function()
      local kept = package.loaded.kept
      package.loaded.kept = nil
      if coroutine.status(kept) == "dead" then return true end
      return select(2, coroutine.resume(kept)) == 5
   end):result())
end)

-- Coroutines in workers -------------------------------------------------------

-- Everything that the wrapped functions do, as text.
local function everything()
   local out = {}
   local function say(...)
      local n = select("#", ...)
      for i = 1, n do out[#out + 1] = tostring((select(i, ...))) end
      out[#out + 1] = ";"
   end
   local co = coroutine.create(function(...)
      local a = { ... }
      say(#a, coroutine.yield(#a, nil))
      return nil, 2, nil
   end)
   say(coroutine.resume(co, 1, 2))
   say(coroutine.resume(co, "x", nil))
   say(coroutine.resume(co))
   say(coroutine.resume(coroutine.create(function() error("oops") end)))
   say(coroutine.resume(coroutine.create(function() error({}, 0) end)) == false)
   local wrapped = coroutine.wrap(function() error("text", 0) end)
   say(pcall(wrapped))
   say(pcall(wrapped))
   say(pcall(coroutine.wrap(function() error(nil) end)))
   say((pcall(coroutine.resume, 5)))
   say(pcall(coroutine.wrap, 5))
   local inside = coroutine.wrap(function()
      local inner = coroutine.wrap(function() coroutine.yield(1) return 2 end)
      coroutine.yield(inner())
      coroutine.yield(inner())
   end)
   say(inside(), inside())
   if coroutine.close then
      local closing = coroutine.create(function() coroutine.yield() end)
      coroutine.resume(closing)
      say(coroutine.close(closing))
      say(coroutine.status(closing))
      local failed = coroutine.create(function() error("x", 0) end)
      coroutine.resume(failed)
      say(coroutine.close(failed))
      say(pcall(coroutine.close, coroutine.running()))
      say(pcall(function()
         local outer = coroutine.running()
         return coroutine.wrap(function()
            return coroutine.close(outer)
         end)()
      end))
   end
   return (table.concat(out, " "):gsub("0x%x+", "ADDRESS"))
end

on("coroutines are the same in a worker", 1, function(pool)
   t.equal(pool:submit(everything):result(),
      coroutine.wrap(everything)())
end)

on("functions of coroutine travel by name", 1, function(pool)
   local got = pool:submit(function(resume, wrap)
      local co = coroutine.create(function() return 5 end)
      return { same = resume == coroutine.resume and wrap == coroutine.wrap,
         resume = coroutine.resume, value = select(2, resume(co)) }
   end, coroutine.resume, coroutine.wrap):result()
   t.equal(got.same, true)
   t.equal(got.value, 5)
   t.ok(got.resume == coroutine.resume)
end)

-- Waits -----------------------------------------------------------------------

on("sleeps are interrupted", 1, function(pool)
   local naps = function() require("flowrun").sleep(3600) end
   timed_out(pool:with(soon):submit(naps))
   local running = pool:submit(naps)
   kit.started { running }
   t.equal(running:cancel(), true)
   kit.fails("cancelled", running)
   t.equal(pool:stats().lost, 0)
end)

on("waits are interrupted", 2, function(pool)
   local function yields(never) return never.future:result() end
   local function blocks(never)
      table.sort({ 2, 1 }, function() never.future:result() end)
   end
   -- A future travels only as a dependency: the task makes its own.
   local function body(waits, note, path)
      local flow = require "flowrun"
      local future = flow.pool():submit(function()
         require("flowrun").sleep(3600)
      end)
      if note then note(path, "begun") end
      return waits { future = future }
   end
   for _, waits in ipairs { yields, blocks } do
      timed_out(pool:with(soon):submit(body, waits))
      pool:cancel()
      local path, noted = kit.notes()
      local running = pool:submit(body, waits, kit.note, path)
      reached(path)
      t.equal(running:cancel(), true)
      kit.fails("cancelled", running)
      noted()
      pool:cancel()
   end
   t.equal(pool:stats().lost, 0)
end)

on("who waits again is interrupted again", 1, function(pool)
   timed_out(pool:with(soon):submit(function(slow)
      slow()
      local flow = require "flowrun"
      while true do pcall(flow.sleep, 3600) end
   end, slow))
   t.equal(pool:submit(function() return 7 end):result(), 7)
end)

on("a task whose worker is busy ends without it", 1, function(pool)
   local path, noted = kit.notes()
   local gate = os.tmpname()
   local waiting = pool:submit(function(...)
      local flow = require "flowrun"
      return flow.pool():submit(function(note, path, gate)
         note(path, "begun")
         repeat
            local file = io.open(gate)
            if file then file:close() end
         until not file
      end, ...):result()
   end, kit.note, path, gate)
   reached(path)
   t.equal(waiting:cancel(), true)
   kit.fails("cancelled", waiting)
   os.remove(gate)
   t.equal(pool:submit(function() return 7 end):result(), 7)
   t.equal(pool:stats().lost, 0)
   noted()
end)

-- Attempts --------------------------------------------------------------------

on("a timeout is retried", 1, function(pool)
   local future = pool:with{ timeout = 0.3, retries = 2 }:submit(function(slow)
      slow()
      local attempt = require("flowrun").attempt()
      while attempt < 3 do tick() end
      return attempt
   end, slow)
   t.equal(future:result(), 3)
   t.equal(future:info().attempts, 3)
   t.equal(pool:stats().retried, 2)
   local err = kit.fails("timeout", pool:with{ timeout = 0.02, retries = 1 }
      :submit(endless, slow))
   t.equal(err.attempts, 2)
   err = kit.fails("timeout", pool:with{ timeout = 0.02, retries = 9,
      retry_on = "error" }:submit(endless, slow))
   t.equal(err.attempts, 1)
end)

on("in time is no timeout", 2, function(pool)
   local view = pool:with{ timeout = 60 }
   local results = view:map(function(x) return x * x end, { 1, 2, 3, a = 4 })
   t.equal(results.a + results[3], 25)
   kit.fails("error", view:submit(error, "own"), "own")
end)

-- Races -----------------------------------------------------------------------

on("a cancel and an end have one outcome", 2, function(pool)
   local counts = { done = 0, cancelled = 0 }
   for i = 1, 400 do
      local future = pool:submit(function(n)
         local s = 0
         for k = 1, n do s = s + k end
         return s
      end, i % 20 * 2000)
      for _ = 1, i % 7 * 40 do future:state() end
      local promised = future:cancel()
      local ok, err = future:try()
      local state = future:state()
      if promised then t.equal(state, "cancelled") end
      t.equal(ok, state == "done")
      if not ok then t.equal(err.kind, "cancelled") end
      counts[state] = counts[state] + 1
      t.equal(future:cancel(), state == "cancelled")
   end
   t.equal(counts.done + counts.cancelled, 400)
   local stats = pool:stats()
   t.equal(stats.done, counts.done)
   t.equal(stats.cancelled, counts.cancelled)
   t.equal(stats.failed, 0)
   t.equal(stats.lost, 0)
end)

on("a timeout and an end have one outcome", 2, function(pool)
   local futures = {}
   local view = pool:with{ timeout = 0.0005 }
   for i = 1, 200 do
      futures[i] = view:submit(function(slow, n)
         slow()
         local s = 0
         for k = 1, n do s = s + k end
         return s
      end, slow, i % 20 * 4000)
   end
   local done, failed = 0, 0
   for i = 1, 200 do
      local ok, err = futures[i]:try()
      if ok then done = done + 1 else
         t.equal(err.kind, "timeout")
         failed = failed + 1
      end
   end
   local stats = pool:stats()
   t.equal(stats.done, done)
   t.equal(stats.failed, failed)
   t.equal(stats.lost, 0)
end)

-- All of a pool, all of a map -------------------------------------------------

on("pool:cancel stops all that runs", 3, function(pool)
   local futures = {}
   for i = 1, 6 do
      futures[i] = pool:submit(function(slow, i)
         slow()
         if i % 2 == 0 then require("flowrun").sleep(3600) end
         while true do tick() end
      end, slow, i)
   end
   kit.started { futures[1], futures[2], futures[3] }
   pool:cancel()
   t.equal(pool:drain(), true)
   for i = 1, 6 do kit.fails("cancelled", futures[i]) end
   t.equal(pool:stats().cancelled, 6)
   t.equal(pool:submit(function() return 7 end):result(), 7)
end)

on("the first failure of a map stops the others", 2, function(pool)
   local path, noted = kit.notes()
   local err = kit.refused("error", function()
      pool:map(function(item)
         if jit then jit.off() end
         if item == "loop" then
            local file = io.open(path, "a")
            file:write("begun\n")
            file:close()
            while true do tick() end
         end
         local text = ""
         while text == "" do
            local file = io.open(path)
            text = file:read("*a")
            file:close()
         end
         error("enough")
      end, { "loop", "fail" })
   end, "enough")
   t.equal(err.key, 2)
   local stats = pool:stats()
   t.equal(stats.failed, 1)
   t.equal(stats.cancelled, 1)
   t.equal(stats.lost, 0)
   noted()
end)

on("gather cancels what runs", 2, function(pool)
   local running = pool:submit(endless, slow)
   local sleeping = pool:submit(function()
      require("flowrun").sleep(3600)
   end)
   kit.started { running }
   local failing = pool:with{ priority = 1 }:submit(error, "now")
   sleeping:cancel()
   kit.refused("error", function() flow.gather { running, failing } end, "now")
   kit.fails("cancelled", running)
end)

-- Threads that cannot be stopped ----------------------------------------------

-- Tasks in C code, until what is given too is called; their futures.
local function hard(pool, n)
   local path, futures = os.tmpname(), {}
   for i = 1, n do
      futures[i] = pool:with(soon):submit(function(path)
         os.execute("while test -e " .. path .. "; do sleep 0.02; done")
         return "too late"
      end, path)
   end
   return futures, function() os.remove(path) end
end

on("a thread in C code is given up and replaced", 1, function(pool)
   local queued, release = hard(pool, 1)
   queued[2] = pool:submit(function() return 7 end)
   timed_out(queued[1])
   t.equal(queued[2]:result(), 7)
   t.equal(pool:stats().lost, 1)
   release()
   -- What comes back changes nothing any more.
   for _ = 1, 50 do pool:submit(function() end):result() end
   local stats = pool:stats()
   t.equal(stats.done, 51)
   t.equal(stats.failed, 1)
   t.equal(stats.running, 0)
end)

on("a cancelled one as well, and it is over at once", 2, function(pool)
   local path, noted = kit.notes()
   local running = pool:submit(function(note, path)
      note(path, "begun")
      os.execute("while test -e " .. path .. "; do sleep 0.02; done")
   end, kit.note, path)
   reached(path)
   t.equal(running:cancel(), true)
   kit.fails("cancelled", running)
   t.ok(pool:stats().lost <= 1)
   noted()
end)

on("tasks that wait in a lost state crash", 1, function(pool)
   local let_go = kit.hold(pool, 1)
   local waiting = pool:submit(function()
      local flow = require "flowrun"
      return flow.pool():with{ priority = -1 }:submit(function() end):result()
   end)
   local futures, release = hard(pool, 1)
   let_go()
   timed_out(futures[1])
   kit.fails("crashed", waiting, "given up")
   t.equal(pool:drain(), true)
   t.equal(pool:stats().lost, 1)
   t.equal(pool:stats().crashed, 1)
   t.equal(pool:submit(function() return 7 end):result(), 7)
   release()
end)

on("no more than workers are given up", 1, function(pool)
   local futures, release = hard(pool, 2)
   timed_out(futures[1])
   timed_out(futures[2])
   t.equal(pool:stats().lost, 1)
   kit.refused("resource", function()
      pool:submit(function() return 7 end):result()
   end, "more than 1 threads could not be stopped")
   release()
end)

-- Memory ----------------------------------------------------------------------

on("a memory cap is hit", 1, function(pool)
   local view = pool:with{ memory = 2e6 }
   local err = kit.fails("resource", view:submit(function()
      local all = {}
      for i = 1, 1e7 do all[i] = { i } end
   end), "memory cap of 2000000 bytes")
   t.equal(err.attempts, 1)
   kit.fails("resource", view:submit(function()
      return #("x"):rep(1e7)
   end))
   t.equal(view:submit(function()
      return (pcall(function() return #("x"):rep(1e7) end))
   end):result(), false)
   t.equal(pool:submit(function() return #("x"):rep(1e7) end):result(), 10000000)
   t.equal(pool:stats().lost, 0)
   t.equal(pool:stats().failed, 2)
end)

on("garbage does not count", 1, function(pool)
   local view = pool:with{ memory = 3e6 }
   local sums = view:map(function(n)
      local sum = 0
      for i = 1, 200000 do
         local item = { i, n }
         sum = sum + item[2]
      end
      return sum
   end, { 1, 2, 3 })
   t.equal(sums[1] + sums[2] + sums[3], 1200000)
end)

on("a cap holds for its own task, also beyond a wait", 1, function(pool)
   local view = pool:with{ memory = 1e6 }
   kit.fails("resource", view:submit(function()
      local flow = require "flowrun"
      flow.pool():submit(function() return #("x"):rep(5e6) end):result()
      return #("y"):rep(5e6)
   end))
   kit.fails("resource", pool:with{ memory = 1e6, retries = 2 }
      :submit(function() return #("x"):rep(1e7) end))
   t.equal(pool:stats().retried, 2)
end)

if jit then
   on("a compiled loop is given up", 1, function(pool)
      timed_out(pool:with(soon):submit(function()
         jit.on()
         local s = 0
         for i = 1, 2e10 do s = s + i end
         return s
      end))
      t.equal(pool:stats().lost, 1)
      t.equal(pool:submit(function() return 7 end):result(), 7)
   end)
end

-- Policies --------------------------------------------------------------------

on("policies are checked", 1, function(pool)
   for _, bad in ipairs { 0, -1, 0 / 0, "1" } do
      kit.misuse(function() pool:with{ timeout = bad } end, "timeout")
   end
   for _, bad in ipairs { 0, 1.5, "1", {} } do
      kit.misuse(function() pool:with{ memory = bad } end, "memory")
   end
end)

return t.finish()
