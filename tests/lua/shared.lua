-- shared.lua: queues, dicts, locks, shared values and arrays, in the main
-- program, in async functions and in tasks of every kind of pool.
-- also: stock

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse, refused, fails = kit.on, kit.misuse, kit.refused, kit.fails

local function echo(...) return ... end
local function numbers(n)
   local list = {}
   for i = 1, n do list[i] = i end
   return list
end

-- Queues ----------------------------------------------------------------------

t.test("a queue gives what was pushed, in order, and counts", function()
   local q = flow.queue()
   t.equal(q:count(), 0)
   local values = { 1, 2.5, "x", true, false, { 1, { k = "v" } }, flow.int(7) }
   for _, v in ipairs(values) do t.equal(q:push(v), true) end
   t.equal(q:count(), #values)
   t.equal(tostring(q), "queue (7)")
   for _, v in ipairs(values) do t.same(q:pop(), v) end
   t.equal(q:count(), 0)
end)

t.test("what comes out is a copy, functions too", function()
   local q, list = flow.queue(), { 1 }
   q:push(list)
   list[1] = 2
   t.same(q:pop(), { 1 })
   local n = 3
   q:push(function(x) return x * n end)
   n = 4
   t.equal(q:pop()(2), 6)
end)

t.test("pop tells a closed queue from one that took too long", function()
   local q = flow.queue()
   t.same({ q:pop(0) }, { nil, "timeout" })
   t.same({ q:pop(0.001) }, { nil, "timeout" })
   q:push("last")
   q:close()
   q:close()
   t.equal(q:pop(), "last")
   t.same({ q:pop() }, { nil, "closed" })
   t.same({ q:pop(0) }, { nil, "closed" })
   refused("closed", function() q:push(1) end, "queue is closed")
end)

t.test("a full queue makes push wait", function()
   local q = flow.queue(2)
   t.equal(q:push(1), true)
   t.equal(q:push(2), true)
   t.equal(q:push(3, 0), false)
   t.equal(q:push(3, 0.001), false)
   t.equal(q:count(), 2)
   local pushed = {}
   local function push(v)
      if q:push(v) then pushed[#pushed + 1] = v end
   end
   for v = 3, 5 do flow.async(push, v) end
   t.same(pushed, {})
   t.equal(q:pop(), 1)
   flow.sleep(0)
   t.same(pushed, { 3 })
   for v = 2, 5 do t.equal(q:pop(), v) end
   flow.sleep(0)
   t.same(pushed, { 3, 4, 5 })
end)

t.test("close ends those that wait", function()
   local q = flow.queue(1)
   local poppers = { flow.async(q.pop, q), flow.async(q.pop, q) }
   q:close()
   for _, f in ipairs(poppers) do t.same({ f:result() }, { nil, "closed" }) end
   q = flow.queue(1)
   q:push(1)
   local pushers = { flow.async(q.push, q, 2), flow.async(q.push, q, 3) }
   q:close()
   for _, f in ipairs(pushers) do
      t.equal(fails("error", f, "queue is closed").value.kind, "closed")
   end
   t.equal(q:pop(), 1)
   t.same({ q:pop() }, { nil, "closed" })
end)

t.test("who came first is served first", function()
   local q, got = flow.queue(), {}
   local function pop(i) got[i] = q:pop() end
   local waits = {}
   for i = 1, 100 do waits[i] = flow.async(pop, i) end
   for i = 1, 100 do q:push(i) end
   flow.gather(waits)
   t.same(got, numbers(100))
end)

t.test("who has stopped waiting takes nothing", function()
   local q = flow.queue()
   local given_up = flow.async(q.pop, q, 0.001)
   local stays = flow.async(q.pop, q)
   t.same({ given_up:result() }, { nil, "timeout" })
   local cancelled = flow.async(q.pop, q)
   t.equal(cancelled:cancel(), true)
   q:push(1)
   q:push(2)
   t.equal(stays:result(), 1)
   t.equal(q:pop(0), 2)
end)

t.test("queues: misuse", function()
   local q = flow.queue()
   misuse(function() flow.queue(0) end, "capacity")
   misuse(function() flow.queue(1.5) end, "1.5")
   misuse(function() flow.queue("x") end, "string")
   misuse(function() q:push() end, "nil")
   misuse(function() q:push(nil) end, "nil")
   misuse(function() q:push(1, -1) end, "seconds")
   misuse(function() q:pop("x") end, "seconds")
   misuse(function() q.pop(flow.dict()) end, "queue expected")
   misuse(function() q.push({}, 1) end, "queue expected")
   t.equal(q:count(), 0)
end)

t.test("what cannot travel cannot be pushed, nor a queue into itself",
   function()
      local q = flow.queue()
      refused("unsendable", function() q:push(io.stdout) end, "argument 1")
      refused("unsendable", function() q:push({ a = { io.stdout } }) end,
         "argument 1 .a[1]")
      refused("unsendable", function() q:push(flow.async(echo)) end, "future")
      refused("unsendable", function() q:push({ q }) end, "itself")
      t.equal(q:count(), 0)
   end)

on("producers and consumers", 4, function(pool)
   local items, sums = flow.queue(16), flow.queue()
   local function consume(from, to)
      local sum, n = 0, 0
      while true do
         local v = from:pop()
         if v == nil then break end
         sum, n = sum + v, n + 1
      end
      to:push({ sum, n })
   end
   for _ = 1, 4 do pool:submit(consume, items, sums) end
   for i = 1, 10000 do items:push(i) end
   items:close()
   local sum, n = 0, 0
   for _ = 1, 4 do
      local part = sums:pop()
      sum, n = sum + part[1], n + part[2]
   end
   t.equal(sum, 50005000)
   t.equal(n, 10000)
   t.equal(items:count(), 0)
end)

on("both sides in one worker", 1, function(pool)
   local q = flow.queue(1)
   local consumer = pool:submit(function()
      local list = {}
      for v in function() return (q:pop()) end do list[#list + 1] = v end
      return list
   end)
   local producer = pool:submit(function(n)
      for i = 1, n do q:push(i) end
      q:close()
   end, 100)
   t.same(consumer:result(), numbers(100))
   producer:result()
end)

on("a wait in a place that cannot yield", 1, function(pool)
   local q = flow.queue()
   local future = pool:submit(function()
      local list = { 2, 1 }
      table.sort(list, function(a, b) return a + 0 * q:pop() < b end)
      return list[1]
   end)
   kit.started({ future })
   for _ = 1, 8 do q:push(1) end
   t.equal(future:result(), 1)
end)

on("the items of a map wait, too", 2, function(pool)
   local there, back = flow.queue(), flow.queue()
   local mapper = flow.async(function()
      return pool:map(function(i)
         there:push(i)
         return back:pop()
      end, numbers(20))
   end)
   local sum = 0
   for i = 1, 20 do
      sum = sum + there:pop()
      back:push(i)
   end
   t.equal(sum, 210)
   local results = mapper:result()
   table.sort(results)
   t.same(results, numbers(20))
end)

-- Dicts -----------------------------------------------------------------------

t.test("a dict keeps copies under strings, numbers and booleans", function()
   local d, list = flow.dict(), { 1 }
   t.equal(d:get("a"), nil)
   d:set("a", list)
   list[1] = 2
   t.same(d:get("a"), { 1 })
   d:set(1, "one")
   d:set(1.5, "more")
   d:set(true, 1)
   d:set(false, false)
   d:set("", "")
   t.same(d:table(), { a = { 1 }, [1] = "one", [1.5] = "more", [true] = 1,
      [false] = false, [""] = "" })
   t.equal(tostring(d), "dict (6)")
   t.equal(d:get(false), false)
   d:set("a", nil)
   d:set("b", nil)
   t.equal(d:get("a"), nil)
   t.equal(tostring(d), "dict (5)")
   t.same(flow.dict():table(), {})
end)

t.test("equal numbers are one key", function()
   local d = flow.dict()
   d:set(1, "x")
   t.equal(d:get(1.0), "x")
   d:set(2 ^ 53, "y")
   t.equal(d:get(9007199254740992), "y")
   d:set(-0.0, "zero")
   t.equal(d:get(0), "zero")
   t.equal(d:get(flow.int(1)), "x")
   d:set(1.0, "z")
   t.equal(d:get(1), "z")
   local n = 0
   for k in pairs(d:table()) do n = n + (type(k) == "number" and 1 or 0) end
   t.equal(n, 3)
   d:set("1", "text")
   t.equal(d:get(1), "z")
end)

t.test("add counts as Lua adds", function()
   local d = flow.dict()
   t.equal(d:add("n", 2), 2)
   t.equal(d:add("n", -5), -3)
   t.equal(d:add("n", 0.5), -2.5)
   t.equal(d:get("n"), -2.5)
   t.equal(d:add("x", 1.0), 0 + 1.0)
   d:set("text", "5")
   refused("error", function() d:add("text", 1) end, "no number")
   t.equal(d:get("text"), "5")
   misuse(function() d:add("n", "1") end, "number expected")
   misuse(function() d:add("n") end, "number expected")
end)

t.test("dicts: misuse", function()
   local d = flow.dict()
   misuse(function() d:set({}, 1) end, "key")
   misuse(function() d:get(nil) end, "key")
   misuse(function() d:set(0 / 0, 1) end, "nan")
   misuse(function() d.get(flow.queue(), 1) end, "dict expected")
   refused("unsendable", function() d:set("f", { io.stdout }) end,
      "argument 2 [1]")
   refused("unsendable", function() d:set("d", { d }) end, "itself")
   t.same(d:table(), {})
end)

t.test("handles in values arrive, also in a table of all", function()
   local d, q, l = flow.dict(), flow.queue(), flow.lock()
   d:set("q", q)
   d:set("both", { l, q })
   d:set("n", 1)
   t.ok(d:get("q") == q)
   local all = d:table()
   t.ok(all.q == q and all.both[1] == l and all.both[2] == q)
   q:push({ d })
   t.ok(q:pop()[1] == d)
end)

on("many tasks add", 4, function(pool)
   local d = flow.dict()
   local function count(i)
      d:add("all", 1)
      return d:add(i % 10, i)
   end
   pool:map(count, numbers(2000))
   local futures = pool:scatter(count, numbers(200))
   flow.gather(futures)
   t.equal(d:get("all"), 2200)
   local sum = 0
   for k, v in pairs(d:table()) do if k ~= "all" then sum = sum + v end end
   t.equal(sum, 2001000 + 20100)
end)

-- Locks -----------------------------------------------------------------------

t.test("hold gives what fn returns, and raises what it raises", function()
   local l = flow.lock()
   t.same({ l:hold(echo, 1, nil, 3) }, { 1, nil, 3 })
   t.equal(select("#", l:hold(echo, nil, nil)), 2)
   local value = {}
   local ok, err = pcall(l.hold, l, error, value)
   t.ok(not ok and err == value)
   t.equal(l:hold(echo, "free again"), "free again")
   misuse(function() l:hold() end, "function expected")
   misuse(function() l:hold(5) end, "function expected")
   misuse(function() l.hold(flow.queue(), echo) end, "lock expected")
end)

on("where an error came from is not lost by hold", 1, function(pool)
   local l = flow.lock()
   local function inner(wait) if wait then flow.sleep(0) end error("deep") end
   for _, wait in ipairs{ true, false } do
      local err = fails("error", pool:submit(function()
         l:hold(function() inner(wait) end)
      end), "deep")
      t.ok(err.traceback:find("inner", 1, true), err.traceback)
   end
   local ok, err = pcall(l.hold, l, error, setmetatable({}, {
      __tostring = function() return "mine" end }))
   t.equal(ok, false)
   t.equal(tostring(err), "mine")
end)

t.test("holding it twice is a deadlock, told at once", function()
   local l = flow.lock()
   local err = refused("deadlock", function()
      l:hold(function() l:hold(echo) end)
   end, "held already")
   t.equal(err.kind, "deadlock")
   t.equal(l:hold(echo, 1), 1)
   flow.async(function()
      refused("deadlock", function()
         l:hold(function() flow.sleep(0) l:hold(echo) end)
      end)
   end):result()
   t.equal(l:hold(echo, 2), 2)
end)

t.test("async functions wait for the lock of the main program", function()
   local l, order = flow.lock(), {}
   local futures = {}
   l:hold(function()
      for i = 1, 3 do
         futures[i] = flow.async(function()
            l:hold(function()
               flow.sleep(0)
               order[#order + 1] = i
            end)
         end)
      end
      flow.sleep(0)
      t.same(order, {})
   end)
   flow.gather(futures)
   t.same(order, { 1, 2, 3 })
end)

t.test("a cancelled holder, and one that waited, let go", function()
   local l, q = flow.lock(), flow.queue()
   local holder = flow.async(function() l:hold(function() q:pop() end) end)
   local waiter = flow.async(function() l:hold(error, "never") end)
   local last = flow.async(function() return l:hold(echo, "got it") end)
   t.equal(waiter:cancel(), true)
   t.equal(last:done(), false)
   t.equal(holder:cancel(), true)
   t.equal(last:result(), "got it")
   q:push(1)
   t.equal(q:pop(0), 1)
end)

on("a counter under a lock, with waits inside", 4, function(pool)
   local l, d = flow.lock(), flow.dict()
   local function count()
      l:hold(function()
         local n = d:get("n") or 0
         flow.sleep(0)
         d:set("n", n + 1)
      end)
   end
   pool:map(count, numbers(200))
   flow.gather(pool:scatter(count, numbers(100)))
   t.equal(d:get("n"), 300)
end)

on("one worker, and all wait for one lock", 1, function(pool)
   local l, d, go = flow.lock(), flow.dict(), flow.queue()
   local function add(i)
      l:hold(function()
         if i == 1 then go:pop() end
         d:set(i, (d:get(i - 1) or 0) + i)
      end)
   end
   local futures = {}
   for i = 1, 50 do futures[i] = pool:submit(add, i) end
   kit.started({ futures[50] })
   go:push(true)
   flow.gather(futures)
   t.equal(d:get(50), 1275)
end)

t.test("a thousand wait for one lock", function()
   local l, n, futures = flow.lock(), 0, {}
   local go = flow.queue()
   local first = flow.async(function() l:hold(function() go:pop() end) end)
   for i = 1, 1000 do
      futures[i] = flow.async(function()
         l:hold(function()
            local before = n
            t.equal(before, i - 1)
            if i % 100 == 0 then flow.sleep(0) end
            n = before + 1
         end)
      end)
   end
   go:push(1)
   first:result()
   flow.gather(futures)
   t.equal(n, 1000)
end)

on("a task that ends any way releases its locks", 2, function(pool)
   local l = flow.lock()
   fails("error", pool:submit(function() l:hold(error, "on purpose") end),
      "on purpose")
   t.equal(l:hold(echo, 1), 1)
   fails("crashed", pool:submit(function() l:hold(os.exit, 3) end))
   t.equal(l:hold(echo, 2), 2)
   local wrapped = pool:submit(function()
      local co = coroutine.wrap(function() l:hold(coroutine.yield, 5) end)
      return co()
   end)
   t.equal(wrapped:result(), 5)
   t.equal(l:hold(echo, 3), 3)
end)

on("another attempt can hold what the first has held", 1, function(pool)
   local l = flow.lock()
   local again = pool:with{ retries = 1, retry_on = { "error", "crashed" } }
   local result = again:submit(function()
      return l:hold(function()
         if flow.attempt() == 1 then os.exit(1) end
         return "second"
      end)
   end)
   t.equal(result:result(), "second")
end)

on("twice in one task is a deadlock, in two slices of a map is not", 4,
   function(pool)
      local l = flow.lock()
      local err = fails("error", pool:submit(function()
         l:hold(function() l:hold(print) end)
      end), "held already")
      t.equal(err.value.kind, "deadlock")
      local d = flow.dict()
      pool:with{ chunk = 1 }:map(function()
         l:hold(function()
            flow.sleep(0)
            d:add("n", 1)
         end)
      end, numbers(40))
      t.equal(d:get("n"), 40)
   end)

-- Shared values ---------------------------------------------------------------

t.test("a shared value is encoded once and decoded once", function()
   local list = { 1, { "x" } }
   local s = flow.share(list)
   list[1] = 2
   t.same(s:get(), { 1, { "x" } })
   t.ok(s:get() == s:get())
   t.equal(flow.share(nil):get(), nil)
   t.equal(flow.share(false):get(), false)
   t.equal(tostring(s), "share")
   misuse(function() flow.share() end, "value")
   misuse(function() s.get({}) end, "share expected")
   refused("unsendable", function() flow.share({ io.stdout }) end,
      "argument 1 [1]")
   collectgarbage()
   collectgarbage()
   t.same(s:get(), { 1, { "x" } })
end)

on("a shared value in tasks", 2, function(pool)
   local s = flow.share({ 10, 20, 30 })
   t.same(pool:map(function(i) return s:get()[i] end, numbers(3)),
      { 10, 20, 30 })
   t.same(pool:submit(function(shared)
      return shared:get() == shared:get(), shared
   end, s):result(), true)
   local made = pool:submit(function() return flow.share("from a task") end)
   t.equal(made:result():get(), "from a task")
end)

-- Arrays ----------------------------------------------------------------------

t.test("an array has numbers from 1, zeros at first", function()
   for _, type in ipairs{ "f64", "f32", "i32", "u8" } do
      local a = flow.array(type, 10)
      t.equal(#a, 10)
      t.ok(a[1] == 0 and a[10] == 0)
      a[1], a[10] = 1, 200
      t.ok(a[1] == 1 and a[10] == 200, type)
      t.equal(tostring(a), "array (" .. type .. ", 10)")
   end
   t.equal(#flow.array("f64", 0), 0)
   local f = flow.array("f64", 3)
   f[1], f[2], f[3] = 0.1, -1 / 0, 0 / 0
   t.equal(f[1], 0.1)
   t.equal(f[2], -1 / 0)
   t.ok(f[3] ~= f[3])
   local i = flow.array("i64", 2)
   i[1] = flow.int("9007199254740993")
   t.equal(i[1], flow.int("9007199254740993"))
   i[2] = -3
   t.equal(i[2], flow.int(-3))
   t.equal(type(f[1]), "number")
end)

t.test("arrays: what is out of range or does not fit", function()
   local a = flow.array("u8", 3)
   misuse(function() return a[0] end, "1 to 3")
   misuse(function() return a[4] end, "index 4")
   misuse(function() return a[1.5] end, "1.5")
   misuse(function() return a.x end, "index")
   misuse(function() a[4] = 1 end, "1 to 3")
   misuse(function() a[1] = 256 end, "256 does not fit into u8")
   misuse(function() a[1] = -1 end, "fit")
   misuse(function() a[1] = 0.5 end, "0.5")
   misuse(function() a[1] = "1" end, "number expected")
   misuse(function() a[1] = nil end, "number expected")
   t.equal(a[1] + a[2] + a[3], 0)
   local i = flow.array("i32", 1)
   i[1] = -2147483648
   t.ok(i[1] == -2147483648)
   misuse(function() i[1] = 2147483648 end, "i32")
   misuse(function() flow.array("i64", 1)[1] = 2 ^ 63 end, "i64")
   misuse(function() flow.array("i64", 1)[1] = 0 / 0 end, "i64")
   misuse(function() flow.array("f32", 1)[1] = 1e300 end, "f32")
   misuse(function() flow.array("f16", 1) end, "f16")
   misuse(function() flow.array(nil, 1) end, "f64")
   misuse(function() flow.array("u8", -1) end, "-1")
   misuse(function() flow.array("u8", 1.5) end, "1.5")
   misuse(function() flow.array("u8") end, "count")
   refused("resource", function() flow.array("f64", 2 ^ 50) end, "f64")
end)

on("tasks write into one array", 4, function(pool)
   local a, sums = flow.array("f64", 1000), flow.array("i32", 4)
   pool:map(function(part)
      for i = part.first, part.last do a[i] = i / 2 end
   end, flow.split(1, 1000, 7))
   for i = 1, 1000 do
      if a[i] ~= i / 2 then t.equal(a[i], i / 2) end
   end
   pool:map(function(k)
      local sum = 0
      for i = k, #a, 4 do sum = sum + 2 * a[i] end
      sums[k] = sum
   end, numbers(4))
   t.ok(sums[1] + sums[2] + sums[3] + sums[4] == 500500)
   local same = pool:submit(function(x) return x, #x end, a):result()
   t.ok(same[7] == 3.5)
   a[7] = 1
   t.equal(same[7], 1 + 0.0)
end)

-- Handles ---------------------------------------------------------------------

on("handles travel as all values do", 2, function(pool)
   local q, d, l = flow.queue(), flow.dict(), flow.lock()
   local back = pool:submit(function(given, list)
      q:push("upvalue")
      given:push("argument")
      list.d:set("k", { q, l })
      return q == given, { l, list.d }, q
   end, q, { d = d })
   local same, list, queue = back:result()
   t.ok(same)
   t.ok(list[1] == l and list[2] == d and queue == q and q ~= d)
   t.equal(q:pop(), "upvalue")
   t.equal(q:pop(), "argument")
   t.ok(d:get("k")[1] == q and d:get("k")[2] == l)
end)

on("a thing that a task has made", 2, function(pool)
   local q = pool:submit(function()
      local made = flow.queue(3)
      for i = 1, 3 do made:push(i) end
      return made
   end):result()
   t.equal(q:count(), 3)
   t.equal(q:push(4, 0), false)
   for i = 1, 3 do t.equal(q:pop(), i) end
   local d = pool:submit(function()
      local made = flow.dict()
      made:set("lock", flow.lock())
      return made
   end):result()
   t.equal(d:get("lock"):hold(echo, "held"), "held")
end)

t.test("things that hold each other are no leak that hurts", function()
   for _ = 1, 100 do
      local a, b = flow.queue(), flow.dict()
      a:push(b)
      b:set("a", flow.share{ a })
   end
   collectgarbage()
   local q = flow.queue()
   for _ = 1, 20000 do
      local outer = flow.queue()
      outer:push(q)
      q = outer
   end
   q = nil
   collectgarbage()
   collectgarbage()
   t.equal(q, nil)
end)

t.test("a run that waits for a queue for ever says so", function()
   local status, _, err = kit.run([[
      local flow = require "flowrun"
      local q, l = flow.queue(), flow.lock()
      flow.async(function() q:pop() end)
      flow.async(function() l:hold(function() q:pop() end) end)
      flow.async(function() l:hold(print) end)
   ]])
   t.equal(status, 1)
   t.ok(err:find("3 async functions wait for ever", 1, true), err)
end)

return t.finish()
