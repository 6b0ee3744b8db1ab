-- halt.lua: when the rest of a scatter or map is not wanted any more.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse = kit.on, kit.misuse

-- In a task: fails for the items that say so.
local function work(item)
   if item == "bad" then error("it is bad", 0) end
   return item
end

local function states(futures)
   local list = {}
   for i, f in ipairs(futures) do list[i] = f:state() end
   return table.concat(list, " ")
end

local function all_done(futures)
   flow.wait(futures)
   for _, f in pairs(futures) do f:try() end
   return states(futures)
end

on("never is the default of scatter", 1, function(pool)
   for _, policy in ipairs { {}, { halt = "never" } } do
      local futures = pool:with(policy):scatter(work, { "bad", 1, "bad", 2 })
      t.equal(all_done(futures), "failed done failed done")
   end
end)

on("soon starts nothing new", 1, function(pool)
   local view = pool:with { halt = "soon,fail=1" }
   local futures = view:scatter(work, { 1, "bad", 2, 3 })
   t.equal(all_done(futures), "done failed cancelled cancelled")
   local ok, err = futures[3]:try()
   t.equal(ok, false)
   t.equal(err.kind, "cancelled")
   t.equal(err.message, "stopped by halt soon,fail=1")
   t.equal(err.cause.kind, "error")
   t.equal(err.cause.key, 2)
   -- The next call is a group of its own.
   t.equal(all_done(view:scatter(work, { 1, 2 })), "done done")
   t.equal(view:submit(work, "good"):result(), "good")
end)

on("counts and percentages", 1, function(pool)
   local items = { "bad", 1, "bad", 2, "bad", 3, 4, 5, 6, 7 }
   local function ran(halt)
      local futures = pool:with { halt = halt }:scatter(work, items)
      local text, n = all_done(futures):gsub("%f[%w]cancelled", "")
      return #items - n
   end
   t.equal(ran "soon,fail=2", 3)
   t.equal(ran "soon,fail=4", 10)
   t.equal(ran "soon,fail=30%", 5)
   t.equal(ran "fail=30%", 5)
   t.equal(ran "now,fail=25%", 5)
   t.equal(ran "soon,fail=31%", 10)
   t.equal(ran "soon,fail=100%", 10)
   t.equal(ran "soon,success=1", 2)
   t.equal(ran "soon,success=30%", 6)
   t.equal(ran "soon,done=1", 1)
   t.equal(ran "soon,done=40%", 4)
   t.equal(ran "now,done=3", 3)
end)

on("now asks what runs to stop", 2, function(pool)
   local path = os.tmpname()
   local futures = pool:with { halt = "now,fail=1" }:scatter(function(item)
      if item == "stay" then
         os.remove(path)
         while not flow.cancelled() do flow.sleep(0.002) end
         return "asked"
      end
      if item == "bad" then
         repeat
            local file = io.open(path)
            if file then file:close() end
            flow.sleep(0.002)
         until not file
         error("it is bad", 0)
      end
   end, { "stay", "bad", 1, 2 })
   flow.wait(futures)
   t.equal(futures[2]:state(), "failed")
   t.equal(futures[3]:state(), "cancelled")
   t.equal(futures[4]:state(), "cancelled")
   futures[2]:try()
   local state = futures[1]:state()
   t.ok(state == "done" or state == "cancelled", state)
end)

on("only final failures count", 1, function(pool)
   local futures = pool:with { halt = "soon,fail=1", retries = 2 }
      :scatter(function(item)
         if item == "once" and flow.attempt() == 1 then error("once", 0) end
         if item == "bad" then error("bad", 0) end
         return flow.attempt()
      end, { "once", 1, "bad", 2 })
   t.equal(all_done(futures), "done done failed cancelled")
   t.equal(futures[1]:result(), 2)
   t.equal(futures[3]:info().attempts, 3)
end)

on("map goes on with never, and raises the first in time", 1, function(pool)
   local path, notes = kit.notes()
   local function noted(item)
      kit.note(path, item)
      if item == "bad1" or item == "bad2" then error(item, 0) end
      return item
   end
   for halt, wanted in pairs {
      never = "a bad1 b bad2 c",
      ["soon,fail=2"] = "a bad1 b bad2",
      ["soon,fail=1"] = "a bad1",
      ["now,fail=1"] = "a bad1",
      ["fail=100%"] = "a bad1 b bad2 c",
   } do
      path, notes = kit.notes()
      local ok, err = pcall(function()
         return pool:with { halt = halt, chunk = 1 }
            :map(noted, { "a", "bad1", "b", "bad2", "c" })
      end)
      pool:drain()
      t.equal(ok, false)
      t.equal(err.kind, "error", halt)
      t.equal(err.message, "bad1", halt)
      t.equal(err.key, 2, halt)
      t.equal(notes(), wanted, halt)
   end
   local got = pool:with { halt = "never" }:map(work, { 1, 2, x = 3 })
   t.same(got, { 1, 2, x = 3 })
   got = pool:with { halt = "soon,fail=50%" }:map(work, {})
   t.same(got, {})
end)

on("members with dependencies are cancelled themselves", 2, function(pool)
   local release, held = kit.hold(pool, 1)
   local futures = pool:with { halt = "soon,fail=1", after = held }
      :scatter(work, { 1, 2, 3 })
   local bad = pool:with { halt = "soon,fail=1" }
      :scatter(work, { held[1], "bad", held[1] })
   bad[2]:wait()
   t.equal(all_done { bad[2], bad[3], bad[1] }, "failed cancelled cancelled")
   release()
   t.equal(all_done(futures), "done done done")
end)

on("gather cancels what it was given, whatever halt says", 1, function(pool)
   local release, held = kit.hold(pool)
   local futures = pool:with { halt = "never" }:scatter(work, { "bad", 1 })
   futures[3] = held[1]
   futures[4] = pool:with { after = futures[3] }:submit(work, 1)
   release()
   t.equal(pcall(flow.gather, futures), false)
   flow.wait(futures)
   t.equal(futures[4]:state() ~= "pending", true)
end)

on("what is not understood is refused", 1, function(pool)
   for _, bad in ipairs { "", "soon", "fail", "fail=", "fail=0", "soon,fail=x",
      "later,fail=1", "soon,fail=1.5", "soon,fail=101%", "soon,fail=0%",
      "soon,fail=-1", "soon,fail=0x2", "soon, fail=1", "Never", "fail=1%%",
      "fail=1 ", "fail=1e400", 1, true, {} } do
      misuse(function() pool:with { halt = bad } end, "bad policy field 'halt'")
   end
   misuse(function() pool:with { halt = "soon" } end, "now,fail=1")
   misuse(function() flow.options { halt = "soon" } end, "options: halt:")
end)

t.test("a big group stops once", function()
   local pool = flow.threads(4)
   local items = {}
   for i = 1, 5000 do items[i] = i end
   local futures = pool:with { halt = "soon,fail=3" }:scatter(function(i)
      if i % 7 == 0 then error("seven", 0) end
   end, items)
   flow.wait(futures)
   local failed, cancelled = 0, 0
   for _, f in ipairs(futures) do
      f:try()
      if f:state() == "failed" then failed = failed + 1 end
      if f:state() == "cancelled" then cancelled = cancelled + 1 end
   end
   t.ok(failed >= 3 and failed <= 6, failed)
   t.ok(cancelled > 0, cancelled)
   local stats = pool:stats()
   t.equal(stats.failed, failed)
   t.equal(stats.cancelled, cancelled)
   pool:close()
end)

return t.finish()
