-- nested.lua: tasks that hand out tasks, at any depth, with one worker too.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, fails = kit.on, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end
local function double(x) return x * 2 end

-- A tree of tasks, one way to wait each.

local function by_submit(depth)
   if depth == 0 then return 1 end
   local pool = flow.pool()
   local a, b = pool:submit(by_submit, depth - 1),
      pool:submit(by_submit, depth - 1)
   return a:result() + b:result()
end

local function by_map(depth)
   if depth == 0 then return 1 end
   local parts = flow.pool():map(by_map, { depth - 1, depth - 1 })
   return parts[1] + parts[2]
end

local function by_gather(depth)
   if depth == 0 then return 1 end
   local parts = flow.gather(flow.pool():scatter(by_gather,
      { a = depth - 1, b = depth - 1 }))
   return parts.a + parts.b
end

local function by_settle(depth)
   if depth == 0 then return 1 end
   local parts = flow.settle(flow.pool():scatter(by_settle,
      { depth - 1, depth - 1 }))
   return parts[1].value + parts[2].value
end

local function by_as_completed(depth)
   if depth == 0 then return 1 end
   local sum = 0
   for _, future in flow.as_completed(
         flow.pool():scatter(by_as_completed, { depth - 1, depth - 1 })) do
      sum = sum + future:result()
   end
   return sum
end

local function by_wait(depth)
   if depth == 0 then return 1 end
   local left, sum = flow.pool():scatter(by_wait, { depth - 1, depth - 1 }), 0
   while next(left) do
      local done
      done, left = flow.wait(left, { when = "first" })
      for _, future in pairs(done) do sum = sum + future:result() end
   end
   return sum
end

local function by_argument(depth)
   if depth == 0 then return 1 end
   local pool = flow.pool()
   return pool:submit(function(a, b) return a + b end,
      pool:submit(by_argument, depth - 1),
         pool:submit(by_argument, depth - 1)):result()
end

for workers = 1, 2 do
   for name, tree in pairs { submit = by_submit, map = by_map,
      gather = by_gather,
                             settle = by_settle, as_completed = by_as_completed,
                             wait = by_wait, argument = by_argument } do
      on(("depth 5 by %s, %d workers"):format(name, workers), workers,
         function(pool)
         t.equal(pool:submit(tree, 5):result(), 32)
         t.equal(pool:map(tree, { 3, 4 })[2], 16)
      end)
   end
end

t.test("on the default pool", function()
   t.equal(flow.pool():submit(by_submit, 3):result(), 8)
   t.same(flow.pool():map(by_map, { 2, 3 }), { 4, 8 })
end)

on("many tasks that map", 2, function(pool)
   local items, wanted = {}, {}
   for i = 1, 100 do items[i], wanted[i] = i, i * 2 * 55 end
   t.same(pool:map(function(n)
      local sum = 0
      for _, v in ipairs(flow.pool():map(function(k) return n * k * 2 end,
            { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })) do
         sum = sum + v
      end
      return sum
   end, items), wanted)
end)

on("a line of tasks 200 deep on one worker", 1, function(pool)
   local function down(n)
      if n == 0 then return 0 end
      return flow.pool():submit(down, n - 1):result() + 1
   end
   t.equal(pool:submit(down, 200):result(), 200)
end)

on("a waiting task gives its worker away", 1, function(pool)
   local path, notes = kit.notes()
   local release, held = hold(pool)
   local outer = pool:submit(function()
      note(path, "outer")
      local value = flow.pool():submit(function() note(path,
         "inner") return 5 end):result()
      note(path, "again")
      return value
   end)
   local other = pool:submit(note, path, "other")
   release()
   t.equal(outer:result(), 5)
   other:result()
   local order = notes()
   t.match(order, "^outer other")
   t.match(order, "inner again$")
   held[1]:result()
end)

on("what is handed out and not waited for still runs", 1, function(pool)
   local path, notes = kit.notes()
   t.equal(pool:submit(function()
      for i = 1, 5 do flow.pool():submit(note, path, i) end
      return "gone"
   end):result(), "gone")
   pool:drain()
   t.equal(notes(), "1 2 3 4 5")
end)

on("a pool as argument, upvalue, field and result", 1, function(pool, kind)
   local other = flow[kind] { workers = 1, name = "other" }
   local function where(p) return p:submit(echo, 1):info().pool end
   t.equal(pool:submit(where, other):result(), "other")
   t.equal(pool:submit(function() return where(other) end):result(), "other")
   t.equal(pool:submit(function(o) return where(o.deep.pool) end,
      { deep = { pool = other } }):result(), "other")
   t.ok(pool:submit(echo, other):result() == other)
   t.equal(pool:submit(function() return other:map(double,
      { 4 })[1] end):result(), 8)
   kit.globals({ OTHER = other }, function()
      t.equal(pool:submit(function() return where(OTHER) end):result(), "other")
   end)
   local same = pool:submit(function() return flow.pool() end):result()
   t.ok(same == pool)
   t.equal(same:submit(double, 3):result(), 6)
   other:close()
   local err = fails("error", pool:submit(function() return where(other) end))
   t.match(tostring(err.message), "closed")
end)

on("two pools whose tasks hand out to each other", 1, function(pool, kind)
   local other = flow[kind](1)
   local function bounce(n, here, there)
      if n == 0 then return 0 end
      return there:submit(bounce, n - 1, there, here):result() + 1
   end
   t.equal(pool:submit(bounce, 20, pool, other):result(), 20)
   other:close()
end)

on("futures inside a task have all their methods", 1, function(pool)
   t.same({ pool:submit(function()
      local f = flow.pool():with { name = "inner" }:submit(echo, 1, 2)
      local g = flow.pool():submit(error, "no")
      local name = f:info().name
      local waited = f:wait()
      local gone = flow.pool():submit(echo)
      local cancelled = gone:cancel()
      return name, waited, f:state(), f:done(), select("#", f:try()),
         select(2, g:try()).kind, cancelled, gone:state(),
         tostring(f):find("inner", 1, true) ~= nil
   end):result() }, { "inner", true, "done", true, 3, "error", true,
      "cancelled", true })
end)

on("a wait with seconds inside a task", 1, function(pool, kind)
   local other = flow[kind](1)
   local release, held = hold(other)
   local late = pool:submit(function()
      local never = other:submit(echo, "over")
      local ok, err = never:try(0.02)
      return not ok and err.kind, never:state()
   end)
   t.same({ late:result() }, { "unfinished", "pending" })
   release()
   held[1]:result()
   other:close()
end)

on("waits inside pcall, metamethods, iterators and coroutines", 1,
   function(pool)
   t.same({ pool:submit(function()
      local here = flow.pool()
      local function ask(x) return here:submit(double, x):result() end
      local _, a = pcall(ask, 1)
      local lazy = setmetatable({}, { __index = function(_,
         n) return ask(n) end })
      local sum = 0
      for n in coroutine.wrap(function()
         for i = 1, 3 do coroutine.yield(ask(i)) end
      end) do sum = sum + n end
      local ok, err = pcall(function() here:submit(error, "no"):result() end)
      return a, lazy[2], sum, ok, err.kind
   end):result() }, { 2, 4, 12, false, "error" })
end)

on("waits where Lua cannot yield", 1, function(pool)
   local function sorted(list)
      local here = flow.pool()
      table.sort(list, function(a, b)
         return here:submit(double, a):result() < here:submit(double,
            b):result()
      end)
      return list
   end
   t.same(pool:submit(sorted, { 3, 1, 2 }):result(), { 1, 2, 3 })
   t.equal(pool:submit(function()
      return (("1 2 3"):gsub("%d", function(d)
         return flow.pool():map(double, { tonumber(d) })[1]
      end))
   end):result(), "2 4 6")
   t.equal(pool:submit(function()
      return (("ab"):gsub(".", function(c)
         return flow.pool():submit(sorted, { c, "a" }):try() and c
      end))
   end):result(), "ab")
end)

on("an error comes up through every level", 1, function(pool)
   local function down(n)
      if n == 0 then error("at the bottom") end
      return flow.pool():with { name = "level " .. n }:submit(down,
         n - 1):result()
   end
   local err = fails("error", pool:submit(down, 4))
   t.match(tostring(err), "at the bottom")
   t.equal(pool:submit(function()
      local ok, e = flow.pool():submit(down, 2):try()
      return not ok and e.kind
   end):result(), "error")
   t.equal(pool:submit(function()
      return select(2, pcall(flow.gather,
         flow.pool():scatter(down, { 0 }))).kind
   end):result(), "error")
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("priorities and names hold inside", 1, function(pool)
   local path, notes = kit.notes()
   pool:submit(function()
      local here = flow.pool()
      local futures = {}
      for i, priority in ipairs { 1, 3, 2 } do
         futures[i] = here:with { priority = priority, name = "p" .. priority }
            :submit(note, path, priority)
      end
      flow.gather(futures)
   end):result()
   t.equal(notes(), "3 2 1")
end)

on("a task may drain another pool", 1, function(pool, kind)
   local other = flow[kind](1)
   t.equal(pool:submit(function()
      local future = other:submit(echo, 1)
      other:drain()
      return future:state()
   end):result(), "done")
   other:close()
end)

on("attempt and cancelled in a task", 1, function(pool)
   t.same({ pool:submit(function() return flow.attempt(),
      flow.cancelled() end):result() },
      { 1, false })
end)

return t.finish()
