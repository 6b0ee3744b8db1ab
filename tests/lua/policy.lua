-- policy.lua: the order of tasks, and what is asked of them.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end

-- Order -----------------------------------------------------------------------

on("items are handed out 1..n, then numbers, then strings", 1, function(pool)
   local items = { "x", "x", "x", [-1] = "x", [0] = "x", [2.5] = "x",
      [10] = "x",
                   [5] = "x", b = "x", a = "x", B = "x", ["10"] = "x",
                      [""] = "x" }
   local wanted = "1 2 3 -1 0 2.5 5 10  10 B a b"
   local function work(path) return function(_, key) note(path,
      tostring(key)) end end
   local path, notes = kit.notes()
   flow.gather(pool:scatter(work(path), items))
   t.equal(notes(), wanted)
   for _, chunk in ipairs { 1, 4, 100, "auto" } do
      path, notes = kit.notes()
      pool:with { chunk = chunk }:map(work(path), items)
      t.equal(notes(), wanted, "chunk " .. chunk)
   end
end)

on("equal priorities run in the order of submission", 1, function(pool)
   local path, notes = kit.notes()
   local release = hold(pool)
   for i = 1, 20 do pool:submit(note, path, i) end
   release()
   pool:drain()
   t.equal(notes(), "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20")
end)

on("higher priorities run first", 1, function(pool)
   local path, notes = kit.notes()
   local release = hold(pool)
   local function add(priority, word)
      return pool:with { priority = priority }:submit(note, path, word)
   end
   pool:submit(note, path, "none1")
   add(-1, "low1")
   add(5, "high1")
   add(0, "none2")
   add(10, "top")
   add(-1, "low2")
   add(5, "high2")
   add(0.5, "half")
   pool:submit(note, path, "none3")
   pool:with { priority = 7 }:scatter(function(v) note(path, v) end,
      { "s1", "s2" })
   release()
   pool:drain()
   t.equal(notes(), "top s1 s2 high1 high2 half none1 none2 none3 low1 low2")
end)

on("after: the named futures come first", 2, function(pool)
   local path, notes = kit.notes()
   local release, held = hold(pool)
   local first = pool:with { after = held }:submit(note, path, "second")
   local last = pool:with { after = { first, held[1] }, priority = 9 }
      :submit(note, path, "third")
   t.equal(first:state(), "pending")
   t.equal(pool:submit(note, path, "first"):result(), nil)
   t.equal(first:state(), "pending")
   t.equal(last:state(), "pending")
   release()
   last:result()
   t.equal(notes(), "first second third")
   t.equal(pool:with { after = { first } }:submit(echo, 1):result(), 1)
   t.same(pool:with { after = { first } }:map(echo, { 1, 2 }), { 1, 2 })
end)

on("after a failure nothing starts", 1, function(pool)
   local path, notes = kit.notes()
   local bad = pool:submit(function() error("boom") end)
   local err = fails("dependency", pool:with { after = { bad } }:submit(note,
      path, "ran"))
   t.equal(err.cause.kind, "error")
   t.match(err.cause.message, "boom")
   local futures = pool:with { after = { bad } }:scatter(function() note(path,
      "ran") end, { 1, 2 })
   fails("dependency", futures[1])
   fails("dependency", futures[2])
   refused("dependency", function()
      pool:with { after = { bad } }:map(function() note(path, "ran") end,
         { 1, 2 })
   end)
   t.equal(notes(), "")
end)

-- Policies --------------------------------------------------------------------

on("with gives a view of the same pool", 1, function(pool)
   local view = pool:with { name = "seen" }
   t.equal(view:submit(echo, 1):info().name, "seen")
   t.ok(pool:submit(echo, 1):info().name ~= "seen")
   t.equal(view:with { priority = 3 }:submit(echo, 1):info().name, "seen")
   t.equal(view:with { name = "other" }:submit(echo, 1):info().name, "other")
   pool:drain()
   t.equal(view:stats().done, 4)
   t.equal(pool:stats().done, 4)
   view:close()
   refused("closed", function() pool:submit(echo, 1) end)
end)

on("a view keeps its pool, and its policy, alive", 1, function(pool, kind)
   local view = flow[kind](1):with { name = "kept" }
   collectgarbage()
   collectgarbage()
   t.equal(view:submit(echo, 5):result(), 5)
   t.equal(view:submit(echo, 5):info().name, "kept")
   view:close()
   pool:drain()
end)

on("what is no policy is refused, naming it", 1, function(pool)
   misuse(function() pool:with() end, "table")
   misuse(function() pool:with(5) end, "table")
   misuse(function() pool:with { tmeout = 5 } end, "tmeout")
   misuse(function() pool:with { [1] = "x" } end, "1")
   misuse(function() pool:with { priority = "high" } end, "priority")
   misuse(function() pool:with { priority = 0 / 0 } end, "priority")
   misuse(function() pool:with { name = 5 } end, "name")
   misuse(function() pool:with { name = {} } end, "name")
   misuse(function() pool:with { after = 5 } end, "after")
   misuse(function() pool:with { after = { 5 } } end, "after")
   misuse(function() pool:with { after = { echo } } end, "after")
end)

on("names are strings, or made at submission from value and key", 1,
   function(pool)
   local calls = 0
   local view = pool:with { name = function(value, key)
      calls = calls + 1
      return ("%s-%s"):format(value.mesh, key)
   end }
   local futures = view:scatter(echo, { { mesh = 200 }, b = { mesh = 400 } })
   t.equal(calls, 2)
   t.equal(futures[1]:info().name, "200-1")
   t.equal(futures.b:info().name, "400-b")
   t.match(tostring(futures[1]), "200%-1")
   local bad = view:scatter(function() error("x") end, { { mesh = 1 } })
   t.equal(fails("error", bad[1]).task, "1-1")
   t.raises(function()
      pool:with { name = function() error("no name") end }:scatter(echo, { 1 })
   end, "no name")
end)

on("a task without a name has one", 1, function(pool)
   local future = pool:submit(echo, 1)
   t.equal(type(future:info().name), "string")
   t.ok(#future:info().name > 0)
   t.ok(tostring(future):find(future:info().name, 1, true))
end)

return t.finish()
