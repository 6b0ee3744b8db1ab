-- promises.lua: small things that the reference says, each of which was once not
-- so.
-- also: stock

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, misuse = kit.on, kit.misuse

on("a task sees the numbers of all its seats", 2, function(pool, kind)
   local limit = flow.limit("promised " .. kind, 5)
   local seats = function(name) return flow.seat(name) end
   t.same({ pool:with { limit = { [limit] = 3 } }
      :submit(seats, "promised " .. kind):result() }, { 1, 2, 3 })
   t.same({ pool:with { limit = limit }
      :submit(seats, "promised " .. kind):result() }, { 1 })
   t.equal(pool:submit(seats, "promised " .. kind):result(), nil)
end)

on("the error of an init is one line, its traceback apart", 1, function(_, kind)
   local pool = flow[kind] { workers = 1,
      init = function() error("no licence file", 0) end }
   local _, err = pool:submit(print):try()
   t.equal(err.message, "a worker's init failed: no licence file")
   t.match(err.traceback, "^stack traceback:\n.*promises%.lua")
   pool:close()
end)

on("what is for the main program is refused at the task's line", 1,
   function(pool)
   local function refused(body)
      local ok, err = pool:submit(function() return pcall(body) end):result()
      t.equal(ok, false)
      t.match(err, "^[^:]*promises%.lua:%d+: .*only in the main program")
   end
   refused(function() flow.async(print) end)
   refused(function() flow.options {} end)
   refused(function() flow.journal("x") end)
   refused(function() flow.pool():submit(print):on_done(print) end)
end)

on("tasks of library functions have their names", 1, function(pool)
   t.equal(pool:submit(flow.sleep, 0):info().name, "flowrun.sleep")
   t.equal(pool:submit(string.rep, "x", 2):info().name, "string.rep")
   t.match(pool:submit(function() end):info().name, "^promises%.lua:%d+$")
end)

on("the pool here is always the same object", 1, function(pool)
   local function same()
      local seen = { [flow.pool()] = true }
      collectgarbage()
      return seen[flow.pool()], flow.pool()
   end
   local known, its = pool:submit(same):result()
   t.equal(known, true)
   t.equal(its, pool)
   t.equal(pool:map(same, { 1 })[1], true)
   t.ok(rawequal(flow.pool(), flow.pool()))
end)

t.test("an unknown field of a limit is misuse", function()
   misuse(function() flow.limit { "a", 1, share = true } end, "share")
   misuse(function() flow.limit { "a", 1, 2 } end, "number")
end)

t.test("options are checked as the command's are", function()
   misuse(function() flow.options { workers = 2.5 } end, "workers")
   misuse(function() flow.options { workers = 0 } end, "workers")
   misuse(function() flow.options { timeout = 0 } end, "timeout")
   misuse(function() flow.options { seed = 0.5 } end, "seed")
end)

local tells = [[
   local flow = require "flowrun"
   flow.options { workers = 2, pool = "forks" }
   flow.options { workers = 3, pool = "threads" }
   print(flow.pool()) ]]

t.test("the later options win, and the command line wins over them", function()
   local _, out = kit.run(tells)
   t.match(out, "threads, 3 workers")
   _, out = kit.run(tells, "-j 4 --pool forks")
   t.match(out, "forks, 4 workers")
end)

t.test("--pool holds for pools that tasks make", function()
   local _, out = kit.run([[
      local flow = require "flowrun"
      local function kind() return tostring(flow.pool(1)) end
      print(flow.threads(1):submit(kind):result())
      print(flow.forks(1):submit(kind):result()) ]], "--pool forks")
   t.match(out, "%(forks.*%(forks")
end)

local first = 0
while arg[first - 1] do first = first - 1 end

-- Runs a script in the interpreter that runs this one.
local function here(source, words)
   local dir, remove = t.directory()
   local script = t.write(dir .. "/script.lua", source)
   local status, out, err = t.command(("timeout -s KILL 60 %s %s %s"):format(
      t.quote(arg[first]), t.quote(script), words or ""))
   remove()
   return status, out, err
end

t.test("a usage error names the script", function()
   local status, out, err = here([[
      require("flowrun").args { size = { 1, "a size" } }
      print("not reached") ]], "--sise=2")
   t.equal(status, 2)
   t.equal(out, "")
   t.match(err, "script%.lua: unknown option '%-%-sise'")
end)

-- A deadline ends the command; under a stock Lua the process is not ours to end.
t.test("the run's deadline, where no command keeps it", function()
   local status, out, err = here([[
      local flow = require "flowrun"
      flow.options { timeout = 0.1 }
      local pool = flow.threads(1)
      local running, queued = pool:submit(flow.sleep, 60), pool:submit(print)
      for _, future in ipairs { running, queued, pool:submit(print) } do
         local _, err = future:try()
         print(err.kind, err.message, err.cause.kind)
      end
      print(pool:submit(print):try()) ]])
   if arg[first]:find("flowrun") then
      t.equal(status, 124)
      t.match(err, "deadline of 0%.1 s passed")
   else
      local line = "cancelled\tthe run's deadline of 0.1 s passed\ttimeout\n"
      t.equal(out, line:rep(3)
         .. "false\tprint: cancelled: the run's deadline of 0.1 s passed\n")
      t.equal(status, 0)
   end
end)

return t.finish()
