-- journal.lua: what a resumed run takes from its journal, and what runs again.
--
-- A case is a workflow whose tasks note that they ran; it is run, edited and
-- run again by the program itself, over threads and over forks.

local t = require "t"
local kit = require "kit"

-- What every script begins with: `ran(x)` notes that a task ran.
local prelude = [[
local flow = require "flowrun"
local function ran(x)
   local file = io.open("ran", "a")
   file:write(tostring(x), "\n")
   file:close()
   return x
end
]]

local dir, kind -- of the test that runs

local function run(script, options)
   local got = kit.resume(dir, prelude .. script,
      ("--pool %s -j 2 %s"):format(kind, options or ""))
   got.out = got.out:gsub("\n$", "")
   return got
end

local function on(name, body)
   for _, k in ipairs { "threads", "forks" } do
      t.test(k .. ": " .. name, function()
         local remove
         dir, remove = t.directory()
         kind = k
         local ok, err = pcall(body)
         remove()
         if not ok then error(err, 0) end
      end)
   end
end

-- Runs `before`, then `after`, of which exactly these are to run.
local function changes(before, after, wanted, line)
   local first = run(before)
   t.equal(first.status, 0, first.err)
   local second = run(after)
   t.equal(second.status, 0, second.err)
   t.equal(second.ran, wanted, second.err)
   if line then t.equal(second.line, line) end
   return first, second
end

local function same(script)
   local first, second = changes(script, script, "")
   t.equal(second.out, first.out)
   return first, second
end

-- What is taken from there -----------------------------------------------------

on("all of it, the same output", function()
   local first, second = same [[
      local pool = flow.pool()
      local r = pool:map(function(x) return ran(x) * 10 end, { 1, 2, 3 })
      local s = flow.gather(pool:scatter(function(x) return { ran(x.a) } end,
         { u = { a = "u" }, v = { a = "v" } }))
      print(r[1], r[2], r[3], s.u[1], s.v[1], pool:submit(ran, "one"):result())
   ]]
   t.equal(first.ran, "1 2 3 one u v")
   t.equal(first.line, "0 from journal, 3 new")
   t.equal(second.line, "3 from journal, 0 new")
end)

on("futures, their states and infos", function()
   local _, second = same [[
      local pool = flow.pool()
      local f = pool:submit(function() ran(1) return 1, nil, "three" end)
      local called
      f:on_done(function(g) called = g == f end)
      print(select("#", f:result()), (select(3, f:result())), f:state(), f:done())
      local keys = {}
      for key, g in flow.as_completed(pool:scatter(ran, { a = 2, b = 3 })) do
         keys[#keys + 1] = key .. g:result()
      end
      table.sort(keys)
      print(table.concat(keys, " "), called)
      io.open("info", "w"):write(tostring(f:info().from_journal), " ",
         tostring(f:info().attempts), " ", tostring(f:info().started), "\n")
   ]]
   t.equal(second.status, 0)
end)

on("info says that it is from there", function()
   local script = [[
      local f = flow.pool():submit(ran, 1)
      f:result()
      local i = f:info()
      print(i.from_journal, i.attempts, i.started ~= nil, i.finished ~= nil)
   ]]
   t.equal(run(script).out, "false\t1\ttrue\ttrue")
   t.equal(run(script).out, "true\t1\tfalse\ttrue")
end)

on("a result of every sort", function()
   same [[
      local r = flow.pool():submit(function()
         ran(1)
         local shared = { 1 }
         return { nil, 2, n = 0/0, z = -0.0, s = "\0\255", t = { shared, shared },
                  [true] = 1.5, big = 2^53, list = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } }
      end):result()
      print(r[1], r[2], r.n ~= r.n, 1 / r.z < 0, #r.s, r.t[1] == r.t[2], r[true],
         r.big == 2^53, #r.list)
   ]]
end)

on("what failed runs again, and only that", function()
   local script = [[
      local pool = flow.pool()
      local s = flow.settle(pool:scatter(function(x)
         ran(x)
         if x == 2 and not io.open("good") then error("bad") end
         return x
      end, { 1, 2, 3 }))
      print(s[1].ok, s[2].ok, s[3].ok)
   ]]
   t.equal(run(script).ran, "1 2 3")
   local second = run(script)
   t.equal(second.ran, "2")
   t.equal(second.out, "true\tfalse\ttrue")
   t.equal(second.line, "2 from journal, 0 new, 1 again (failed)")
   t.write(dir .. "/good", "")
   t.equal(run(script).out, "true\ttrue\ttrue")
   t.equal(run(script).ran, "")
end)

on("a result that cannot be kept runs again", function()
   local script = [[
      print(flow.pool():submit(function() ran(1) return print end):result() == print)
      print(type(flow.pool():submit(function() return function() end end):result()))
   ]]
   t.equal(run(script).out, run(script).out)
   t.equal(run(script).status, 0)
end)

-- Positions, keys, names --------------------------------------------------------

on("grids: reordered, extended, cut", function()
   local function grid(list)
      return ([[
         local r = flow.pool():map(function(x) return ran(x.n) end, { %s })
         print(table.concat(r, " "))
      ]]):format(list)
   end
   local first = run(grid "{n=1}, {n=2}, {n=3}")
   t.equal(first.ran, "1 2 3")
   local second = run(grid "{n=3}, {n=4}, {n=1}, {n=5}")
   t.equal(second.ran, "4 5")
   t.equal(second.out, "3 4 1 5")
   t.equal(second.line, "2 from journal, 2 new")
   t.equal(run(grid "{n=2}").ran, "")
end)

on("pairs of a table in any order", function()
   changes([[ flow.pool():submit(function(o) ran(o.a) end, { a = 1, b = 2, c = 3, d = 4, e = 5 }):result() ]],
      [[ local o = {} for k, v in pairs { e = 5, d = 4, c = 3, b = 2 } do o[k] = v end o.a = 1
         flow.pool():submit(function(o) ran(o.a) end, o):result() ]], "")
end)

on("name, policy, pool and kind of call do not count", function()
   changes([[ flow.pool():submit(function(x) return ran(x) end, 7):result() ]],
      [[ local p = flow.threads{ workers = 1, name = "other" }:with{ name = "n", retries = 2, priority = 3, timeout = 50 }
         p:map(function(x) return ran(x) end, { 7 }) ]], "")
end)

on("a table key counts where the function takes it", function()
   local one = [[ local f = function(x) return ran(x) end ]]
   local two = [[ local f = function(x, k) return ran(x) end ]]
   local before = [[ flow.pool():map(f, { a = 1, b = 2 }) ]]
   local after = [[ flow.pool():map(f, { b = 1, a = 2 }) ]]
   changes(one .. before, one .. after, "")
   changes(two .. before, two .. after, "1 2")
end)

on("equal tasks are told apart", function()
   local first, second = same [[
      local pool = flow.pool()
      local f = {}
      for i = 1, 4 do f[i] = pool:submit(ran, "same") end
      print(table.concat(flow.gather(f), " "))
   ]]
   t.equal(first.ran, "same same same same")
   t.equal(second.line, "4 from journal, 0 new")
end)

-- Arguments ---------------------------------------------------------------------

on("arguments: NaN, -0.0, subtypes, strings", function()
   local function with(list)
      return "flow.pool():map(function(x) ran(tostring(x)) end, { " .. list
         .. " })"
   end
   run(with '1, 1.5, "1", 0/0, false')
   t.equal(run(with '1, 1.5, "1", 0/0, false').ran, "")
   t.equal(run(with '-(0/0)').ran, "")
   t.equal(run(with '2, "1.5", true').ran, "1.5 2 true")
   run(with '0, 0.0')
   t.equal(#run(with '-0.0').ran > 0, true)
   if math.type then t.equal(run(with '1.0, 2.0').ran, "1.0 2.0") end
end)

on("arguments: cycles, sharing, holes", function()
   same [[
      local c = { 1 } c.self = c
      local s = { x = 1 }
      local p = flow.pool()
      p:submit(function(c) ran(1) return c end, c):result()
      p:submit(function(v) ran(2) return v[1] == v[2] end, { s, s }):result()
      p:submit(function(v) ran(3) end, { nil, 2, nil, 4, [true] = 1, [1.5] = 2, [s] = 3 }):result()
   ]]
end)

on("a changed argument runs, whichever it is", function()
   local function with(words)
      return "flow.pool():submit(function(a, b, c) ran 'it' return c end, "
         .. words .. "):result()"
   end
   run(with '1, "x", { deep = { 1, 2 } }')
   t.equal(run(with '1, "x", { deep = { 1, 2 } }').ran, "")
   t.equal(run(with '2, "x", { deep = { 1, 2 } }').ran, "it")
   t.equal(run(with '1, "y", { deep = { 1, 2 } }').ran, "it")
   t.equal(run(with '1, "x", { deep = { 1, 3 } }').ran, "it")
   t.equal(run(with '1, "x"').ran, "it")
   t.equal(run(with '1, "x", nil').ran, "it")
end)

on("functions and limits as arguments", function()
   local function with(body, name)
      return ([[
         local f = function(x) return %s end
         flow.pool():submit(function(f, l) ran "it" return f(2) end, f, flow.limit("%s", 1)):result()
      ]]):format(body, name)
   end
   run(with("x", "l"))
   t.equal(run(with("x --[[ no change ]]", "l")).ran, "")
   t.equal(run(with("x + 1", "l")).ran, "it")
   t.equal(run(with("x", "m")).ran, "it")
end)

on("futures as arguments, by their values", function()
   local function chain(first)
      return ([[
         local p = flow.pool()
         local a = p:submit(function(x) ran "a" return %s end, 1)
         local b = p:submit(function(x) ran "b" return x + 1 end, a)
         local c = p:submit(function(o) ran "c" return o.b * 2 end, { b = b })
         print(c:result())
      ]]):format(first)
   end
   t.equal(run(chain "5").ran, "a b c")
   local second = run(chain "5")
   t.equal(second.ran, "")
   t.equal(second.out, "12")
   t.equal(run(chain "10 - 5").ran, "a")
   t.equal(run(chain "6").ran, "a b c")
end)

on("a future counts as its value would", function()
   changes([[ local p = flow.pool()
              p:submit(function(o, x) ran "b" end, { 1, k = p:submit(function() return { 1, 2 } end) },
                 p:submit(function() return "v" end)):result() ]],
      [[ flow.pool():submit(function(o, x) ran "b" end, { 1, k = { 1, 2 } }, "v"):result() ]], "")
end)

on("after: policy", function()
   same [[
      local p = flow.pool()
      local a = p:submit(ran, "a")
      print(p:with{ after = a }:submit(ran, "b"):result())
   ]]
end)

-- What functions are made of -----------------------------------------------------

local function body_of(text)
   return ([[
      local function f(x)
%s
      end
      print(table.concat(flow.pool():map(f, { 1, 2 }), " "))
   ]]):format(text)
end

on("comments and white space", function()
   changes(body_of "return ran(x) -- once", body_of [[
         --[=[ a longer
         comment ]=]
         return   ran( x )
   ]], "")
end)

on("the text of the function", function()
   changes(body_of "return ran(x)", body_of "return ran(x) + 0", "1 2",
      "0 from journal, 0 new, 2 again (function changed)")
end)

on("lines above it", function()
   changes(body_of "return ran(x)", "\n\nlocal other = 1\n"
      .. body_of "return ran(x)", "")
end)

on("a string in it", function()
   changes(body_of "return ran(x) .. '--  a'", body_of "return ran(x) .. '-- a'",
      "1 2")
end)

on("functions that it reaches", function()
   local function script(helper)
      return ([[
         local function deep(x) return %s end
         local tools = { scale = function(x) return deep(x) end }
         function Reached(x) return tools.scale(x) end
         flow.pool():map(function(x) ran(x) return Reached(x) end, { 1 })
      ]]):format(helper)
   end
   changes(script "x", script "x --[[ same ]]", "")
   changes(script "x", script "x * 2", "1",
      "0 from journal, 0 new, 1 again (function changed)")
end)

on("upvalues and globals", function()
   local function script(up, global)
      return ([[
         local factor = %s
         Offset = %s
         flow.pool():map(function(x) ran(x) return x * factor + Offset end, { 1 })
      ]]):format(up, global)
   end
   changes(script(2, 3), script(2, 3), "")
   changes(script(2, 3), script(4, 3), "1",
      "0 from journal, 0 new, 1 again (upvalue changed)")
   changes(script(4, 3), script(4, 5), "1",
      "0 from journal, 0 new, 1 again (global changed)")
end)

on("a global that it does not read", function()
   changes([[ Other = 1 flow.pool():submit(ran, 1):result() ]],
      [[ Other = 2 flow.pool():submit(ran, 1):result() ]], "")
end)

on("modules", function()
   local script = [[
      local mesh = require "mesh"
      print(flow.pool():submit(function(x) ran(x) return mesh.size(x) end, 1):result())
   ]]
   t.write(dir .. "/mesh.lua", "local tool = require 'tool'\nreturn { size = function(x) return tool(x) end }")
   t.write(dir .. "/tool.lua", "return function(x) return x end")
   t.equal(run(script).out, "1")
   t.equal(run(script).ran, "")
   t.write(dir .. "/mesh.lua", "local tool = require 'tool'\n -- more\nreturn { size = function(x) return tool(x) end }")
   t.equal(run(script).ran, "")
   t.write(dir .. "/tool.lua", "return function(x) return x + 1 end")
   local third = run(script)
   t.equal(third.out, "2")
   t.equal(third.line, "0 from journal, 0 new, 1 again (module changed)")
end)

on("modules that are required inside", function()
   local script = [[
      print(flow.pool():submit(function(x) ran(x) return require("tool")(x) end, 1):result())
   ]]
   t.write(dir .. "/tool.lua", "return function(x) return x end")
   run(script)
   t.equal(run(script).ran, "")
   t.write(dir .. "/tool.lua", "return function(x) return x + 1 end")
   t.equal(run(script).out, "2")
end)

on("modules that are required inside, in other ways", function()
   local function script(call)
      return ([[
         print(flow.pool():submit(function(x)
            ran(x)
            return (%s)(x)
         end, 1):result())
      ]]):format(call)
   end
   for _, call in ipairs { "require [=[tool]=]", "require([[tool]])",
                           "select(2, pcall(require, 'tool'))" } do
      t.write(dir .. "/tool.lua", "return function(x) return x end")
      run(script(call))
      t.equal(run(script(call)).ran, "")
      t.write(dir .. "/tool.lua", "return function(x) return x + 1 end")
      t.equal(run(script(call)).out, "2", call)
   end
end)

on("version in place of the source", function()
   local function script(version, body, up)
      return ([[
         local up = %s
         local pool = flow.pool():with{ version = "%s" }
         pool:map(function(x) ran(x) return %s, up end, { 1 })
      ]]):format(up or 1, version, body)
   end
   changes(script("1", "x"), script("1", "x + 1"), "")
   changes(script("1", "x"), script("2", "x"), "1",
      "0 from journal, 0 new, 1 again (version changed)")
   changes(script("1", "x"), script("1", "x", 2), "1")
end)

-- Where it cannot be told ---------------------------------------------------------

on("functions that share a line", function()
   local function script(first, second)
      return ([[
         local up = 1
         local f, g = function(x) return ran(x) + %s end, function(x) return ran(x) + %s end
         local h, i = function() return up end, function() return ran end
         local p = flow.pool()
         print(p:submit(f, 1):result(), p:submit(g, 2):result(), p:submit(h):result())
      ]]):format(first, second)
   end
   changes(script("0", "10"), script("0", "20"), "2")
   changes(script("1.5", "2.5"), script("3.5", "2.5"), "1")
end)

on("methods and nested functions on a line", function()
   same [[
      local M = {}
      function M.a(x) return ran(x) end function M:b(x) return ran(x), self end
      local o = { run = function(x) local function id(y) return y end return id(ran(x)) end }
      local p = flow.pool()
      p:submit(M.a, 1):result()
      p:submit(M.b, nil, 2):result()
      p:submit(o.run, 3):result()
   ]]
end)

on("no source: refused, unless there is a version", function()
   local function script(pool)
      return ([[
         local f = (loadstring or load)("return function(x) return x end", "=made")()
         local ok, err = pcall(function() return %s:submit(f, 1) end)
         print(ok, not ok and err.kind, not ok and tostring(err):find("version=", 1, true) ~= nil)
      ]]):format(pool)
   end
   t.equal(run(script "flow.pool()").out, "false\tjournal\ttrue")
   t.equal(run(script "flow.pool():with{ version = '1' }").out, "true\tfalse\tfalse")
end)

on("a chunk that is its own name", function()
   local function script(text)
      return ([[
         local f = (loadstring or load)("local x = ... local f = io.open('ran', 'a') f:write(x, '\\n') f:close() return %s")
         flow.pool():submit(f, "it"):result()
      ]]):format(text)
   end
   changes(script "1", script "1 -- no change", "")
   changes(script "1", script "2", "it")
end)

on("a chunk whose name is a lie", function()
   local out = run([[
      local f = (loadstring or load)("return 2", "return 1")
      print(pcall(function() return flow.pool():submit(f, 1) end))
   ]]).out
   t.equal(out:match("^%a+"), "false")
end)

-- Nested --------------------------------------------------------------------------

on("nested tasks", function()
   local function script(outer)
      return ([[
         local pool = flow.pool()
         print(pool:submit(function(n)
            ran "outer" local _ = %s
            local r = flow.pool():map(function(x) return ran(x) end, { 1, 2 })
            return r[1] + r[2] + flow.pool():submit(ran, 3):result()
         end, 2):result())
      ]]):format(outer)
   end
   t.equal(run(script "1").ran, "1 2 3 outer")
   t.equal(run(script "1").ran, "")
   local third = run(script "2")
   t.equal(third.ran, "outer")
   t.equal(third.out, "6")
end)

-- Random numbers -------------------------------------------------------------------

on("random numbers are the same after a resume", function()
   local function script(n)
      return ([[
         local r = flow.pool():map(function(x) ran(x) return math.random(1000000) end, { %s })
         print(table.concat(r, " "))
      ]]):format(n)
   end
   local whole = run(script "5, 5, 5, 6").out
   t.equal(run(script "5, 5, 5, 6").out, whole)
   t.equal(run(script "5, 5, 5, 6").ran, "")
   local a, b = whole:match("(%d+) (%d+)")
   t.equal(a ~= b, true)
   os.execute("rm -f " .. t.quote(dir .. "/j") .. "*")
   run(script "5, 5")
   t.equal(run(script "5, 5, 5, 6").out, whole)
end)

on("the seed is the journal's", function()
   local function script(list)
      return ([[
         print(math.random(1000000),
            flow.pool():map(function(x) ran(x) return math.random(1000000) end, { %s })[1])
      ]]):format(list)
   end
   local first = run(script "1", "--seed 42")
   local second = run(script "1, 2")
   t.equal(second.out, first.out)
   t.equal(second.ran, "2")
   local third = run(script "1", "--seed 43")
   t.equal(third.ran, "1")
end)

on("a function that draws nothing keeps its result when it moves", function()
   changes([[ flow.pool():map(function(x) ran(x) if x > 100 then return math.random() end return x end, { 1, 2 }) ]],
      [[ flow.pool():map(function(x) ran(x) if x > 100 then return math.random() end return x end, { 2, 3, 1 }) ]],
      "3")
end)

-- Policies ---------------------------------------------------------------------------

on("flow.journal in a policy, and in options", function()
   local pwd = io.popen("cd " .. t.quote(dir) .. " && pwd -P")
   local real = pwd:read("*l")
   pwd:close()
   local script = [[
      local j = flow.journal("other")
      local p = flow.pool()
      print(p:with{ journal = j, durable = true }:submit(ran, 1):result(), tostring(j))
   ]]
   t.equal(run(script).out, "1\tjournal (" .. real .. "/other)")
   os.execute("rm -f " .. t.quote(dir .. "/j") .. "*")
   t.equal(run(script).ran, "")
   local options = [[ flow.options{ journal = "third" } flow.pool():submit(ran, 1):result() ]]
   run(options)
   t.equal(run(options).ran, "")
end)

on("misuse", function()
   t.equal(run([[ print(select(2, pcall(flow.journal))) ]]).out:match("argument #1") ~= nil, true)
   local out = run([[
      for _, p in ipairs{ { journal = "x" }, { version = 1 }, { durable = 1 } } do
         print((select(2, pcall(function() flow.pool():with(p) end))))
      end
   ]]).out
   t.equal(out, "script.lua:9: bad policy field 'journal' (what flow.journal gives expected, got string)\n"
      .. "script.lua:9: bad policy field 'version' (string expected, got number)\n"
      .. "script.lua:9: bad policy field 'durable' (true or false expected, got number)")
end)

on("halt counts what comes from there", function()
   local script = [[
      local p = flow.pool():with{ halt = "soon,success=2" }
      local s = flow.settle(p:scatter(function(x) ran(x) return x end, { 1, 2 }))
      print(s[1].ok, s[2].ok)
   ]]
   same(script)
end)

return t.finish()
