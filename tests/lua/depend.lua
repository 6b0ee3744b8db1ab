-- depend.lua: futures as arguments, and failures that nobody looked at.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, refused, fails = kit.on, kit.refused, kit.fails
local hold, note = kit.hold, kit.note

local function echo(...) return ... end
local function boom() error("boom") end
local function increment(x) return x + 1 end

-- Futures as arguments --------------------------------------------------------

on("a future as argument is its first value", 1, function(pool)
   local seven, none = pool:submit(echo, 7, 8), pool:submit(echo)
   t.equal(pool:submit(increment, seven):result(), 8)
   t.same({ pool:submit(echo, 1, seven, none, seven, 5):result() },
      { 1, 7, nil, 7, 5 })
   t.equal(select("#", pool:submit(echo, none, none):result()), 2)
   local table_result = pool:submit(echo, { deep = { 1, 2 } })
   t.same(pool:submit(function(v) return v.deep[2] end, table_result):result(),
      2)
end)

on("a future in a direct field is its first value", 1, function(pool)
   local a, b = pool:submit(echo, "A"), pool:submit(echo, "B", "more")
   local argument = { a = a, 5, b, n = { 1 } }
   t.same(pool:submit(echo, argument):result(), { a = "A", 5, "B", n = { 1 } })
   t.ok(argument.a == a and argument[2] == b)
   t.same({ pool:submit(echo, { a }, { x = b }):result() },
      { { "A" }, { x = "B" } })
   local none = pool:submit(echo)
   t.same(pool:submit(echo, { none, 2, x = none }):result(), { nil, 2 })
end)

on("futures as items of scatter and map", 2, function(pool)
   local futures = pool:scatter(increment, { 1, 2, a = 3 })
   t.same(flow.gather(pool:scatter(increment, futures)), { 3, 4, a = 5 })
   t.same(pool:map(increment, futures), { 3, 4, a = 5 })
   t.same(pool:with { chunk = 2 }:map(increment, futures), { 3, 4, a = 5 })
   t.same(pool:map(function(v) return v.f + v.n end,
      { { f = futures[1], n = 10 }, { f = futures.a, n = 20 } }), { 12, 24 })
   t.same(pool:map(echo, { 1, futures[1], "x", futures[2] }), { 1, 2, "x", 3 })
end)

on("a dependency that is not done yet is waited for", 2, function(pool)
   local path, notes = kit.notes()
   local release, held = hold(pool)
   local after = pool:submit(function(word) note(path, word) return word end,
      held[1])
   local field = pool:submit(function(v) note(path, v[1]) end, held)
   t.equal(after:state(), "pending")
   t.equal(pool:submit(echo, 1):result(), 1)
   t.equal(after:state(), "pending")
   t.equal(field:state(), "pending")
   release()
   t.equal(after:result(), "released")
   field:result()
   t.equal(notes(), "released released")
end)

on("chains and fans", 1, function(pool)
   local last = pool:submit(echo, 0)
   for _ = 1, 1000 do last = pool:submit(increment, last) end
   t.equal(last:result(), 1000)
   local fan = {}
   for i = 1, 1000 do fan[i] = pool:submit(echo, i) end
   t.equal(pool:submit(function(list)
      local sum = 0
      for _, v in ipairs(list) do sum = sum + v end
      return sum
   end, fan):result(), 500500)
   local root = pool:submit(echo, 1)
   local leaves = {}
   for i = 1, 1000 do leaves[i] = pool:submit(function(r, n) return r + n end,
      root, i) end
   t.equal(leaves[1000]:result(), 1001)
   flow.gather(leaves)
end)

on("a dependency in another pool, and one of the main program", 1,
   function(pool, kind)
   local other = flow[kind](1)
   t.equal(pool:submit(increment, other:submit(echo, 4)):result(), 5)
   t.equal(other:submit(increment, pool:submit(increment,
      other:submit(echo, 1))):result(), 3)
   other:close()
   local here = flow.async(function()
      flow.sleep(0)
      return pool:submit(echo, 5):result()
   end)
   t.equal(pool:submit(increment, here):result(), 6)
end)

on("when a dependency fails the task does not start", 1, function(pool)
   local path, notes = kit.notes()
   local bad = pool:with { name = "bad mesh" }:submit(boom)
   local direct = pool:with { name = "solve" }:submit(note, path, bad)
   local field = pool:submit(function() note(path, "ran") end, { x = bad })
   local err = fails("dependency", direct)
   t.equal(err.task, "solve")
   t.equal(err.cause.kind, "error")
   t.equal(err.cause.task, "bad mesh")
   t.match(err.cause.message, "boom")
   t.equal(direct:state(), "failed")
   t.equal(fails("dependency", field).cause.kind, "error")
   local chain = direct
   for _ = 1, 20 do chain = pool:submit(echo, chain) end
   err = fails("dependency", chain)
   local depth = 0
   while err.cause do
      err, depth = err.cause, depth + 1
   end
   t.equal(err.kind, "error")
   t.match(err.message, "boom")
   t.ok(depth >= 1)
   local items = pool:scatter(function() note(path, "ran") end, { 1, bad })
   t.equal(items[1]:result(), nil)
   fails("dependency", items[2])
   pool:drain()
   t.equal(notes(), "ran")
   t.equal(direct:info().started, nil)
end)

on("when a dependency is cancelled the task does not start", 1, function(pool)
   local path, notes = kit.notes()
   local release = hold(pool)
   local gone = pool:submit(echo, 1)
   local task = pool:submit(note, path, gone)
   gone:cancel()
   release()
   local ok, err = task:try()
   t.equal(ok, false)
   t.ok(err.kind == "dependency" or err.kind == "cancelled", err.kind)
   pool:drain()
   t.equal(notes(), "")
end)

on("a future elsewhere cannot travel", 1, function(pool)
   local future = pool:submit(echo, 1)
   refused("unsendable",
      function() pool:submit(function() return future end) end,
      "upvalue future: future (only an argument, or a direct field of one, may be")
   refused("unsendable", function() pool:submit(echo,
      { a = { b = future } }) end,
      "argument 1 .a.b: ")
   refused("unsendable", function() pool:submit(echo, 1, { { future } }) end,
      "argument 2 [1][1]: ")
   refused("unsendable", function() pool:scatter(echo,
      { { x = { future } } }) end, ".x[1]: ")
   refused("unsendable", function() pool:map(echo, { { x = { future } } }) end,
      ".x[1]: ")
   local conf = { run = future }
   refused("unsendable", function() pool:submit(function() return conf end) end,
      "upvalue conf .run: ")
   kit.globals({ FUTURE = future }, function()
      local ok, made = pcall(pool.submit, pool, function() return FUTURE end)
      local err = made
      if ok then
         ok, err = made:try()
         t.equal(ok, false)
      end
      t.match(err.message, "FUTURE")
   end)
   fails("unsendable", pool:submit(function() return flow.pool():submit(echo,
      1) end))
   t.equal(future:result(), 1)
end)

-- Never looked at -------------------------------------------------------------

-- The status and stderr of a script that has `pool`, `bad` (a future that
-- fails, of the task "bad mesh") and these lines.
local function looked(lines)
   local status, out, err = kit.run([[
      local flow = require "flowrun"
      local pool = flow.threads(1)
      local bad = pool:with { name = "bad mesh" }:submit(function()
         error("no elements")
      end)
      local function echo(...) return ... end
   ]] .. lines)
   t.equal(out, "")
   return status, err
end

t.test("a failure that nobody looked at is told at the end, status 1",
   function()
   local status, err = looked("")
   t.equal(status, 1)
   t.match(err, "bad mesh")
   t.match(err, "no elements")
   status, err = looked("bad = nil collectgarbage() pool:drain()")
   t.equal(status, 1)
   t.match(err, "bad mesh")
   for _, lines in ipairs {
      "bad:wait()",
      "bad:wait() bad:state() bad:done() bad:info() tostring(bad)",
      "flow.wait { bad }",
      "pool:close()",
      "return true",
   } do
      t.equal((looked(lines)), 1, lines)
   end
end)

t.test("every failure is told once", function()
   local status, err = looked([[
      local names = {}
      for i = 1, 3 do
         pool:with { name = "worse" .. i }:submit(function()
            error("again " .. i)
         end)
      end
   ]])
   t.equal(status, 1)
   for _, word in ipairs { "bad mesh", "worse1", "worse2", "worse3" } do
      t.match(err, word)
   end
   local _, count = err:gsub("again 2", "")
   t.equal(count, 1)
end)

t.test("a failure that was looked at is the script's business", function()
   for _, lines in ipairs {
      "pcall(bad.result, bad)",
      "bad:try()",
      "flow.settle { bad }",
      "pcall(flow.gather, { bad })",
      "for _, f in flow.as_completed { bad } do f:state() end",
      "bad:on_done(function() end) pool:drain()",
      "pool:submit(echo, bad):try()",
      "pool:with { after = { bad } }:submit(echo):try()",
      "pool:submit(echo, pool:submit(echo, bad)):try()",
      "pcall(pool.map, pool, echo, { bad })",
   } do
      local status, err = looked(lines)
      t.equal(status, 0, lines .. ": " .. err)
      t.equal(err, "", lines)
   end
end)

t.test("a dependant that nobody looked at counts, cancelled does not",
   function()
   local status, err = looked("pool:with { name = 'next' }:submit(echo, bad)")
   t.equal(status, 1)
   t.match(err, "no elements")
   status, err = kit.run([[
      local flow = require "flowrun"
      local pool = flow.threads(1)
      local gate = os.tmpname()
      local held = pool:submit(function()
         local file
         repeat
            file = io.open(gate)
            if file then file:close() end
         until not file
      end)
      local pending = {}
      for i = 1, 5 do pending[i] = pool:submit(error, i) end
      for i = 1, 5 do assert(pending[i]:cancel()) end
      os.remove(gate)
      held:result()
   ]])
   t.equal(status, 0)
end)

t.test("an on_done that raises is reported, the others still run", function()
   local _, out, err = kit.run([[
      local flow = require "flowrun"
      local future = flow.threads(1):submit(function() return 5 end)
      future:on_done(function(f) print("first", f:result()) end)
      future:on_done(function() error("broken callback") end)
      future:on_done(function() print("third") end)
      future:result()
      flow.sleep(0)
      print("goes on")
   ]])
   t.equal(out, "first\t5\nthird\ngoes on\n")
   t.match(err, "broken callback")
   local _, count = err:gsub("broken callback", "")
   t.equal(count, 1)
end)

t.test("an on_done that is due at the end of the script runs", function()
   local status, out = kit.run([[
      local flow = require "flowrun"
      flow.threads(1):submit(function() return 5 end):on_done(function(f)
         print(f:result())
      end)
   ]])
   t.equal(out, "5\n")
   t.equal(status, 0)
end)

return t.finish()
