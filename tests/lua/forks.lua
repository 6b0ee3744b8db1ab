-- forks.lua: policies, shared things, data and leaks where tasks run in worker
-- processes. What goes wrong in them is in matrix.lua.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local fails, note = kit.fails, kit.note

local function on(name, workers, body)
   t.test(name, function()
      local pool = flow.forks(workers)
      local ok, err = pcall(body, pool)
      if not ok then pool:cancel() end
      pool:close()
      if not ok then error(err, 0) end
   end)
end

local function echo(...) return ... end

-- In a task: this process's number.
local function pid()
   local file = assert(io.open("/proc/self/stat"))
   local text = file:read("*l")
   file:close()
   return tonumber(text:match("^%d+"))
end

local function kill() os.execute("kill -KILL " .. pid()) end

local function is_gone(number)
   local late = flow.now() + 20
   local function is_alive()
      local file = io.open("/proc/" .. number .. "/stat")
      local text = file and file:read("*a") or ""
      if file then file:close() end
      return text:match("%) [^ZX]")
   end
   while is_alive() do
      if flow.now() > late then error(number .. " is still there", 2) end
      flow.sleep(0.002)
   end
end

-- Waits until the file has a line; gives the first.
local function line_of(path)
   local late = flow.now() + 20
   while not t.read(path):find("\n") do
      if flow.now() > late then error("nothing was written", 2) end
      flow.sleep(0.002)
   end
   return t.read(path):match("^[^\n]*")
end

-- Policies --------------------------------------------------------------------

local endless = {
   ["a loop"] = function() while true do end end,
   ["a loop in pcall"] = function()
      while true do pcall(function() while true do end end) end
   end,
   ["C code"] = function()
      return (("a"):rep(40)):find(("a*"):rep(40) .. "b")
   end,
   ["a sleeping child"] = function() os.execute("sleep 600") end,
   ["a child that is read"] = function()
      return io.popen("sleep 600"):read("*a")
   end,
   ["flow.sleep"] = function() flow.sleep(600) end,
   ["a pop"] = function() flow.queue():pop() end,
   ["a task of its own"] = function()
      flow.pool():submit(function() flow.sleep(600) end):result()
   end,
}

for name, fn in pairs(endless) do
   on(name .. " is timed out", 2, function(pool)
      local err = fails("timeout", pool:with { timeout = 0.2 }:submit(fn),
         "timed out after 0.2 s")
      t.equal(err.seconds, 0.2)
      t.equal(pool:submit(echo, 1):result(), 1)
      pool:cancel() -- what the task had handed out, too
   end)

   -- What the task has handed out goes on, and needs a worker each.
   on(name .. " is tried again after a timeout", 4, function(pool)
      local future = pool:with { timeout = 0.2, retries = 2 }:submit(function()
         if flow.attempt() < 3 then fn() end
         return flow.attempt()
      end)
      t.equal(future:result(), 3)
      t.equal(future:info().attempts, 3)
      t.equal(pool:stats().retried, 2)
      pool:cancel()
   end)

   on(name .. " is cancelled", 1, function(pool)
      local path = os.tmpname()
      local running = pool:submit(function()
         note(path, pid())
         fn()
      end)
      local behind = pool:submit(echo, 1)
      local number = line_of(path)
      os.remove(path)
      t.equal(running:cancel(), true)
      t.equal(running:cancel(), true)
      fails("cancelled", running)
      t.equal(running:state(), "cancelled")
      t.equal(behind:result(), 1)
      t.equal(running:cancel(), true)
      pool:cancel()
   end)
end

on("cancel of what is pending", 1, function(pool)
   local release = kit.hold(pool)
   local path, notes = kit.notes()
   local futures = pool:scatter(function(x) note(path, x) return x end,
      { 1, 2, 3, 4, 5, 6 })
   for i = 2, 6, 2 do t.equal(futures[i]:cancel(), true) end
   t.equal(futures[2]:state(), "cancelled")
   release()
   for i = 1, 5, 2 do t.equal(futures[i]:result(), i) end
   for i = 2, 6, 2 do fails("cancelled", futures[i]) end
   t.equal(notes(), "1 3 5")
   t.equal(pool:stats().cancelled, 3)
end)

on("a race of cancel and end has one outcome", 2, function(pool)
   local counts = { done = 0, cancelled = 0 }
   for i = 1, 300 do
      local ended = 0
      local future = pool:submit(function(x)
         local sum = 0
         for k = 1, x * 100 do sum = sum + k end
         return sum
      end, i % 30)
      future:on_done(function() ended = ended + 1 end)
      if i % 3 == 0 then flow.sleep(i % 7 / 10000) end
      local promised = future:cancel()
      local ok, err = future:try()
      if promised then
         t.equal(ok, false)
         t.equal(err.kind, "cancelled")
      end
      t.equal(ok, not promised)
      local state = future:state()
      t.equal(state, ok and "done" or "cancelled")
      counts[state] = counts[state] + 1
      flow.sleep(0)
      t.equal(ended, 1)
      t.equal(future:state(), state)
   end
   t.equal(counts.done + counts.cancelled, 300)
   local stats = pool:stats()
   t.equal(stats.done, counts.done)
   t.equal(stats.cancelled, counts.cancelled)
   t.equal(pool:submit(echo, 1):result(), 1)
end)

on("pool:cancel stops all of it", 2, function(pool)
   for round = 1, 5 do
      local path = os.tmpname()
      local running = {
         pool:submit(function() note(path, pid()) while true do end end),
         pool:submit(function() flow.sleep(600) end) }
      local pending = pool:scatter(echo, { 1, 2, 3 })
      local number = line_of(path)
      os.remove(path)
      pool:cancel()
      for _, f in ipairs(running) do fails("cancelled", f) end
      flow.settle(pending)
      is_gone(number)
      t.equal(pool:submit(echo, round):result(), round)
   end
end)

on("a memory cap", 1, function(pool)
   local first = pool:submit(pid):result()
   local function eat()
      local list = {}
      for i = 1, 400 do list[i] = ("x"):rep(1000000) .. i end
      return #list
   end
   local err = fails("resource",
      pool:with { memory = 100 * 1000 * 1000 }:submit(eat))
   t.equal(err.signal, nil)
   t.equal(pool:submit(eat):result(), 400)
   t.equal(pool:with { memory = 100 * 1000 * 1000 }:submit(echo, 3):result(), 3)
   local again = pool:with { memory = 100 * 1000 * 1000, retries = 1 }
      :submit(function()
         if flow.attempt() == 1 then eat() end
         return flow.attempt()
      end)
   t.equal(again:result(), 2)
   t.ok(first)
end)

on("priorities", 1, function(pool)
   local path, notes = kit.notes()
   local release = kit.hold(pool)
   for i = 1, 9 do
      pool:with { priority = i % 3 }:submit(note, path, i % 3 .. "/" .. i)
   end
   release()
   pool:drain()
   t.equal(notes(), "2/2 2/5 2/8 1/1 1/4 1/7 0/3 0/6 0/9")
end)

-- In a task: counts those that are here, and notes the most.
local function crowd(here, key)
   local n = here:add(key, 1)
   local seat = flow.seat("crowd")
   if here:add("seat" .. seat, 1) > 1 then here:add("doubled", 1) end
   flow.sleep(0.002)
   here:add("seat" .. seat, -1)
   here:add(key, -1)
   return n
end

t.test("a limit holds across pools of both kinds", function()
   local limit = flow.limit("crowd", 3)
   local here = flow.dict()
   local pools = { flow.threads(3), flow.forks(3), flow.forks(2) }
   local futures = {}
   for i = 1, 150 do
      futures[i] = pools[i % 3 + 1]:with { limit = limit }
         :submit(crowd, here, "here")
   end
   for _, n in ipairs(flow.gather(futures)) do
      t.ok(n >= 1 and n <= 3, n)
   end
   t.equal(here:get("here"), 0)
   t.equal(here:get("doubled"), nil)
   for _, pool in ipairs(pools) do pool:close() end
end)

on("a dead worker's seats are free", 2, function(pool)
   local one = flow.limit(1)
   local view = pool:with { limit = one }
   for _ = 1, 5 do
      local dead = view:submit(kill)
      local next = view:submit(echo, 2)
      fails("crashed", dead)
      t.equal(next:result(), 2)
   end
   local late = pool:with { limit = one, timeout = 0.1 }
      :submit(function() while true do end end)
   local next = view:submit(echo, 3)
   fails("timeout", late)
   t.equal(next:result(), 3)
end)

on("halt", 1, function(pool)
   local futures = pool:with { halt = "soon,fail=1" }:scatter(function(x)
      if x == 2 then kill() end
      return x
   end, { 1, 2, 3, 4 })
   t.equal(futures[1]:result(), 1)
   fails("crashed", futures[2])
   local err = fails("cancelled", futures[3])
   t.equal(err.cause.kind, "crashed")
   fails("cancelled", futures[4])
   futures = pool:with { halt = "now,fail=1" }:scatter(function(x)
      if x == 1 then kill() end
      flow.sleep(600)
   end, { 1, 2, 3 })
   fails("crashed", futures[1])
   fails("cancelled", futures[2])
   fails("cancelled", futures[3])
   t.equal(pool:submit(echo, 1):result(), 1)
end)

t.test("after and dependencies across kinds", function()
   local threads, forks = flow.threads(1), flow.forks(1)
   local first = forks:submit(function() return 20, "second value" end)
   local second = threads:submit(function(x) return x + 1 end, first)
   local third = forks:submit(function(x) return x.a + x.b end,
      { a = second, b = first })
   t.equal(third:result(), 41)
   local dead = forks:submit(kill)
   local orphan = threads:submit(echo, dead)
   local err = fails("dependency", orphan)
   t.equal(err.cause.kind, "crashed")
   t.equal(err.cause.signal, 9)
   err = fails("dependency", forks:with { after = { dead } }:submit(echo, 1))
   t.equal(err.cause.kind, "crashed")
   t.equal(forks:with { after = { third } }:submit(echo, 1):result(), 1)
   threads:close()
   forks:close()
end)

-- Nested ----------------------------------------------------------------------

t.test("trees of tasks across kinds", function()
   local pools = { flow.forks(1), flow.threads(1), flow.forks(1) }
   local function tree(depth, pools)
      if depth == 0 then return 1 end
      local pool = pools[depth % #pools + 1]
      if depth % 3 == 0 then
         local parts = pool:map(function(d) return tree(d, pools) end,
            { depth - 1, depth - 1 })
         return parts[1] + parts[2]
      elseif depth % 3 == 1 then
         local parts = flow.gather(pool:scatter(function(d)
            return tree(d, pools)
         end, { a = depth - 1, b = depth - 1 }))
         return parts.a + parts.b
      end
      local a = pool:submit(tree, depth - 1, pools)
      return pool:submit(tree, depth - 1, pools):result() + a:result()
   end
   for i = 1, 3 do
      t.equal(pools[i]:submit(tree, 6, pools):result(), 64)
   end
   local list = {}
   for i = 1, 4 do list[i] = pools[i % 3 + 1]:submit(tree, 4, pools) end
   for i = 1, 4 do t.equal(list[i]:result(), 16) end
   for i = 1, 3 do pools[i]:close() end
end)

-- In a task: the innermost kills its worker.
local function fall(depth)
   if depth == 0 then kill() end
   return flow.pool():submit(fall, depth - 1):result()
end

local function innermost(future)
   local ok, err = future:try(30)
   t.equal(ok, false)
   local n = 0
   while err.kind == "error" and type(err.value) == "table" do
      err, n = err.value, n + 1
   end
   return err, n
end

-- Slices that were taken back made workers look busy, and others were started.
on("a map of 2 ms items keeps its workers", 2, function(pool)
   local items, seen, count = {}, {}, 0
   for i = 1, 60 do items[i] = i end
   for _, number in ipairs(pool:map(function()
      local late = flow.now() + 0.002
      while flow.now() < late do end
      return pid()
   end, items)) do
      if not seen[number] then seen[number], count = true, count + 1 end
   end
   t.ok(count <= 2, count .. " workers")
end)

on("a nested failure is the outer's", 1, function(pool)
   local err, n = innermost(pool:submit(fall, 3))
   t.equal(err.kind, "crashed")
   t.equal(err.signal, 9)
   t.equal(n, 3)
   t.equal(pool:submit(echo, 1):result(), 1)
end)

on("a worker that dies while its tasks' tasks run", 2, function(pool)
   for _ = 1, 10 do
      local path = os.tmpname()
      local outer = pool:submit(function()
         local inner = flow.pool():submit(function()
            note(path, "inner")
            return 5
         end)
         inner:wait()
         kill()
      end)
      local err = fails("crashed", outer)
      t.equal(err.signal, 9)
      t.equal(t.read(path), "inner\n")
      os.remove(path)
      t.equal(pool:submit(echo, 2):result(), 2)
   end
   t.equal(pool:drain(20), true)
end)

on("a pool opened in a task", 1, function(pool)
   local function use(kind)
      local own = flow[kind](2)
      local list = own:map(function(x) return x * 2 end, { 1, 2, 3 })
      local f = own:submit(function() return flow.pool() ~= nil end)
      local drained = own:drain(20)
      local stats = own:stats()
      local inside = f:result()
      own:close()
      local ok, err = pcall(own.submit, own, function() end)
      return list, drained, stats.done, inside, ok, err and err.kind
   end
   for _, kind in ipairs { "forks", "threads", "forks" } do
      local list, drained, done, inside, ok, why =
         pool:submit(use, kind):result()
      t.same(list, { 2, 4, 6 })
      t.equal(drained, true)
      t.ok(done >= 2, done)
      t.equal(inside, true)
      t.equal(ok, false)
      t.equal(why, "closed")
   end
   t.equal(pool:submit(function()
      return tostring(flow.pool()) == tostring(pool)
   end):result(), true)
end)

-- Shared things ---------------------------------------------------------------

on("things made here and there are used here and there", 2, function(pool)
   local function make()
      return { queue = flow.queue(), dict = flow.dict(), lock = flow.lock(),
         array = flow.array("f64", 10), share = flow.share { 7 },
         limit = flow.limit(2) }
   end
   local function use(things, n)
      things.queue:push(n)
      things.dict:add("n", n)
      things.lock:hold(function() things.array[1] = things.array[1] + n end)
      return things.share:get()[1]
   end
   for _, things in ipairs { make(), pool:submit(make):result() } do
      for i = 1, 3 do
         t.equal(use(things, i), 7)
         t.equal(pool:submit(use, things, 10 * i):result(), 7)
         t.equal(pool:with { limit = things.limit }:submit(echo, i):result(), i)
      end
      t.equal(things.dict:get("n"), 66)
      t.equal(things.array[1], 66.0)
      local sum = 0
      for _ = 1, 6 do sum = sum + things.queue:pop() end
      t.equal(sum, 66)
      t.equal(pool:submit(function()
         return flow.pool():with { limit = things.limit }
            :submit(function() return things.dict:get("n") end):result()
      end):result(), 66)
   end
end)

on("a lock is free when its holder has died", 2, function(pool)
   local lock = flow.lock()
   for _, fn in ipairs { kill, function() os.exit(0) end,
      function() error("no") end } do
      local dead = pool:submit(function() lock:hold(fn) end)
      local others = {}
      for i = 1, 4 do
         others[i] = pool:submit(function() return lock:hold(echo, i) end)
      end
      t.equal(dead:wait(), true)
      t.equal(dead:try(), false)
      for i = 1, 4 do t.equal(others[i]:result(), i) end
      t.equal(lock:hold(echo, 5), 5)
   end
   local late = pool:with { timeout = 0.1 }:submit(function()
      lock:hold(function() while true do end end)
   end)
   local next = pool:submit(function() return lock:hold(echo, 6) end)
   fails("timeout", late)
   t.equal(next:result(), 6)
end)

on("who dies while waiting for a lock or a queue leaves no trace", 2,
   function(pool)
   local lock, queue = flow.lock(), flow.queue()
   local path = os.tmpname()
   lock:hold(function()
      local waiting = pool:submit(function()
         note(path, pid())
         lock:hold(echo)
      end)
      os.execute("kill -KILL " .. line_of(path))
      fails("crashed", waiting)
   end)
   t.equal(pool:submit(function() return lock:hold(echo, 1) end):result(), 1)
   for i = 1, 20 do
      os.remove(path)
      t.write(path, "")
      local waiting = pool:submit(function()
         note(path, pid())
         return queue:pop()
      end)
      local number = line_of(path)
      if i % 2 == 0 then flow.sleep(0.005) end
      os.execute("kill -KILL " .. number)
      fails("crashed", waiting)
      queue:push(i)
      t.equal(queue:count(), 1, "it was handed to a dead one")
      t.equal(queue:pop(), i)
   end
   os.remove(path)
end)

on("a queue loses at most what a dead task had", 3, function(pool)
   local queue, done = flow.queue(), flow.queue()
   for i = 1, 200 do queue:push(i) end
   queue:close()
   local futures = {}
   for i = 1, 6 do
      futures[i] = pool:submit(function()
         for x in function() return queue:pop() end do
            if i <= 3 and x > 20 * i then kill() end
            done:push(x)
         end
      end)
   end
   local crashed = 0
   for _, f in ipairs(futures) do
      local ok, err = f:try()
      if not ok then
         t.equal(err.kind, "crashed")
         crashed = crashed + 1
      end
   end
   local seen, n = {}, 0
   while done:count() > 0 do
      local x = done:pop()
      t.equal(seen[x], nil)
      seen[x] = true
      n = n + 1
   end
   t.equal(n, 200 - crashed)
end)

-- Data ------------------------------------------------------------------------

-- The same on both sides, without a second copy.
local function digest(text)
   local sum = 0
   for i = 1, #text, 4093 do sum = (sum * 31 + text:byte(i)) % 1000003 end
   return sum
end

on("values", 2, function(pool)
   local cycle = { 1 }
   cycle.self, cycle[cycle] = cycle, 5
   local deep = {}
   for _ = 1, 100 do deep = { deep } end
   local values = { true, false, 0, -1, 1.5, 1e308, -1e-308, 1 / 0, -1 / 0,
      2 ^ 53, "", "\0", "\255\254", ("x"):rep(15000), ("x"):rep(16384),
      ("x"):rep(16385), ("x"):rep(131072), ("x"):rep(300000), {}, { {} },
      { 1, nil, 3 }, { a = { b = { c = 1 } } }, deep, flow.int(2 ^ 40) }
   for i, value in ipairs(values) do
      t.same(pool:submit(echo, value):result(), value, "value " .. i)
   end
   t.same(pool:map(echo, values), values)
   t.same(flow.gather(pool:scatter(echo, values)), values)
   local zero = pool:submit(echo, -0.0):result()
   t.equal(1 / zero, -1 / 0)
   local nan = pool:submit(echo, 0 / 0):result()
   t.ok(nan ~= nan)
   local c = pool:submit(echo, cycle):result()
   t.equal(c.self, c)
   t.equal(c[c], 5)
   local a, b, n, last = pool:submit(echo, nil, cycle, nil, 4):result()
   t.equal(a, nil)
   t.equal(b[1], 1)
   t.equal(n, nil)
   t.equal(last, 4)
   t.equal(select("#", pool:submit(function() end):result()), 0)
   t.equal(select("#", pool:submit(echo, nil, nil):result()), 2)
end)

on("a million numbers", 2, function(pool)
   local list = {}
   for i = 1, 1000000 do list[i] = i * 0.5 end
   local back = pool:submit(echo, list):result()
   t.equal(#back, 1000000)
   for i = 1, 1000000, 997 do t.equal(back[i], i * 0.5) end
   local doubled = pool:map(function(x) return x * 2 end, list)
   t.equal(#doubled, 1000000)
   for i = 1, 1000000 do
      if doubled[i] ~= i then t.equal(doubled[i], i + 0.0) end
   end
end)

on("a hundred megabytes", 1, function(pool)
   local parts = {}
   for i = 1, 1000 do parts[i] = string.char(i % 251 + 1):rep(99991) end
   local text = table.concat(parts)
   local length, sum, back = pool:submit(function(s)
      return #s, digest(s), s .. "end"
   end, text):result()
   t.equal(length, #text)
   t.equal(sum, digest(text))
   t.equal(#back, #text + 3)
   t.ok(back == text .. "end")
end)

on("ten thousand handles", 1, function(pool)
   local list = {}
   for i = 1, 10000 do list[i] = flow.dict() end
   local back = pool:submit(function(list)
      for i, dict in ipairs(list) do dict:set("n", i) end
      return list
   end, list):result()
   for i = 1, 10000, 99 do
      t.equal(list[i]:get("n"), i)
      t.equal(back[i]:get("n"), i)
      t.equal(tostring(back[i]), tostring(list[i]))
   end
   local made = pool:submit(function()
      local list = {}
      for i = 1, 1000 do
         list[i] = flow.queue()
         list[i]:push(i)
      end
      return list
   end):result()
   for i = 1, 1000 do t.equal(made[i]:pop(), i) end
end)

on("errors of every type", 2, function(pool)
   local values = { 1, 2.5, "text", true, false, { a = 1 }, { kind = "own" },
      setmetatable({ 5 }, { __tostring = function() return "mine" end }) }
   for i, value in ipairs(values) do
      local err = fails("error", pool:submit(function() error(value, 0) end))
      t.same(err.value, value, "value " .. i)
   end
   fails("error", pool:submit(function() error() end))
   fails("error", pool:submit(function() error(nil) end))
   fails("error", pool:submit(function() error(print) end))
   fails("error", pool:submit(function() error(io.stdout) end))
   fails("error", pool:submit(function() error(coroutine.create(print)) end))
   fails("error", pool:submit(function()
      error(setmetatable({}, { __tostring = function() error("again") end }))
   end))
   fails("error", pool:submit(function()
      error(setmetatable({}, { __tostring = function() return 5 end }))
   end))
   local err = fails("error", pool:submit(function()
      error(("long "):rep(2 ^ 18), 0)
   end), "long")
   t.ok(#err.message <= 5 * 2 ^ 18, "not longer than it was")
   fails("error", pool:submit(function() error("a\0b", 0) end))
   t.equal(pool:stats().crashed, 0)
   t.equal(pool:submit(echo, 1):result(), 1)
end)

-- Output ----------------------------------------------------------------------

t.test("a hundred thousand lines come whole and in order", function()
   local status, out, err = kit.run [[
      local flow = require "flowrun"
      local pool = flow.forks(4)
      pool:map(function(task)
         for i = 1, 12500 do print(task, i, ("x"):rep(i % 50)) end
      end, { 1, 2, 3, 4, 5, 6, 7, 8 })
   ]]
   t.equal(err, "")
   t.equal(status, 0)
   local at, n = {}, 0
   for task, i, rest in out:gmatch("(%d)\t(%d+)\t(x*)\n") do
      i = tonumber(i)
      t.equal(i, (at[task] or 0) + 1)
      t.equal(#rest, i % 50)
      at[task], n = i, n + 1
   end
   t.equal(n, 100000)
   t.equal(select(2, out:gsub("\n", "")), 100000)
end)

t.test("what a task printed comes before its death", function()
   local status, out = kit.run [[
      local flow = require "flowrun"
      local pool = flow.forks(1)
      for i = 1, 10 do
         local future = pool:submit(function()
            print("last words " .. i)
            io.stdout:flush()
            os.execute("kill -KILL " .. io.open("/proc/self/stat")
               :read("*l"):match("^%d+"))
         end)
         future:try()
         print("dead " .. i)
         io.stdout:flush()
      end
   ]]
   local wanted = {}
   for i = 1, 10 do
      wanted[i] = ("last words %d\ndead %d\n"):format(i, i)
   end
   t.equal(out, table.concat(wanted))
   t.equal(status, 0)
end)

t.test("C stdio", function()
   if not jit then return end
   local status, out, err = kit.run [[
      local flow = require "flowrun"
      local pool = flow.forks(2)
      local futures = {}
      for i = 1, 20 do
         futures[i] = pool:submit(function()
            local ffi = require "ffi"
            ffi.cdef "int printf(const char *, ...); int puts(const char *);"
            for k = 1, 50 do
               ffi.C.printf("%s %s\n", tostring(i), tostring(k))
            end
         end)
      end
      flow.gather(futures)
   ]]
   t.equal(err, "")
   t.equal(status, 0)
   local at, n = {}, 0
   for i, k in out:gmatch("(%d+) (%d+)\n") do
      t.equal(tonumber(k), (at[i] or 0) + 1)
      at[i], n = tonumber(k), n + 1
   end
   t.equal(n, 1000)
end)

-- Leaks -----------------------------------------------------------------------

local function resident()
   local file = assert(io.open("/proc/self/statm"))
   local pages = tonumber(file:read("*l"):match("^%d+ (%d+)"))
   file:close()
   return pages * 4096
end

-- Zombies among the children of the helper, and of this process.
local function zombies()
   local p = io.popen("cat /proc/[0-9]*/stat 2>/dev/null")
   local children, dead, me = {}, 0, tostring(pid())
   local text = p:read("*a")
   p:close()
   local helpers = { [me] = true }
   local workers = {}
   for number, name, state, parent, session in text:gmatch(
         "(%d+) (%b()) (%a) (%d+) %d+ (%d+)") do
      if name:find("flowrun") and state == "Z" then
         workers[number] = true
      end
   end
   return workers
end

t.test("descriptors after a thousand pools and ten thousand tasks", function()
   flow.forks(1):close()
   local pool = flow.forks(2)
   pool:map(echo, { 1, 2, 3 })
   pool:close()
   local before = kit.descriptors()
   for i = 1, 1000 do
      local other = flow.forks(1)
      if i % 10 == 0 then t.equal(other:submit(echo, i):result(), i) end
      other:close()
   end
   pool = flow.forks(2)
   local list = {}
   for i = 1, 10000 do list[i] = i end
   t.equal(#flow.gather(pool:scatter(echo, list)), 10000)
   pool:close()
   t.equal(kit.descriptors(), before)
end)

on("descriptors after deaths and large values", 2, function(pool)
   local function round()
      local futures = {}
      for i = 1, 20 do
         futures[i] = pool:submit(function(s)
            if i % 5 == 0 then kill() end
            return s
         end, ("x"):rep(200000))
      end
      flow.settle(futures)
      pool:map(echo, { 1, 2, 3, 4 })
   end
   local function settled()
      local path, n = os.tmpname(), pool:stats().workers
      local release = kit.hold(pool, 2)
      local count = kit.descriptors()
      release()
      pool:drain()
      os.remove(path)
      return count
   end
   round()
   local before = settled()
   for _ = 1, 10 do round() end
   local late, now = flow.now() + 10, settled()
   while now > before and flow.now() < late do
      flow.sleep(0.05)
      now = settled()
   end
   t.ok(now <= before, ("%d descriptors, %d before"):format(now, before))
end)

on("no zombie stays", 2, function(pool)
   for _ = 1, 20 do
      flow.settle(pool:scatter(kill, { 1, 2 }))
   end
   local before = zombies()
   local late = flow.now() + 20
   -- Those that are there now are other ones soon, or none.
   repeat
      flow.sleep(0.05)
      local now, left = zombies(), false
      for number in pairs(before) do left = left or now[number] end
      if flow.now() > late then error("a zombie stays") end
   until not left
end)

on("memory stays", 2, function(pool)
   local list = {}
   for i = 1, 5000 do list[i] = i end
   local function round()
      flow.gather(pool:scatter(echo, list))
      collectgarbage()
      collectgarbage()
   end
   for _ = 1, 4 do round() end
   local before = resident()
   for _ = 1, 20 do round() end
   local grown = resident() - before
   -- The address sanitizer keeps what was freed for a while.
   local most = (os.getenv("FLOWRUN") or ""):find("asan") and 256 or 16
   t.ok(grown < most * 2 ^ 20, grown .. " bytes more after 100,000 tasks")
end)

-- More tasks wait than there may be processes, so some share one, and those
-- that wait in the one that is killed are run again: not for ever.
on("a death in a shared process", 1, function(pool)
   local err = innermost(pool:submit(fall, 6))
   t.equal(err.kind, "crashed")
   t.equal(pool:submit(echo, 1):result(), 1)
end)

-- A map so short that threads would not be asked was once run by the main
-- program, and a crash in it was the end of all.
on("the shortest map runs in other processes, too", 2, function(pool)
   local here, items = pid(), { 1, 2, 3 }
   local function where(n) return n == 0 and pid() or n end
   for _ = 1, 20 do
      pool:map(where, items)
      t.ok(pool:map(where, { 0 })[1] ~= here, "in a worker")
   end
   local function crash(n) return n == 0 and kill() or n end
   for _ = 1, 20 do pool:map(crash, items) end
   local ok, err = pcall(pool.map, pool, crash, { 0 })
   t.ok(not ok and err.kind == "crashed", tostring(err))
end)

return t.finish()
