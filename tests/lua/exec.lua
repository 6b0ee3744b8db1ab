-- exec.lua: flow.exec, one command in the midst of Lua code: in the main
-- program, in async functions, and in tasks of every kind of pool.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local function runs(pid)
   local f = io.open("/proc/" .. pid .. "/stat")
   if not f then return false end
   local state = (f:read("*a") or ""):match("%) (%a)")
   f:close()
   return state ~= nil and state ~= "Z" and state ~= "X"
end

local function line_of(path)
   local late = flow.now() + 20
   while true do
      local f = io.open(path)
      local line = f and f:read("*l")
      if f then f:close() end
      if line and line ~= "" then return line end
      if flow.now() > late then error("no " .. path, 0) end
      flow.sleep(0.002)
   end
end

local exists = t.exists

-- In the main program ---------------------------------------------------------

t.test("its result", function()
   local result = flow.exec{ "sh", "-c", "echo out; echo err >&2" }
   t.equal(result.status, 0)
   t.equal(result.out, "out\n")
   t.equal(result.err, "err\n")
   t.ok(result.seconds > 0 and result.memory > 0 and result.cpu >= 0)
   t.equal(flow.exec{ "cat", cwd = "temp", stdin = "in",
      files = { f = "text" } }.out, "in")
   t.equal(flow.exec{ "cat", "f", cwd = "temp", files = { f = "text" },
      collect = { "f" } }.files.f, "text")
   t.equal(flow.exec{ "echo", "7",
      parse = function(r) return tonumber(r.out) end }, 7)
   t.equal(flow.exec{ "false", ok_status = { 0, 1 } }.status, 1)
end)

t.test("its failure is raised", function()
   local err = kit.refused("exit", function()
      flow.exec{ "sh", "-c", "echo x; echo why >&2; exit 4" }
   end, "why")
   t.equal(err.status, 4)
   t.equal(err.out, "x\n")
   t.match(tostring(err), "^sh: exit: ")
   err = kit.refused("exit", function() flow.exec{ "no-such-program" } end)
   t.equal(err.status, 127)
   err = kit.refused("crashed", function()
      flow.exec{ "sh", "-c", "kill -9 $$" }
   end)
   t.equal(err.signal, 9)
   kit.refused("error", function()
      flow.exec{ "true", cwd = "temp", files = { ["../x"] = "" } }
   end, "../x")
   t.raises(function()
      flow.exec{ "true", parse = function() error("bad result", 0) end }
   end, "^bad result$")
end)

t.test("its directory", function()
   local path
   local ok = pcall(flow.exec, { "sh", "-c", "pwd; exit 1", cwd = "temp",
      ok_status = { 1 }, parse = function(r)
         path = r.out:match("[^\n]+")
         t.ok(exists(path .. "/f"), "it is there while parse runs")
         error("no")
      end, files = { f = "" } })
   t.equal(ok, false)
   t.ok(not exists(path .. "/f"), "and goes after")
end)

t.test("in async functions it yields", function()
   local dir, remove = t.directory()
   local function wait_for(name, other)
      return flow.exec{ "sh", "-c", ("touch %s/%s; "
         .. "while [ ! -e %s/%s ]; do sleep 0.01; done; echo %s"):format(dir,
         name, dir, other, name) }.out
   end
   local a = flow.async(wait_for, "a", "b")
   local b = flow.async(wait_for, "b", "a")
   t.equal(a:result(), "a\n")
   t.equal(b:result(), "b\n")
   kit.fails("error", flow.async(function() flow.exec{ "false" } end))
   remove()
end)

t.test("an async function that is cancelled", function()
   local dir, remove = t.directory()
   local future = flow.async(function()
      flow.exec{ "sh", "-c", "echo $$ >" .. dir .. "/pid; exec sleep 1000",
         cwd = "temp" }
   end)
   local pid = line_of(dir .. "/pid")
   collectgarbage("stop") -- it is told at once
   t.equal(future:cancel(), true)
   kit.fails("cancelled", future)
   local late = flow.now() + 20
   while runs(pid) and flow.now() < late do flow.sleep(0.01) end
   collectgarbage("restart")
   t.ok(not runs(pid))
   remove()
end)

t.test("where Lua cannot yield", function()
   local list = { 3, 1, 2 }
   table.sort(list, function(a, b)
      flow.exec{ "true" }
      return a < b
   end)
   t.same(list, { 1, 2, 3 })
   t.equal(("ab"):gsub(".", function(c)
      return flow.exec{ "printf", "%s%s", c, c }.out
   end), "aabb")
   local out = coroutine.wrap(function() return flow.exec{ "echo", 1 }.out end)()
   t.equal(out, "1\n")
end)

t.test("many, one after the other", function()
   for i = 1, 100 do t.equal(flow.exec{ "echo", i }.out, i .. "\n") end
end)

-- In tasks --------------------------------------------------------------------

local function on(name, workers, body)
   for _, kind in ipairs { "threads", "forks" } do
      t.test(kind .. ": " .. name, function()
         local dir, remove = t.directory()
         local pool = flow[kind](workers)
         local ok, err = pcall(body, pool, dir, kind)
         if not ok then pool:cancel() end
         pool:close()
         remove()
         if not ok then error(err, 0) end
      end)
   end
end

on("in a task", 2, function(pool)
   local futures = pool:scatter(function(i)
      local r = flow.exec{ "sh", "-c", 'cat in; echo "$1 $FLOWRUN_ATTEMPT"',
         "sh", i, cwd = "temp", files = { ["in"] = "f " }, collect = { "in" } }
      return r.out .. r.files["in"] .. r.status
   end, { 1, 2, 3, 4, 5, 6 })
   for i, out in ipairs(flow.gather(futures)) do
      t.equal(out, "f " .. i .. " 1\nf 0")
   end
   t.same(pool:map(function(i) return flow.exec{ "echo", i }.out end,
      { 1, 2, 3, 4, 5 }), { "1\n", "2\n", "3\n", "4\n", "5\n" })
   t.equal(pool:submit(function()
      return flow.exec{ "echo", "5", parse = function(r)
         return r.out + 1
      end }
   end):result(), 6)
end)

on("its failure in a task", 1, function(pool)
   local caught = pool:submit(function()
      local ok, err = pcall(flow.exec, { "sh", "-c", "echo y >&2; exit 5" })
      return ok, err.kind, err.status, err.err
   end)
   local ok, kind, status, text = caught:result()
   t.equal(ok, false)
   t.equal(kind, "exit")
   t.equal(status, 5)
   t.equal(text, "y\n")
   local err = kit.fails("error", pool:submit(function()
      flow.exec{ "sh", "-c", "exit 6" }
   end))
   t.equal(err.value.kind, "exit")
   t.equal(err.value.status, 6)
end)

on("no more run at once than workers", 2, function(pool, dir)
   local counts = pool:with{ chunk = 1 }:map(function()
      return tonumber(flow.exec{ "sh", "-c",
         'touch "$1/$$"; ls "$1" | wc -l; sleep 0.02; rm "$1/$$"', "sh", dir }
         .out)
   end, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
   for _, n in ipairs(counts) do t.ok(n <= 2, n) end
end)

on("a task that times out in one", 1, function(pool, dir)
   local future = pool:with{ timeout = 0.3 }:submit(function(d)
      flow.exec{ "sh", "-c", "echo $$ >" .. d .. "/pid; pwd >" .. d
         .. "/cwd; sleep 1000 & wait", cwd = "temp" }
   end, dir)
   kit.fails("timeout", future)
   t.ok(not runs(line_of(dir .. "/pid")), "nothing outlives a timeout")
   t.equal(pool:submit(function()
      return flow.exec{ "echo", cwd = "temp" }.out
   end):result(), "\n")
   local cwd = line_of(dir .. "/cwd")
   t.ok(not os.rename(cwd, cwd), "its directory is gone")
end)

on("a task that is cancelled in one", 1, function(pool, dir)
   local future = pool:submit(function(d)
      pcall(flow.exec, { "sh", "-c", "echo $$ >" .. d .. "/pid; sleep 1000" })
      flow.exec{ "touch", d .. "/never" }
   end, dir)
   local pid = line_of(dir .. "/pid")
   t.equal(future:cancel(), true)
   kit.fails("cancelled", future)
   t.ok(not runs(pid))
   t.ok(not exists(dir .. "/never"))
end)

on("a worker that dies with one", 1, function(pool, dir, kind)
   if kind == "threads" then return end
   local future = pool:submit(function(d)
      flow.exec{ "sh", "-c", "echo $$ >" .. d
         .. "/pid; kill -9 $1; sleep 1000", "sh",
         io.open("/proc/self/stat"):read("*n") }
   end, dir)
   kit.fails("crashed", future)
   local pid = line_of(dir .. "/pid")
   local late = flow.now() + 20
   while runs(pid) and flow.now() < late do flow.sleep(0.01) end
   t.ok(not runs(pid))
end)

on("a pool of commands in a task", 1, function(pool)
   local a, b, c = pool:submit(function()
      local inner = flow.commands(2)
      local direct = inner:submit{ "echo", "direct" }
      local made = inner:map(function(i)
         return { "echo", i, parse = function(r) return r.out end }
      end, { 1, 2 })
      local err = select(2, inner:submit{ "sh", "-c", "exit 3" }:try())
      local out = direct:result().out
      inner:close()
      return out, made[1] .. made[2], err.kind .. err.status
   end):result()
   t.equal(a, "direct\n")
   t.equal(b, "1\n2\n")
   t.equal(c, "exit3")
end)

on("a pool of commands handed to a task", 1, function(pool)
   local solvers = flow.commands(1)
   local out = pool:submit(function(p)
      return p:submit{ "echo", "x", cwd = "temp" }:result().out
   end, solvers):result()
   t.equal(out, "x\n")
   local seen = pool:submit(function(p)
      return p:with{ name = "named", retries = 1 }:submit{ "sh", "-c",
         "echo $FLOWRUN_NAME" }:result().out
   end, solvers):result()
   t.equal(seen, "named\n")
   solvers:close()
end)

t.test("random numbers are not disturbed", function()
   local source = [[
      local flow = require "flowrun"
      local function draw()
         local a = math.random(1, 1000000)
         if os.getenv "EXEC" then flow.exec { "true" } end
         return a, math.random(1, 1000000)
      end
      print(flow[os.getenv "KIND"](1):submit(draw):result())
   ]]
   local first
   for _, set in ipairs { "", "EXEC=1" } do
      for _, kind in ipairs { "threads", "forks" } do
         local dir, remove = t.directory()
         local script = t.write(dir .. "/s.lua", source)
         local _, out = t.run { ("KIND=%s %s %s %s"):format(kind, set,
            t.quote(kit.flowrun), t.quote(script)) }
         remove()
         first = first or out
         t.equal(out, first, kind .. " " .. set)
      end
   end
   t.match(first, "^%d+\t%d+\n$")
end)

-- In a pool of commands -------------------------------------------------------

-- Loops that LuaJIT has compiled cannot be interrupted.
local function slow() if jit then jit.off() end end

local function commands(name, workers, body)
   t.test("commands: " .. name, function()
      local dir, remove = t.directory()
      local pool = flow.commands(workers)
      local ok, err = pcall(body, pool, dir)
      if not ok then pool:cancel() end
      pool:close()
      remove()
      if not ok then error(err, 0) end
   end)
end

commands("one before, one after", 2, function(pool)
   local function with_mesh(i)
      local mesh = flow.exec{ "echo", "mesh", i }.out
      return { "cat", stdin = mesh, parse = function(r)
         return flow.exec{ "cat", stdin = r.out .. "done" }.out
      end }
   end
   local results = pool:map(with_mesh, { 1, 2, 3, 4, 5, 6 })
   for i, out in ipairs(results) do t.equal(out, "mesh " .. i .. "\ndone") end
end)

commands("a failure of one fails the task", 1, function(pool)
   local err = kit.fails("error", pool:submit(function()
      flow.exec{ "sh", "-c", "exit 9" }
      return { "true" }
   end))
   t.equal(err.value.status, 9)
end)

commands("timeout and cancel in one", 1, function(pool, dir)
   local function task(d)
      flow.exec{ "sh", "-c", "echo $$ >" .. d .. "/pid; sleep 1000",
         cwd = "temp" }
      return { "touch", d .. "/never" }
   end
   kit.fails("timeout", pool:with{ timeout = 0.3 }:submit(task, dir))
   t.ok(not runs(line_of(dir .. "/pid")))
   os.remove(dir .. "/pid")
   local future = pool:submit(task, dir)
   local pid = line_of(dir .. "/pid")
   future:cancel()
   kit.fails("cancelled", future)
   t.ok(not runs(pid))
   t.ok(not exists(dir .. "/never"))
   t.equal(pool:submit{ "true" }:result().status, 0)
end)

-- Each in a pool of its own: a loop that gets no time to feel its interrupt
-- costs the pool a thread, and it may lose one only.
for name, task in pairs {
      ["the function"] = function()
         slow()
         while true do end
      end,
      ["the function that waits"] = function() flow.sleep(1000) end,
      parse = { "true", parse = function()
         slow()
         while true do end
      end },
      ["parse that waits"] = { "true", parse = function()
         flow.threads(1):submit(function() flow.sleep(1) end):result()
      end } } do
   commands("timeout of " .. name, 1, function(pool)
      kit.fails("timeout", pool:with{ timeout = 0.2 }:submit(task))
      t.equal(pool:submit(function() return { "echo" } end):result().out, "\n")
   end)
end

commands("os.exit in the function, and in parse", 1, function(pool)
   local err = kit.fails("crashed", pool:submit(function() os.exit(3) end))
   t.equal(err.status, 3)
   kit.fails("crashed", pool:submit{ "true", parse = function() os.exit(0) end })
   t.equal(pool:submit(function() return { "echo" } end):result().out, "\n")
end)

t.test("commands: init runs in what runs the functions", function()
   local pool = flow.commands{ workers = 2, init = function()
      SOLVER = "echo"
   end }
   t.equal(pool:submit(function()
      return { SOLVER, "hi", parse = function(r) return r.out .. SOLVER end }
   end):result(), "hi\necho")
   t.equal(pool:submit{ "echo" }:result().out, "\n")
   pool:close()
end)

commands("what parse gives must travel", 1, function(pool)
   kit.fails("unsendable", pool:submit{ "true",
      parse = function() return io.stdout end }, "result 1: userdata (FILE*)")
end)

commands("on_done, and a graph", 2, function(pool)
   local mesh = pool:submit{ "printf", "mesh", parse = function(r)
      return r.out
   end }
   local cases, seen = {}, 0
   for i = 1, 4 do
      cases[i] = pool:submit(function(deck, n)
         return { "sh", "-c", 'cat mesh; echo " $1"', "sh", n, cwd = "temp",
            files = { mesh = deck } }
      end, mesh, i)
      cases[i]:on_done(function() seen = seen + 1 end)
   end
   local sum = flow.threads(1):submit(function(a, b, c, d)
      return a.out .. b.out .. c.out .. d.out
   end, cases[1], cases[2], cases[3], cases[4])
   t.equal(sum:result(), "mesh 1\nmesh 2\nmesh 3\nmesh 4\n")
   flow.wait(cases)
   flow.sleep(0)
   t.equal(seen, 4)
end)

commands("300 that functions make, 16 at a time", 16, function(pool)
   local t300 = {}
   for i = 1, 300 do t300[i] = i end
   local results = pool:map(function(i)
      return { "echo", i, parse = function(r) return tonumber(r.out) end }
   end, t300)
   for i = 1, 300 do t.equal(results[i], i) end
end)

return t.finish()
