-- futures.lua: the handle of a task's outcome.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end
local function boom() error("boom") end
local function increment(x) return x + 1 end

-- The end of all on_done functions that are due.
local function settle_callbacks() flow.sleep(0) end

-- States ----------------------------------------------------------------------

on("the five states", 1, function(pool)
   local release, held = hold(pool)
   local pending, dropped = pool:submit(echo, 1), pool:submit(echo, 2)
   t.equal(held[1]:state(), "running")
   t.equal(pending:state(), "pending")
   t.equal(pending:done(), false)
   t.equal(held[1]:done(), false)
   t.equal(dropped:cancel(), true)
   t.equal(dropped:state(), "cancelled")
   t.equal(dropped:done(), true)
   release()
   t.equal(pending:wait(), true)
   t.equal(pending:state(), "done")
   t.equal(pending:done(), true)
   local failed = pool:submit(boom)
   t.equal(failed:wait(), true)
   t.equal(failed:state(), "failed")
   t.equal(failed:done(), true)
   t.equal((failed:try()), false)
   t.equal(held[1]:result(), "released")
end)

on("result gives all values or raises the error", 1, function(pool)
   t.same({ pool:submit(echo, 1, nil, 3):result() }, { 1, nil, 3 })
   t.equal(select("#", pool:submit(echo, nil, nil):result()), 2)
   local failed = pool:submit(boom)
   local err = fails("error", failed, "boom")
   t.match(tostring(err), "boom")
   t.equal(fails("error", failed).message, err.message)
   t.equal(pool:submit(echo, "next"):result(), "next")
end)

on("try is like pcall", 1, function(pool)
   t.same({ pool:submit(echo, 1, nil, 3):try() }, { true, 1, nil, 3 })
   t.equal(select("#", pool:submit(echo):try()), 1)
   t.equal(select("#", pool:submit(echo, nil):try()), 2)
   t.same({ pool:submit(echo, false):try() }, { true, false })
   local ok, err = pool:submit(boom):try()
   t.equal(ok, false)
   t.equal(err.kind, "error")
   local release = hold(pool)
   local pending = pool:submit(echo)
   pending:cancel()
   release()
   ok, err = pending:try()
   t.equal(ok, false)
   t.equal(err.kind, "cancelled")
end)

on("an outcome may be asked for again and again", 1, function(pool)
   local done, failed = pool:submit(echo, { 1 }, 2), pool:submit(boom)
   for _ = 1, 3 do
      t.same({ done:result() }, { { 1 }, 2 })
      t.same({ done:try() }, { true, { 1 }, 2 })
      t.equal(done:wait(), true)
      fails("error", failed, "boom")
      t.equal(select(2, failed:try()).kind, "error")
   end
end)

-- Waits with seconds ----------------------------------------------------------

on("a wait that runs out leaves the future as it was", 1, function(pool)
   local release, held = hold(pool)
   local pending = pool:submit(echo, 7)
   for _, seconds in ipairs { 0, 0.01 } do
      refused("unfinished", function() pending:result(seconds) end)
      local ok, err = pending:try(seconds)
      t.equal(ok, false)
      t.equal(err.kind, "unfinished")
      t.equal(pending:state(), "pending")
      refused("unfinished", function() held[1]:result(seconds) end)
      t.equal(held[1]:state(), "running")
   end
   release()
   t.equal(pending:result(60), 7)
   t.equal(pending:result(0), 7)
   t.same({ pending:try(0) }, { true, 7 })
   t.equal(pending:wait(0), true)
end)

on("future:wait that runs out does not say true", 1, function(pool)
   local release = hold(pool)
   local pending = pool:submit(echo, 7)
   local ok, value = pcall(pending.wait, pending, 0.01)
   if ok then t.equal(value, false) else t.equal(value.kind, "unfinished") end
   t.equal(pending:state(), "pending")
   release()
   t.equal(pending:wait(60), true)
end)

on("seconds are a number", 1, function(pool)
   local future = pool:submit(echo, 1)
   future:wait()
   for _, name in ipairs { "result", "try", "wait" } do
      local method = future[name]
      misuse(function() method(future, "x") end, "seconds")
      misuse(function() method(future, {}) end, "seconds")
      misuse(function() method(future, 0 / 0) end, "seconds")
   end
   t.equal(future:result(1 / 0), 1)
end)

on("a method without its future is misuse, not a crash", 1, function(pool)
   local future = pool:submit(echo, 1)
   for _, name in ipairs { "result", "try", "wait", "state", "done", "on_done",
                           "cancel", "info" } do
      local method = future[name]
      t.equal(type(method), "function", name)
      for _, self in ipairs { false, 5, "x", {}, io.stdout, pool } do
         local ok, err = pcall(method, self)
         t.equal(ok, false, name)
         t.equal(type(err), "string", name)
      end
   end
   t.equal(future:result(), 1)
end)

-- on_done ---------------------------------------------------------------------

on("on_done is called once, with the future, at each of the three ends", 1,
   function(pool)
   local release = hold(pool)
   local futures = { pool:submit(echo, 1), pool:submit(boom),
      pool:submit(echo, 3) }
   local calls = {}
   for i, future in ipairs(futures) do
      future:on_done(function(f, ...)
         t.ok(f == future)
         t.equal(select("#", ...), 0)
         calls[#calls + 1] = i .. f:state()
      end)
   end
   futures[3]:cancel()
   t.equal(#calls <= 1, true)
   release()
   futures[2]:wait()
   settle_callbacks()
   table.sort(calls)
   t.same(calls, { "1done", "2failed", "3cancelled" })
   pool:submit(echo):result()
   settle_callbacks()
   t.equal(#calls, 3)
end)

on("on_done added late, several, and out of each other", 1, function(pool)
   local future, calls = pool:submit(echo, 5), {}
   future:result()
   for i = 1, 3 do
      future:on_done(function(f)
         calls[#calls + 1] = i
         if i == 1 then
            f:on_done(function() calls[#calls + 1] = "inner" end)
            pool:submit(increment, f:result()):on_done(function(g)
               calls[#calls + 1] = g:result()
            end)
         end
      end)
   end
   local late = flow.now() + 10
   while #calls < 5 and flow.now() < late do flow.sleep(0.001) end
   settle_callbacks()
   t.equal(#calls, 5)
   t.same({ calls[1] }, { 1 })
   local text = " " .. table.concat(calls, " ") .. " "
   for _, word in ipairs { "1", "2", "3", "inner", "6" } do
      t.ok(text:find(" " .. word .. " ", 1, true), text)
   end
end)

on("on_done may wait, submit, cancel and close", 1, function(pool, kind)
   local other, got = flow[kind](1), nil
   pool:submit(echo, 1):on_done(function(f)
      local next = other:submit(increment, f:result())
      got = next:result()
      other:close()
   end)
   local late = flow.now() + 10
   while not got and flow.now() < late do flow.sleep(0.001) end
   settle_callbacks()
   t.equal(got, 2)
   refused("closed", function() other:submit(echo) end)
end)

on("on_done runs in the main program, with its own variables", 2, function(pool)
   local sum, count = 0, 0
   for i = 1, 100 do
      pool:submit(echo, i):on_done(function(f)
         sum, count = sum + f:result(), count + 1
      end)
   end
   pool:drain()
   settle_callbacks()
   t.equal(count, 100)
   t.equal(sum, 5050)
end)

on("what is no function is refused by on_done", 1, function(pool)
   local future = pool:submit(echo, 1)
   misuse(function() future:on_done() end, "function")
   misuse(function() future:on_done(5) end, "function")
   t.equal(future:result(), 1)
end)

-- cancel ----------------------------------------------------------------------

on("cancel: true while pending, not when it is done", 1, function(pool)
   local path, notes = kit.notes()
   local release = hold(pool)
   local pending = pool:submit(note, path, "ran")
   t.equal(pending:cancel(), true)
   t.equal(pending:cancel(), true)
   t.equal(pending:state(), "cancelled")
   release()
   local err = fails("cancelled", pending)
   t.equal(tostring(err), pending:info().name .. ": cancelled")
   local done, failed = pool:submit(echo, 1), pool:submit(boom)
   done:wait()
   failed:wait()
   t.ok(not done:cancel())
   t.ok(not failed:cancel())
   t.equal(done:state(), "done")
   t.equal(failed:state(), "failed")
   t.equal(done:result(), 1)
   fails("error", failed)
   pool:drain()
   t.equal(notes(), "")
end)

on("cancel of one task leaves the others", 1, function(pool)
   local release = hold(pool)
   local futures = {}
   for i = 1, 100 do futures[i] = pool:submit(echo, i) end
   for i = 1, 100, 3 do t.equal(futures[i]:cancel(), true) end
   release()
   for i = 1, 100 do
      if i % 3 == 1 then fails("cancelled", futures[i])
      else t.equal(futures[i]:result(), i) end
   end
   t.equal(pool:stats().cancelled, 34)
end)

on("one who waits already learns of the cancel", 1, function(pool)
   local release, held = hold(pool)
   local pending = pool:submit(echo, 1)
   local waiter = flow.async(function() return pending:try() end)
   flow.async(function() flow.sleep(0) pending:cancel() end)
   local ok, err = waiter:result()
   t.equal(ok, false)
   t.equal(err.kind, "cancelled")
   release()
   held[1]:result()
end)

on("racing cancels end in one state each", 2, function(pool)
   local done, cancelled = 0, 0
   for round = 1, 30 do
      local futures = {}
      for i = 1, 30 do futures[i] = pool:submit(echo, i) end
      local wins = {}
      for i = 30, 1, -1 do wins[i] = futures[i]:cancel() end
      for i, future in ipairs(futures) do
         local ok, value = future:try()
         if ok then
            done = done + 1
            t.equal(value, i)
            t.equal(future:state(), "done")
         else
            cancelled = cancelled + 1
            t.equal(value.kind, "cancelled", "round " .. round)
            t.equal(future:state(), "cancelled")
         end
         if wins[i] then t.equal(ok, false) else t.equal(ok, true) end
      end
   end
   t.equal(done + cancelled, 900)
   pool:drain()
   t.equal(pool:stats().done, done)
   t.equal(pool:stats().cancelled, cancelled)
end)

-- info, tostring --------------------------------------------------------------

on("info tells what is known of a task", 1, function(pool, kind)
   local before = flow.now()
   local future = pool:with { name = "known" }:submit(function()
      local x = 0
      for i = 1, 100000 do x = x + i end
      return x
   end)
   future:result()
   local info = future:info()
   t.equal(info.name, "known")
   t.equal(info.key, nil)
   t.equal(info.attempts, 1)
   t.ok(info.worker ~= nil)
   t.ok(before <= info.submitted, "submitted after it was")
   t.ok(info.submitted <= info.started, "started after it was submitted")
   t.ok(info.started <= info.finished)
   t.ok(info.finished <= flow.now())
   t.ok(math.abs(info.seconds - (info.finished - info.started)) < 0.001)
   t.ok(info.cpu >= 0)
   t.ok(info.memory >= 0)
   t.ok(not info.from_journal)
   local named = flow[kind] { workers = 1, name = "place" }
   t.equal(named:submit(echo):info().pool, "place")
   local keyed = pool:scatter(echo, { a = 1, [2.5] = 2 })
   t.equal(keyed.a:info().key, "a")
   t.equal(keyed[2.5]:info().key, 2.5)
   named:close()
end)

on("info of a task that has not run", 1, function(pool)
   local release = hold(pool)
   local pending = pool:submit(echo)
   local info = pending:info()
   t.ok(info.submitted <= flow.now())
   t.equal(info.started, nil)
   t.equal(info.finished, nil)
   pending:cancel()
   t.equal(pending:info().started, nil)
   release()
end)

on("tostring names the task and its state", 1, function(pool)
   local release, held = hold(pool)
   local view = pool:with { name = "mesh 200" }
   local pending, gone = view:submit(echo, 1), view:submit(echo, 2)
   local failed = view:submit(boom)
   gone:cancel()
   local function says(future, state)
      local text = tostring(future)
      t.ok(text:find("mesh 200", 1, true), text)
      t.ok(text:find(state, 1, true), text)
      t.ok(not text:find("\n"), text)
   end
   says(pending, "pending")
   says(gone, "cancelled")
   t.match(tostring(held[1]), "running")
   release()
   pending:wait()
   failed:try()
   says(pending, "done")
   says(failed, "failed")
end)

-- Dropping --------------------------------------------------------------------

on("a future that nobody holds does not cancel its task", 1, function(pool)
   for i = 1, 1000 do pool:submit(echo, i) end
   collectgarbage()
   collectgarbage()
   pool:drain()
   t.equal(pool:stats().done, 1000)
end)

on("a future outlives its pool", 1, function(_, kind)
   local pool = flow[kind](1)
   local good, bad = pool:submit(echo, { "kept" }), pool:submit(boom)
   pool:close()
   pool = nil
   collectgarbage()
   collectgarbage()
   t.same(good:result(), { "kept" })
   fails("error", bad, "boom")
   t.equal(good:info().attempts, 1)
end)

on("waits race with the ends of a thousand futures", 2, function(pool)
   for round = 1, 5 do
      local futures, seen = {}, 0
      for i = 1, 1000 do futures[i] = pool:submit(echo, i) end
      local left = futures
      while next(left) do
         local done, pending = flow.wait(left, { when = "first" })
         local n, m = 0, 0
         for i, future in pairs(done) do
            t.equal(future:result(), i)
            n = n + 1
         end
         for _ in pairs(pending) do m = m + 1 end
         t.ok(n > 0, "round " .. round)
         seen = seen + n
         t.equal(seen + m, 1000)
         left = pending
      end
   end
end)

return t.finish()
