-- output.lua: what tasks and the script print, by whole lines.

local t = require "t"
local kit = require "kit"

-- Runs a script that begins with these lines, for each kind of pool.
local function script(name, source, check, options, input)
   for _, kind in ipairs(kit.kinds) do
      t.test(kind .. ": " .. name, function()
         check(kit.run(([[
            local flow = require "flowrun"
            local function open(n) return flow.%s(n) end
         ]]):format(kind) .. source, options, input))
      end)
   end
end

local function exactly(wanted)
   return function(status, out, err)
      t.equal(err, "")
      t.equal(out, wanted)
      t.equal(status, 0)
   end
end

-- Tasks -----------------------------------------------------------------------

script("lines are whole, and in order for each task", [[
   local function talk(n)
      for line = 1, 20 do
         io.write("task ", n)
         io.write(" line ")
         io.write(line, " ", ("x"):rep(n % 50))
         io.write("\n")
      end
   end
   local items = {}
   for n = 1, 200 do items[n] = n end
   flow.gather(open(4):scatter(talk, items))
]], function(status, out, err)
   t.equal(status, 0, err)
   t.equal(err, "")
   local last, lines = {}, 0
   for line in out:gmatch("([^\n]*)\n") do
      local n, at, tail = line:match("^task (%d+) line (%d+) (x*)$")
      t.ok(n, line)
      n = tonumber(n)
      t.equal(tonumber(at), (last[n] or 0) + 1)
      t.equal(#tail, n % 50)
      last[n], lines = tonumber(at), lines + 1
   end
   t.equal(lines, 4000)
end)

script("all of it is there before the future is done", [[
   local pool = open(2)
   for n = 1, 100 do
      local future = pool:submit(function() print("in", n) io.write("half") end)
      future:result()
      print("done", n)
   end
]], function(status, out)
   t.equal(status, 0)
   local n = 0
   for a, half, b in out:gmatch("in\t(%d+)\n(half\n?)done\t(%d+)\n") do
      n = n + 1
      t.equal(tonumber(a), n)
      t.equal(tonumber(b), n)
      t.ok(half)
   end
   t.equal(n, 100)
end)

script("print and io.write write what Lua writes", [[
   open(1):submit(function()
      print()
      print(1, nil, true, "x", -0.5)
      print(setmetatable({}, { __tostring = function() return "shown" end }))
      io.write("a", 1, "b", 2.5, "\n")
      io.stdout:write("stdout", " ", 4, "\n")
      io.output():write("output\n")
      print(pcall(io.write, {}) == false)
      io.stdout:flush()
      io.flush()
      io.stdout:setvbuf("no")
      print(io.type(io.stdout), io.type(io.output()))
      print(("%5.1f|%-4s|"):format(2.5, "x"))
      io.write("bytes \0\255\27 end\n")
   end):result()
]], exactly("\n1\tnil\ttrue\tx\t-0.5\nshown\na1b2.5\nstdout 4\n"
   .. "output\ntrue\nfile\tfile\n  2.5|x   |\nbytes \0\255\27 end\n"))

script("stderr has its own lines", [[
   flow.gather(open(2):scatter(function(n)
      for i = 1, 50 do
         io.stderr:write("err ", n)
         io.stderr:write(" ", i, "\n")
         print("out " .. n)
      end
   end, { 1, 2, 3, 4 }))
]], function(status, out, err)
   t.equal(status, 0)
   local n = 0
   for line in err:gmatch("([^\n]*)\n") do
      t.match(line, "^err %d %d+$")
      n = n + 1
   end
   t.equal(n, 200)
   t.equal(#out, 4 * 50 * 6)
end)

script("a line that has not ended is there at the end of the task", [[
   local pool = open(1)
   pool:submit(function() io.write("no newline") end):result()
   pool:submit(function() print("next") end):result()
]], function(status, out)
   t.equal(status, 0)
   t.match(out, "^no newline\n?next\n$")
end)

script("long lines are one piece", [[
   local pool = open(4)
   local items = {}
   for i = 1, 8 do items[i] = i end
   flow.gather(pool:scatter(function(i)
      for _ = 1, 100 do io.write((tostring(i)):rep(3000)) end
      io.write("\n")
   end, items))
]], function(status, out)
   t.equal(status, 0)
   local n = 0
   for line in out:gmatch("([^\n]*)\n") do
      t.equal(#line, 300000)
      t.equal(line, line:sub(1, 1):rep(300000))
      n = n + 1
   end
   t.equal(n, 8)
end)

script("a task that fails has printed", [[
   local pool = open(1)
   local future = pool:submit(function() print("before") error("x") end)
   print(future:try() == false)
   pool:submit(function() print("leaving") os.exit(3) end):try()
]], exactly("before\ntrue\nleaving\n"))

script("items of a map print in their order on one worker", [[
   for _, chunk in ipairs { 1, 5, 100 } do
      local view = open(1):with { chunk = chunk }
      view:map(function(v) print(v) end, { 1, 2, 3, 4, 5, 6 })
   end
]], exactly(("1\n2\n3\n4\n5\n6\n"):rep(3)))

script("a task may write to a file of its own", [[
   local path = os.tmpname()
   open(1):submit(function(p)
      local old = io.output()
      io.output(p)
      io.write("to the file\n")
      io.close()
      io.output(old)
      print("to the run")
   end, path):result()
   open(1):submit(function() print("still") end):result()
   for line in io.lines(path) do print(line) end
   os.remove(path)
]], exactly("to the run\nstill\nto the file\n"))

script("flow.int is shown as a number", [[
   local n = flow.int(2 ^ 53) + 1
   print(n)
   io.write(open(1):submit(function() print(n, "x", n) return "" end):result())
]], exactly("9007199254740993\n9007199254740993\tx\t9007199254740993\n"))

-- The script itself -----------------------------------------------------------

script("the script's lines and those of tasks are in one order", [[
   local pool = open(1)
   print("A")
   pool:submit(function() print("B") end):result()
   io.write("C", "\n")
   flow.async(function() print("D") end):result()
   pool:map(function(v) print(v) end, { "E" })
   io.stdout:write("F\n")
]], exactly("A\nB\nC\nD\nE\nF\n"))

script("the end of the script's output is not lost", [[
   for i = 1, 20000 do print(i) end
   io.write("no newline at the end")
]], function(status, out, err)
   t.equal(status, 0)
   t.equal(err, "")
   t.equal(#out, 108894 + 21)
   t.match(out, "\n20000\nno newline at the end$")
end)

script("output before os.exit and before an error is not lost", [[
   print("printed")
   io.write("written")
   os.exit(3)
]], function(status, out)
   t.equal(status, 3)
   t.equal(out, "printed\nwritten")
end)

script("a prompt is there when the answer is read", [[
   io.write("name? ")
   local name = io.read()
   print("hello " .. name)
   local number = io.read("*n")
   print(number + 1)
   print(io.read("*a"))
]], exactly("name? hello world\n43\n rest\n\n"), "", "world\n42 rest\n")

script("io.output of the script is followed", [[
   local path = os.tmpname()
   io.output(path)
   io.write("to the file")
   print("to stdout")
   io.close()
   io.output(io.stdout)
   io.write(io.open(path):read("*a"), "\n")
   os.remove(path)
]], exactly("to stdout\nto the file\n"))

script("-v tags the lines of tasks with their names", [[
   local pool = open(2)
   print("mine")
   pool:with { name = "mesh 200" }:submit(function()
      print("one")
      io.write("two\n")
      io.stderr:write("three\n")
   end):result()
]], function(status, out, err)
   t.equal(status, 0)
   t.match(out, "^mine\n")
   for _, word in ipairs { "one", "two" } do
      local line = out:match("([^\n]*" .. word .. ")\n")
      t.ok(line, out)
      t.ok(line:find("mesh 200", 1, true), line)
   end
   local line = err:match("([^\n]*three)\n")
   t.ok(line and line:find("mesh 200", 1, true), err)
   t.ok(not out:match("[^\n]*mine"):find("mesh"))
end, "-v")

script("-q leaves what tasks and the script print", [[
   open(1):submit(function() print("task") end):result()
   print("script")
]], exactly("task\nscript\n"), "-q")

return t.finish()
