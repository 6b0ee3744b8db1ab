-- kit.lua: what the tests of pools share.
--
-- Gates, not sleeps: kit.hold(pool, n) fills n workers with tasks that stay
-- until the function that it gives is called, so the state of a pool is known.

local flow = require "flowrun"
local t = require "t"

local kit = {}

kit.kinds = { "threads", "forks" }

-- A test for each kind of pool, with a fresh one of so many workers.
function kit.on(name, workers, body)
   for _, kind in ipairs(kit.kinds) do
      t.test(kind .. ": " .. name, function()
         local pool = flow[kind](workers)
         local ok, err = pcall(body, pool, kind)
         if not ok then pool:cancel() end
         pool:close()
         if not ok then error(err, 0) end
      end)
   end
end

-- The body runs while the script has these globals.
function kit.globals(values, body)
   for name, value in pairs(values) do _G[name] = value end
   local ok, err = pcall(body)
   for name in pairs(values) do _G[name] = nil end
   if not ok then error(err, 0) end
end

-- In a task: stays while the file is there.
local function stay(path)
   local late = os.time() + 15
   repeat
      local file = io.open(path)
      if file then file:close() end
      if os.time() > late then error("the gate stayed shut") end
   until not file
   return "released"
end

-- Waits until no future of the list is pending.
function kit.started(futures)
   for _, future in pairs(futures) do
      local late = flow.now() + 10
      while future:state() == "pending" do
         if flow.now() > late then error("a task did not start", 0) end
         flow.sleep(0.001)
      end
   end
end

-- Fills n workers; gives what lets them go, and their futures.
function kit.hold(pool, n)
   local path, held = os.tmpname(), {}
   for i = 1, n or 1 do held[i] = pool:submit(stay, path) end
   kit.started(held)
   return function() os.remove(path) end, held
end

-- In a task: writes a line to a file, whole.
function kit.note(path, word)
   local file = assert(io.open(path, "a"))
   file:write(word, "\n")
   file:close()
end

-- A file for kit.note, and what gives its lines joined by spaces.
function kit.notes()
   local path = os.tmpname()
   return path, function()
      local text = t.read(path):gsub("\n$", ""):gsub("\n", " ")
      os.remove(path)
      return text
   end
end

-- How many descriptors this process has open.  io.popen would have one more of
-- its own, and for a moment, while the command runs already, its other end.
function kit.descriptors()
   local path = os.tmpname()
   os.execute("ls /proc/$PPID/fd | wc -l >" .. path)
   local count = tonumber(t.read(path))
   os.remove(path)
   return count
end

-- fn is refused with a string that begins with a line of fn's own and has the
-- word in it.
function kit.misuse(fn, word)
   local at = debug.getinfo(fn, "S")
   local ok, err = pcall(fn)
   t.equal(ok, false, "refused, naming " .. word)
   t.equal(type(err), "string", tostring(err))
   local file, line = err:match("^(.-):(%d+): ")
   t.equal(file, at.short_src, err)
   line = tonumber(line)
   t.ok(line >= at.linedefined and line <= at.lastlinedefined, err)
   t.ok(err:find(word, 1, true), err .. " names " .. word)
   t.ok(not err:find("\n"), err)
end

-- fn raises an error table of this kind; its message has the text in it.
function kit.refused(kind, fn, text)
   local ok, err = pcall(fn)
   t.equal(ok, false, text or kind)
   t.equal(type(err), "table", tostring(err))
   t.equal(err.kind, kind, tostring(err))
   t.equal(type(err.message), "string")
   if text then
      t.ok(err.message:find(text, 1, true),
         ("message %q has %q"):format(err.message, text))
   end
   return err
end

-- The future fails with this kind; the message has the text in it.
function kit.fails(kind, future, text)
   return kit.refused(kind, function() future:result() end, text)
end

-- The flowrun that runs this test. (In a worker there is no arg.)
local first = 0
while arg and arg[first - 1] do first = first - 1 end
kit.flowrun = os.getenv("FLOWRUN") or arg and arg[first]

-- Runs a script of this text; gives status, stdout, stderr.
function kit.run(source, options, input)
   local dir, remove = t.directory()
   local script = t.write(dir .. "/script.lua", source)
   local status, out, err = t.command(("timeout -s KILL 60 %s %s %s"):format(
      t.quote(kit.flowrun), options or "", t.quote(script)), input)
   remove()
   return status, out, err
end

-- A test with a fresh pool of commands, in a directory of its own.
function kit.commands(name, workers, body)
   t.test(name, function()
      local dir, remove = t.directory()
      local pool = flow.commands(workers)
      local ok, err = pcall(body, pool, dir)
      if not ok then pool:cancel() end
      pool:close()
      remove()
      if not ok then error(err, 0) end
   end)
end

function kit.sh(line) return { "sh", "-c", line } end

-- Runs a script of this text in `dir`, or from `where` below it, with the
-- journal that is there. Gives status, out, err, the first line of err, and
-- what stands in the file `ran`, to which its tasks add a line each: sorted,
-- joined by spaces.
function kit.resume(dir, source, options, where)
   t.write(dir .. "/script.lua", source)
   os.remove(dir .. "/ran")
   local program = kit.flowrun
   if not program:find("^/") then
      local _, here = t.command("pwd")
      program = here:gsub("\n$", "") .. "/" .. program
   end
   local status, out, err = t.command(([[
cd %s && TOP=$PWD && export TOP && cd %s || exit
exec timeout 60 %s --journal "$TOP/j" %s %sscript.lua]]):format(t.quote(dir),
      where or ".", t.quote(program), options or "", where and "$TOP/" or ""))
   local list, ran = {}, t.exists(dir .. "/ran") and t.read(dir .. "/ran") or ""
   for line in ran:gmatch("[^\n]+") do list[#list + 1] = line end
   table.sort(list)
   return { status = status, out = out, err = err, line = err:match("^[^\n]*"),
      ran = table.concat(list, " ") }
end

return kit
