-- commands_end.lua: how commands end: by themselves, by a signal, by timeout,
-- cancel and halt; what they leave; many of them; and the other policies.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, sh, exists = kit.commands, kit.sh, t.exists

-- Waits until the condition holds.
local function until_so(condition, what)
   local late = flow.now() + 20
   while not condition() do
      if flow.now() > late then error("never: " .. what, 2) end
      flow.sleep(0.002)
   end
end

-- Does that process run? (A zombie does not.)
local function runs(pid)
   local f = io.open("/proc/" .. pid .. "/stat")
   if not f then return false end
   local state = (f:read("*a") or ""):match("%) (%a)")
   f:close()
   return state ~= nil and state ~= "Z" and state ~= "X"
end

local function gone(pid)
   until_so(function() return not runs(pid) end, "the end of " .. pid)
end

-- The line of a file, once it is there.
local function line_of(path)
   local line
   until_so(function()
      local f = io.open(path)
      line = f and f:read("*l")
      if f then f:close() end
      return line and line ~= ""
   end, path)
   return line
end

-- A shell line that says its process, then does the rest.
local function saying(path, rest)
   return sh(("echo $$ >%s.new; mv %s.new %s; %s"):format(path, path, path,
      rest))
end

-- By itself -------------------------------------------------------------------

on("an exit status", 1, function(pool, dir)
   local err = kit.fails("exit", pool:submit{ "sh", "-c",
      "echo some output; echo first >&2; echo the last line >&2; exit 7",
      cwd = dir })
   t.equal(err.status, 7)
   t.equal(err.out, "some output\n")
   t.equal(err.err, "first\nthe last line\n")
   t.equal(err.dir, dir)
   t.ok(err.seconds > 0 and err.cpu >= 0 and err.memory > 0)
   t.match(err.message, "7")
   t.match(err.message, "the last line")
   t.equal(err.attempts, 1)
   t.match(tostring(err), "^sh: exit: [^\n]*$")
end)

on("not found, not executable", 1, function(pool, dir)
   local err = kit.fails("exit", pool:submit{ "no-such-program-here" },
      "no-such-program-here")
   t.equal(err.status, 127)
   err = kit.fails("exit", pool:submit{ dir .. "/nothing" }, dir .. "/nothing")
   t.equal(err.status, 127)
   local file = t.write(dir .. "/tool", "echo hi\n")
   err = kit.fails("exit", pool:submit{ file }, file)
   t.equal(err.status, 126)
   t.match(err.message, "not executable")
   err = kit.fails("exit", pool:submit{ "tool", env = { PATH = dir } }, "tool")
   t.ok(err.status == 126 or err.status == 127)
   err = kit.fails("exit", pool:submit{ dir })
   t.equal(err.status, 126)
   err = kit.fails("exit", pool:submit{ "no-such-program-here", shell = true })
   t.equal(err.status, 127)
   os.execute("chmod +x " .. t.quote(file))
   err = kit.fails("exit", pool:submit{ file }, file)
   t.equal(err.status, 126, "no interpreter is named in it")
end)

on("a missing cwd or stdin", 1, function(pool, dir)
   t.write(dir .. "/file", "")
   local ok, err = pool:submit{ "true", cwd = dir .. "/file/x" }:try()
   t.equal(ok, false)
   t.match(tostring(err), "file")
   ok, err = pool:submit{ "cat", stdin = { path = dir .. "/none" } }:try()
   t.equal(ok, false)
   t.match(tostring(err), "none")
   ok, err = pool:submit{ "echo", stdout = dir .. "/none/x" }:try()
   t.equal(ok, false)
   t.match(tostring(err), "none")
end)

on("a signal", 1, function(pool)
   local err = kit.fails("crashed", pool:submit(sh "echo x; kill -9 $$"),
      "signal 9")
   t.equal(err.signal, 9)
   t.equal(err.out, "x\n")
   err = kit.fails("crashed", pool:submit(sh "kill -SEGV $$"))
   t.equal(err.signal, 11)
   err = kit.fails("exit", pool:submit(sh "exit 137"))
   t.equal(err.status, 137, "a status is no signal")
end)

-- Timeout and cancel ----------------------------------------------------------

-- A command of several processes, one of which ignores TERM.
local function family(dir)
   return sh(([[
      echo $$ >%s/a
      sleep 1000 & echo $! >%s/b
      (trap '' TERM; echo hi >%s/c.new; sh -c 'echo $PPID' >%s/c; while :; do sleep 1000; done) &
      wait
   ]]):gsub("%%s", dir))
end

local function all_gone(dir)
   for _, name in ipairs { "a", "b", "c" } do
      local f = io.open(dir .. "/" .. name)
      if f then
         local pid = f:read("*n")
         f:close()
         if pid then gone(pid) end
      end
   end
end

on("a timeout leaves nothing", 1, function(pool, dir)
   local err = kit.fails("timeout",
      pool:with{ timeout = 0.2 }:submit(family(dir)))
   all_gone(dir)
   t.ok(exists(dir .. "/a"))
   err = kit.fails("timeout", pool:with{ timeout = 0.2 }:submit(
      sh "echo so far; exec sleep 1000"))
   t.equal(err.out, "so far\n")
end)

on("a timeout of a command that a function made", 1, function(pool, dir)
   local function make(d)
      return { "sh", "-c", "echo $$ >" .. d .. "/a; echo so far; sleep 1000",
         cwd = "temp", files = { x = "y" } }
   end
   local err = kit.fails("timeout",
      pool:with{ timeout = 0.2 }:submit(make, dir))
   t.equal(err.out, "so far\n")
   all_gone(dir)
   t.ok(not exists(err.dir .. "/x"), "its directory is gone")
end)

-- KILL may come before the shell had any time: one that had some is enough.
on("TERM comes first", 1, function(pool, dir)
   local line = "trap 'echo bye; exit 0' TERM; echo up; sleep 1000 & wait"
   for _ = 1, 50 do
      local err = kit.fails("timeout",
         pool:with{ timeout = 0.2 }:submit(sh(line)))
      if err.out == "up\nbye\n" then return end
   end
   error("no command had its TERM")
end)

on("cancel", 1, function(pool, dir)
   local future = pool:submit(family(dir))
   line_of(dir .. "/a")
   t.equal(future:cancel(), true)
   local err = kit.fails("cancelled", future)
   t.equal(tostring(err), future:info().name .. ": cancelled: told to stop"
      .. " while it ran")
   all_gone(dir)
   local waits = pool:submit(sh "sleep 1000")
   local queued = pool:submit{ "touch", dir .. "/never" }
   t.equal(queued:cancel(), true)
   waits:cancel()
   kit.fails("cancelled", waits)
   err = kit.fails("cancelled", queued)
   t.equal(tostring(err), queued:info().name .. ": cancelled")
   t.ok(not exists(dir .. "/never"))
   t.equal(pool:submit{ "true" }:result().status, 0)
end)

on("cancel of a command that a function made", 2, function(pool, dir)
   local futures = pool:scatter(function(i)
      return { "sh", "-c", "echo $$ >" .. dir .. "/" .. i .. "; sleep 1000",
         cwd = "temp" }
   end, { 1, 2, 3 })
   local pid = line_of(dir .. "/1")
   pool:cancel()
   for _, future in ipairs(futures) do kit.fails("cancelled", future) end
   t.ok(not runs(pid))
end)

on("pool:cancel with many", 8, function(pool, dir)
   for i = 1, 200 do pool:submit(sh "sleep 1000") end
   local first = pool:submit(saying(dir .. "/pid", "sleep 1000"))
   t.equal(first:state(), "pending")
   pool:cancel()
   t.equal(pool:drain(20), true)
   t.equal(pool:stats().cancelled, 201)
end)

-- What they do ----------------------------------------------------------------

on("one that leaves a child behind", 1, function(pool, dir)
   local result = pool:submit(sh(([[
      sleep 1000 & echo $! >%s/child
      echo done
   ]]):format(dir))):result()
   t.equal(result.out, "done\n", "the child's hold on the pipe does not count")
   gone(line_of(dir .. "/child"))
end)

on("one that leaves a daemon behind", 1, function(pool, dir)
   local result = pool:submit(sh(([[
      setsid sh -c 'echo $$ >%s/daemon; sleep 1000' &
      while [ ! -s %s/daemon ]; do sleep 0.01; done
      echo done
   ]]):gsub("%%s", dir))):result()
   t.equal(result.out, "done\n")
   os.execute("kill -9 " .. line_of(dir .. "/daemon"))
end)

on("one that closes its outputs", 1, function(pool, dir)
   local future = pool:submit(saying(dir .. "/pid",
      "exec >&- 2>&-; while [ -e " .. dir .. "/pid ]; do sleep 0.01; done"))
   line_of(dir .. "/pid")
   t.equal(future:state(), "running")
   local before = os.clock()
   flow.sleep(0.2)
   t.ok(os.clock() - before < 0.15, "nothing spins meanwhile")
   os.remove(dir .. "/pid")
   t.equal(future:result().out, "")
end)

on("one that stops itself", 1, function(pool, dir)
   kit.fails("timeout", pool:with{ timeout = 0.3 }:submit(
      saying(dir .. "/pid", "kill -STOP $$; echo never")))
   t.ok(not runs(line_of(dir .. "/pid")))
end)

on("one that writes a gigabyte", 1, function(pool)
   local result = pool:submit{ "head", "-c", 1e9, "/dev/zero", capture = 1000 }
      :result()
   t.ok(#result.out <= 1200)
   local both = pool:submit{ "sh", "-c",
      "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2" }:result()
   t.ok(#both.out <= 8 * 2 ^ 20 + 200, #both.out)
   t.ok(#both.err <= 8 * 2 ^ 20 + 200)
end)

on("one that does not read what it is given", 1, function(pool)
   t.equal(pool:submit{ "sh", "-c", "exec <&-; exit 0",
      stdin = ("x"):rep(1000000) }:result().status, 0)
   t.equal(pool:submit{ "head", "-c", 1, stdin = ("x"):rep(1000000) }
      :result().out, "x")
end)

on("what it inherits", 1, function(pool)
   local out = pool:submit(sh "ls -l /proc/self/fd | grep -c -- '->'"):result()
      .out
   t.equal(tonumber(out), 4, "three, and that of ls itself")
   out = pool:submit{ "grep", "-E", "SigBlk|SigIgn", "/proc/self/status" }
      :result().out
   t.equal(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n")
end)

-- Policies --------------------------------------------------------------------

on("retries change the command", 1, function(pool)
   local result = pool:with{ retries = 3, backoff = 0 }:submit(function(memory)
      return { "sh", "-c", 'test "$1" -ge 400 && echo "$1"', "sh",
         memory * flow.attempt() }
   end, 100):result()
   t.equal(result.out, "400\n")
   local err = kit.fails("exit", pool:with{ retries = 2, backoff = 0 }:submit(
      sh "echo $FLOWRUN_ATTEMPT; exit 1"))
   t.equal(err.attempts, 3)
   t.equal(err.out, "3\n")
   err = kit.fails("exit", pool:with{ retries = 2, retry_on = "crashed",
      backoff = 0 }:submit{ "false" })
   t.equal(err.attempts, 1)
   local parsed = flow.dict()
   t.equal(pool:with{ retries = 2, backoff = 0 }:submit{ "true",
      parse = function()
         if parsed:add("n", 1) < 3 then error("again") end
         return flow.attempt()
      end }:result(), 3)
end)

on("limits and seats", 8, function(pool, dir)
   local solver = flow.limit(2)
   local line = [[
      n=$(ls "$1" | wc -l); touch "$1/$$"
      m=$(ls "$1" | wc -l); sleep 0.02; rm "$1/$$"; echo $m
   ]]
   local futures = {}
   os.execute("mkdir " .. dir .. "/now")
   for i = 1, 20 do
      futures[i] = pool:with{ limit = solver }:submit{ "sh", "-c", line, "sh",
         dir .. "/now" }
   end
   for i, result in ipairs(flow.gather(futures)) do
      t.ok(tonumber(result.out) <= 2, result.out)
   end
   kit.refused("resource", function()
      pool:with{ limit = { [solver] = 3 } }:submit{ "true" }
   end, "2 seats")
end)

on("workers bound what runs", 3, function(pool, dir)
   local line = 'touch "$1/$$"; ls "$1" | wc -l; sleep 0.02; rm "$1/$$"'
   local function one() return { "sh", "-c", line, "sh", dir } end
   local direct, made = {}, pool:scatter(one, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
   for i = 1, 10 do direct[i] = pool:submit(one()) end
   for _, list in ipairs { direct, made } do
      for _, result in ipairs(flow.gather(list)) do
         t.ok(tonumber(result.out) <= 3, result.out)
      end
   end
end)

on("halt", 1, function(pool, dir)
   local settled = flow.settle(pool:with{ halt = "now,fail=1" }:scatter(function(word)
      return { word, dir .. "/never" }
   end, { "false", "touch", "touch" }))
   t.equal(settled[1].error.kind, "exit")
   t.equal(settled[2].error.kind, "cancelled")
   t.equal(settled[3].error.cause.kind, "exit")
   t.ok(not exists(dir .. "/never"))
end)

on("map raises, and cancels the rest", 1, function(pool)
   local err = kit.refused("exit", function()
      pool:map(function(word) return { word } end, { "true", "false", "true" })
   end)
   t.equal(err.key, 2)
   local err2 = kit.refused("exit", function()
      flow.gather { pool:submit{ "false" }, pool:submit(sh "sleep 1000") }
   end)
   t.equal(err2.status, 1)
end)

on("a memory cap", 1, function(pool)
   local ok, err = pool:with{ memory = 200 * 2 ^ 20 }:submit{ "perl", "-e",
      "my $x = 'x' x (500 << 20); print length $x" }:try()
   t.equal(ok, false)
   t.ok(err.kind == "exit" or err.kind == "crashed" or err.kind == "resource",
      err.kind)
   t.equal(pool:with{ memory = 500 * 2 ^ 20 }:submit{ "perl", "-e",
      "print 'fine'" }:result().out, "fine")
end)

on("priority, and the order of submission", 1, function(pool, dir)
   local gate = t.write(dir .. "/gate", "")
   pool:submit(sh("while [ -e " .. gate .. " ]; do sleep 0.01; done"))
   local function note(word)
      return sh("echo " .. word .. " >>" .. dir .. "/order")
   end
   for _, word in ipairs { "c", "d" } do pool:submit(note(word)) end
   pool:with{ priority = 1 }:submit(note("b"))
   pool:with{ priority = 2 }:submit(note("a"))
   os.remove(gate)
   t.equal(pool:drain(), true)
   t.equal(t.read(dir .. "/order"), "a\nb\nc\nd\n")
end)

on("stats and info", 2, function(pool)
   local future = pool:submit(sh "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
   local failing = pool:submit{ "false" }
   future:result()
   failing:wait()
   failing:try()
   local info = future:info()
   t.equal(info.attempts, 1)
   t.ok(info.cpu > 0, "the command's own processor time")
   t.ok(info.memory > 100000)
   t.ok(info.seconds > 0)
   local stats = pool:stats()
   t.equal(stats.workers, 2)
   t.equal(stats.done, 1)
   t.equal(stats.failed, 1)
   t.equal(stats.running, 0)
end)

on("500 commands, 16 at a time", 16, function(pool)
   local futures = {}
   for i = 1, 500 do futures[i] = pool:submit{ "echo", i } end
   local seen = 0
   for key, future in flow.as_completed(futures) do
      t.equal(future:result().out, key .. "\n")
      seen = seen + 1
   end
   t.equal(seen, 500)
   t.equal(pool:stats().done, 500)
end)

t.test("a pool that is closed while commands run", function()
   local dir, remove = t.directory()
   local pool = flow.commands(2)
   local futures = {}
   for i = 1, 6 do
      futures[i] = pool:submit(sh("sleep 0.02; echo x >" .. dir .. "/" .. i))
   end
   pool:close()
   for i = 1, 6 do
      t.equal(futures[i]:state(), "done")
      t.ok(exists(dir .. "/" .. i))
   end
   kit.refused("closed", function() pool:submit{ "true" } end)
   remove()
end)

t.test("a pool that nobody holds ends its commands", function()
   local dir, remove = t.directory()
   local future = flow.commands(1):submit(sh("sleep 0.05; echo x >" .. dir
      .. "/f"))
   collectgarbage()
   collectgarbage()
   t.equal(future:result().status, 0)
   remove()
end)

return t.finish()
