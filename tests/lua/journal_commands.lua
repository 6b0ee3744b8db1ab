-- journal_commands.lua: commands that a resumed run takes from its journal, and
-- those that it runs again.
--
-- A case is a workflow whose commands note that they ran; it is run, edited and
-- run again by the program itself.

local t = require "t"
local kit = require "kit"

local dir -- of the test that runs

local function write(name, text) t.write(dir .. "/" .. name, text) end

-- What every script begins with: `noting(x, ...)` is a line for a shell that
-- notes that the command ran, and does more.
local prelude = [[
local flow = require "flowrun"
local top = os.getenv("TOP")
local pool = flow.commands(2)
local function noting(x, more)
   return "echo " .. x .. " >>" .. top .. "/ran; " .. (more or "")
end
local function sh(x, more)
   return { noting(x, more), shell = true }
end
local function show(r)
   local names = {}
   for name in pairs(r) do names[#names + 1] = name end
   table.sort(names)
   for _, name in ipairs(names) do
      local value = r[name]
      if type(value) ~= "table" then
         print(name, math.type and math.type(value) or type(value), value)
      else
         local files = {}
         for k, v in pairs(value) do files[#files + 1] = k .. "=" .. v end
         table.sort(files)
         print(name, table.concat(files, " "))
      end
   end
end
]]

local function run(script, options, where)
   return kit.resume(dir, prelude .. script, options, where)
end

local function on(name, body)
   t.test(name, function()
      local remove
      dir, remove = t.directory()
      local ok, err = pcall(body)
      remove()
      if not ok then error(err, 0) end
   end)
end

-- Runs it, of which exactly these commands are to run.
local function runs(script, wanted, line, options)
   local got = run(script, options)
   t.equal(got.status, 0, got.err)
   t.equal(got.ran, wanted, got.err)
   if line then t.equal(got.line, line) end
   return got
end

local function same(script, wanted)
   local first = runs(script, wanted)
   local second = runs(script, "")
   t.equal(second.out, first.out)
   return second
end

-- Bare commands ------------------------------------------------------------------

on("all of a result", function()
   local second = same([[
      show(pool:submit(sh("a", "echo out; echo err >&2; printf '\\0\\377'")):result())
      show(pool:submit{ noting("b", "echo text >made; exit 3"), shell = true, cwd = "temp",
         collect = { "made" }, ok_status = { 3 } }:result())
      show(pool:submit{ noting("c", "cat one two >three"), shell = true, cwd = "below/it",
         files = { one = "1\n", two = "2\n" }, collect = { "thr*" } }:result())
   ]], "a b c")
   t.equal(second.line, "3 from journal, 0 new")
   t.equal(t.read(dir .. "/below/it/three"), "1\n2\n")
end)

on("what it computes from", function()
   local function with(fields)
      return ([[ pool:submit{ noting("it"), "a", shell = true, %s }:result() ]])
         :format(fields)
   end
   runs(with "", "it")
   runs(with "", "", "1 from journal, 0 new")
   for _, fields in ipairs { "'b'", "env = { A = 1 }", "env = { A = false }",
      "stdin = 'text'", "files = { a = 'x' }, cwd = 'temp'",
      "files = { a = 'y' }, cwd = 'temp'", "files = { b = 'x' }, cwd = 'temp'",
      "cwd = 'd'", "ok_status = { 0, 1 }", "stdout = 'log'", "capture = 1000" } do
      runs(with(fields), "it", "0 from journal, 1 new")
      runs(with(fields), "", "1 from journal, 0 new")
   end
end)

on("what does not count", function()
   runs([[ pool:submit{ noting("it", "echo $A$B"), shell = true,
      env = { A = "1", B = 2, C = false } }:result() ]], "it")
   runs([[ flow.commands(1):with{ name = "n", retries = 2, timeout = 50, priority = 1 }
      :submit{ env = { C = false, B = "2", A = 1 }, shell = true,
               noting("it", "echo $A$B") }:result() ]], "")
end)

on("version and seed", function()
   local function with(version)
      return ([[ pool:with{ version = %s, name = "n" }:submit(sh "it"):result() ]])
         :format(version)
   end
   runs(with "'1'", "it")
   runs(with "'1'", "")
   runs(with "'2'", "it", "0 from journal, 0 new, 1 again (version changed)")
   runs(with "'2'", "it", "0 from journal, 0 new, 1 again (seed changed)", "--seed 5")
   runs(with "'2'", "") -- the seed is the journal's
end)

on("what failed runs again", function()
   local script = [[ print(pool:submit(sh("it", "test -f $TOP/good")):try()) ]]
   t.equal(run(script).ran, "it")
   runs(script, "it", "0 from journal, 0 new, 1 again (failed)")
   write("good", "")
   runs(script, "it")
   runs(script, "")
end)

on("equal ones are told apart", function()
   local script = [[
      local all = {}
      for i = 1, 3 do all[i] = pool:submit(sh "same") end
      flow.gather(all)
   ]]
   runs(script, "same same same")
   runs(script, "", "3 from journal, 0 new")
end)

on("durable, after, limits", function()
   same([[
      local p = pool:with{ durable = true, limit = flow.limit("l", 1) }
      local a = p:submit(sh "a")
      print(p:with{ after = a }:submit(sh("b", "echo b")):result().out)
   ]], "a b")
end)

-- Files --------------------------------------------------------------------------

local again = "0 from journal, 0 new, 1 again (file changed)"

local function changed_input(script)
   write("in", "one")
   runs(script, "it")
   runs(script, "", "1 from journal, 0 new")
   write("in", "another")
   runs(script, "it", again)
   t.equal(runs(script, "").out, "another\n")
   os.execute("touch -t 200101010000 " .. t.quote(dir .. "/in"))
   runs(script, "it", again)
   os.remove(dir .. "/in")
   t.equal(run(script).status, 1)
end

on("an input of a bare command", function()
   changed_input [[ print(pool:submit{ noting("it", "cat x"), shell = true, cwd = "temp",
      files = { x = { path = "in" } } }:result().out) ]]
end)

on("a standard input", function()
   changed_input [[ print(pool:submit{ noting("it", "cat"), shell = true,
      stdin = { path = "in" } }:result().out) ]]
end)

on("an input of a function's command", function()
   changed_input [[ print(pool:submit(function(name)
      return { noting("it", "cat x"), shell = true, cwd = "temp",
         files = { x = { path = name } }, parse = function(r) return r.out end }
   end, "in"):result()) ]]
end)

on("an input of a command with parse", function()
   changed_input [[ print(pool:submit{ noting("it", "cat"), shell = true,
      stdin = { path = "in" }, parse = function(r) return r.out end }:result()) ]]
end)

local function changed_output(script)
   local first = runs(script, "it")
   t.equal(runs(script, "", "1 from journal, 0 new").out, first.out)
   write("d/made", "something else")
   t.equal(runs(script, "it", again).out, first.out)
   runs(script, "")
   os.remove(dir .. "/d/made")
   runs(script, "it", again)
   t.equal(t.read(dir .. "/d/made"), "made\n")
end

on("what a bare command has made", function()
   changed_output [[ print(pool:submit{ noting("it", "echo made >made"), shell = true,
      cwd = "d", collect = { "made" } }:result().files.made) ]]
end)

on("what a function's command has made", function()
   changed_output [[ print(pool:submit(function(x)
      return { noting("it", "echo made >made"), shell = true, cwd = x, collect = { "m*" } }
   end, "d"):result().files.made) ]]
end)

on("what is there as a text needs no file", function()
   same([[ print(pool:submit{ noting("it", "echo made >made"), shell = true, cwd = "temp",
      collect = { "made" } }:result().files.made) ]], "it")
end)

on("only the last attempt counts", function()
   same([[
      print(pool:with{ retries = 2 }:submit(function()
         return { noting("it", "echo $FLOWRUN_ATTEMPT >made"), shell = true, cwd = "d",
            collect = { "made" },
            parse = function(r)
               if flow.attempt() < 3 then error("not yet") end
               return r.files.made
            end }
      end):result())
   ]], "it it it")
end)

on("relative paths are those of the run", function()
   local script = [[ print(pool:submit{ noting("it", "cat"), shell = true,
      stdin = { path = "in" } }:result().out) ]]
   os.execute("mkdir " .. t.quote(dir .. "/other"))
   write("in", "one")
   write("other/in", "other")
   runs(script, "it")
   local there = run(script, nil, "other")
   t.equal(there.out, "other\n")
   t.equal(there.line, again)
end)

-- Functions ----------------------------------------------------------------------

on("functions, and what they parse", function()
   local function script(parse, list)
      return ([[
         local r = pool:map(function(x)
            return { noting(x, "echo " .. x), shell = true,
               parse = function(r) return tonumber(r.out) * %s end }
         end, { %s })
         print(table.concat(r, " "))
      ]]):format(parse, list)
   end
   t.equal(runs(script("2", "1, 2"), "1 2").out, "2 4\n")
   t.equal(runs(script("2", "2, 3, 1"), "3", "2 from journal, 1 new").out, "4 6 2\n")
   t.equal(runs(script("3", "1"), "1", "0 from journal, 0 new, 1 again (function changed)").out, "3\n")
end)

on("what parse refused runs again", function()
   local script = [[ print(pool:submit(function()
      return { noting("it", "cat $TOP/value"), shell = true,
         parse = function(r) return tonumber(r.out) or error("no number") end }
   end):try()) ]]
   write("value", "none")
   t.equal(run(script).ran, "it")
   write("value", "42")
   t.equal(runs(script, "it", "0 from journal, 0 new, 1 again (failed)").out, "true\t42\n")
   runs(script, "")
end)

on("a function's command finds another seed", function()
   local script = [[ print(pool:submit(function()
      return { noting("it", "echo $FLOWRUN_SEED"), shell = true } end):result().out) ]]
   runs(script, "it")
   t.equal(runs(script, "it", nil, "--seed 7").out, "7\n\n")
end)

on("futures in a command, by their values", function()
   local function script(value)
      return ([[
         local a = flow.threads(1):submit(function() return "%s" end)
         print(pool:submit{ noting("it", "cat x"), shell = true, cwd = "temp",
            files = { x = a } }:result().out)
      ]]):format(value)
   end
   runs(script "one", "it")
   runs(script "one", "")
   t.equal(runs(script "two", "it").out, "two\n")
   runs(script "one", "")
end)

on("from tasks of other pools", function()
   for _, kind in ipairs { "threads", "forks" } do
      os.execute("rm -f " .. t.quote(dir .. "/j"))
      local function script(n)
         return ([[
            print(flow.%s(2):submit(function(x)
               local bare = pool:submit{ noting("bare", "cat"), shell = true,
                  stdin = { path = "in" } }
               local made = pool:submit(function() return sh("made", "echo 1") end)
               return bare:result().out, made:result().out
            end, "%s %d"):result())
         ]]):format(kind, kind, n)
      end
      write("in", kind)
      runs(script(1), "bare made")
      runs(script(2), "")
      write("in", kind .. " changed")
      t.equal(runs(script(3), "bare").out, kind .. " changed\t1\n\n")
   end
end)

on("flow.exec in a task is a part of it", function()
   local script = [[
      for _, p in ipairs{ flow.threads(1), flow.forks(1) } do
         print(p:submit(function() return flow.exec(sh("it", "echo 1")).out end):result())
      end
   ]]
   t.equal(run(script).status, 0)
   runs(script, "")
end)

return t.finish()
