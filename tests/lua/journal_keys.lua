-- journal_keys.lua: small edits of a script, after which its task runs again,
-- or is taken from the journal.

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
local function run(f, ...) print(flow.pool():submit(f, ...):result()) end
]]

local dir -- of the test that runs

local function run(script, options)
   local got = kit.resume(dir, prelude .. script, "--pool threads -j 2 "
      .. (options or ""))
   got.out = got.out:gsub("\n$", "")
   return got
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

-- The script with each of two texts in the place of %s.  `out` of both.
local function edit(name, script, before, after, out, again, wanted)
   on(name, function()
      local function of(text)
         return (script:gsub("%%s", function() return text end))
      end
      local first, second = run(of(before)), run(of(after))
      t.equal(first.status, 0, first.err)
      t.equal(second.status, 0, second.err)
      t.equal(second.ran, again, second.err)
      t.equal(first.out, out, first.err)
      t.equal(second.out, wanted, second.err)
   end)
end

-- The task runs again.
local function again(name, script, before, after, first, second)
   edit(name, script, before, after, first, "1", second)
end

-- It does not.
local function same(name, script, before, after, out)
   edit(name, script, before, after, out, "", out)
end

-- Constants of Lua 5.4: the compiler makes them part of the code ------------------

if _VERSION == "Lua 5.4" then
   again("a constant", [[
      local K <const> = %s
      run(function(x) ran(x) return x * K end, 1)
   ]], "5", "6", "5", "6")
   again("a constant of constants", [[
      local A <const> = %s
      local B <const>, K <const> = 1, A * 2
      run(function(x) ran(x) return x * K end, 1)
   ]], "5", "6", "10", "12")
   again("the last of several, behind a call", [[
      local f <const>, K <const> = tostring(1) .. (function() if true then return 1 end end)(), %s
      run(function(x) ran(x) return x * K end, 1)
   ]], "5", "6", "5", "6")
   again("a constant in a nested function", [[
      local function outer()
         local K <const> = %s
         return function(x)
            ran(x)
            return (function() return K end)()
         end
      end
      run(outer(), 1)
   ]], "'a'", "'b'", "a", "b")
   again("a constant of a function that is reached", [[
      local K <const> = %s
      local function inner() return K end
      run(function(x) ran(x) return inner() end, 1)
   ]], "true", "false", "true", "false")
   again("a constant inside of another", [[
      local K <const> = 1
      do
         local K <const> = %s
         run(function(x) ran(x) return K end, 1)
      end
   ]], "5", "6", "5", "6")
   again("a constant is seen in the condition of its loop", [[
      local function f()
         repeat
            local K <const> = %s
         until (function() _G.g = function(x) ran(x) return K end return true end)()
      end
      f()
      run(g, 1)
   ]], "5", "6", "5", "6")
   same("a constant that it does not name", [[
      local K <const> = %s local L <const> = 3
      run(function(x) ran(x) return x * L end, 1)
   ]], "5", "6", "3")
   same("a constant declared behind it", [[
      local function f(x) ran(x) return K end
      local K <const> = %s
      run(f, 1)
   ]], "5", "6", "nil")
   same("a constant of another block", [[
      if ran then local K <const> = %s else local K <const> = 1 end
      do local K <const> = %s end
      local K <const> = 1
      run(function(x) ran(x) return K end, 1)
   ]], "5", "6", "1")
   same("a constant moves", [[
      %s
      run(function(x) ran(x) return K end, 1)
   ]], "local K <const> = 1", "do local L = 1 end\n local K <const> -- so it is\n = 1", "1")
   same("a constant table counts by its value", [[
      local T <const> = { 1, %s }
      print(%s)
      run(function(x) ran(x) return T[2] end, 1)
   ]], "2", "1 + 1", "2\n2")
   again("constants in functions that share a line", [[
      local K <const>, L <const> = %s, 6
      local f, g = function(x) ran(x) return x * K end, function(x) return x * L end
      run(f, 1) run(g, 2)
   ]], "5", "7", "5\n12", "7\n12")
   on("a constant of a module", function()
      local script = [[
         local tool = require "tool"
         run(function(x) ran(x) return tool.get() end, 1)
      ]]
      local module = [[
         local K <const> = %d
         return { get = function() return K end }
      ]]
      t.write(dir .. "/tool.lua", module:format(5))
      t.equal(run(script).out, "5")
      t.write(dir .. "/tool.lua", module:format(6))
      t.equal(run(script).out, "6")
   end)
end

-- Modules ------------------------------------------------------------------------

-- The script, which prints `first`; then with another tool.lua, and `second`.
local function module(name, script, text, first, second)
   on(name, function()
      for i, number in ipairs { 1, 2 } do
         t.write(dir .. "/tool.lua", (text:gsub("%%s", number)))
         local got = run(script)
         t.equal(got.status, 0, got.err)
         t.equal(got.out, i == 1 and first or second, got.err)
      end
      local got = run(script)
      t.equal(got.ran, "", got.err)
      t.equal(got.out, second)
   end)
end

local class = [[
   local Tool = {}
   Tool.__index = Tool
   function Tool.new() return setmetatable({}, Tool) end
   function Tool:get() return %s end
   return Tool
]]
module("the class of an argument", [[
   run(function(x, tool) ran(x) return tool:get() end, 1, require("tool").new())
]], class, "1", "2")
module("the class of what a future gives", [[
   local tool = flow.pool():submit(function() return require("tool").new() end)
   run(function(x, tool) ran(x) return tool:get() end, 1, tool)
]], class, "1", "2")
module("the class of a shared value", [[
   local tool = flow.share(require("tool").new())
   run(function(x, tool) ran(x) return tool:get():get() end, 1, tool)
   local late = flow.pool():submit(function() return flow.share(tool:get()) end)
   run(function(x, tool) ran(x) return tool:get():get() end, 1, late)
]], class, "1\n1", "2\n2")

on("a future's class of a module that nobody named", function()
   local script = [[
      local name = "tool"
      local tool = flow.pool():submit(function() return require(name).new() end)
      run(function(x, tool) ran(x) return tool:get() end, 1, tool)
   ]]
   for i = 1, 2 do
      t.write(dir .. "/tool.lua", (class:gsub("%%s", i)))
      t.equal(run(script).out, tostring(i))
   end
end)

on("what several modules hold has one name", function()
   t.write(dir .. "/class.lua", class:gsub("%%s", "1"))
   local all = "local C = require 'class' return { "
   for i = 1, 9 do all = all .. ("C%d = C, new%d = C.new, "):format(i, i) end
   for i = 1, 9 do t.write(("%s/m%d.lua"):format(dir, i), all .. "}") end
   t.write(dir .. "/alias.lua", "return require('m9').C3")
   local script = [[
      local list = {}
      for i = 1, 9 do list[i] = require("m" .. i) end
      local C, new = require "alias", list[4].new7
      run(function(x) ran(x) return C and new():get() end, 1)
   ]]
   t.equal(run(script).out, "1")
   for _ = 1, 4 do t.equal(run(script).ran, "") end
end)

-- Values -------------------------------------------------------------------------

again("a shared value", [[
   local s = flow.share { %s }
   run(function(x) ran(x) return s:get()[1] end, 1)
]], "5", "6", "5", "6")
again("a shared value in another, as an argument", [[
   local s = flow.share(flow.share { %s })
   run(function(x, s) ran(x) return s:get():get()[1] end, 1, s)
]], "5", "6", "5", "6")
same("a shared value made in another way", [[
   local s = flow.share { %s }
   run(function(x, s) ran(x) return s:get()[1] end, 1, s)
]], "a = 1, 5", "5, a = 2 - 1", "5")
again("a function in a shared value", [[
   local s = flow.share(function() return %s end)
   run(function(x) ran(x) return s:get()() end, 1)
]], "5", "6", "5", "6")
again("a version first does not hide it", [[
   local s = flow.share(function() return %s end)
   local p = flow.pool()
   p:with { version = "1" }:submit(function(s) return s:get()() end, s):result()
   run(function(x, s) ran(x) return s:get()() end, 1, s)
]], "5", "6", "5", "6")
same("tables as keys of tables", [[
   local T, U = {}, {} -- %s
   for i = 1, 20 do T[{}], U[{ i }], U[{}] = i, true, { i } end
   run(function(x, U) ran(x) local n = 0 for _, v in pairs(T) do n = n + v end return n end, 1, U)
]], "once", "more", "210")
same("functions as keys of tables", [[
   local T = {} -- %s
   for i = 1, 20 do T[function() return ran end] = i end
   run(function(x) ran(x) local n = 0 for _, v in pairs(T) do n = n + v end return n end, 1)
]], "once", "more", "210")
same("a graph whose nodes are keys", [[
   local nodes = {} -- %s
   for i = 1, 30 do nodes[i] = { id = i, near = {} } end
   for _, a in ipairs(nodes) do
      for _, b in ipairs(nodes) do a.near[b] = a.id * b.id end
   end
   run(function(x, nodes) ran(x) return nodes[2].near[ nodes[3] ] end, 1, nodes)
]], "once", "more", "6")
again("an edge of such a graph", [[
   local nodes = {}
   for i = 1, 30 do nodes[i] = { id = i, near = {} } end
   for i = 2, 30 do nodes[i].near[ nodes[i - 1] ] = i end
   nodes[20].near[ nodes[19] ] = %s
   run(function(x, nodes) ran(x) return nodes[20].near[ nodes[19] ] end, 1, nodes)
]], "5", "6", "5", "6")

-- What workers run first -------------------------------------------------------------

for _, kind in ipairs { "threads", "forks" } do
   again("init of " .. kind, ([[
      local p = flow.KIND { workers = 1, init = function() package.loaded.scale = %s end }
      print(p:submit(function(x) ran(x) return package.loaded.scale end, 1):result())
   ]]):gsub("KIND", kind), "5", "6", "5", "6")
   again("an upvalue of init of " .. kind, ([[
      local scale = %s
      local p = flow.KIND { workers = 1, init = function() package.loaded.scale = scale end }
      p = p:with { version = "1", journal = flow.journal("k") }
      print(p:submit(function(x) ran(x) return package.loaded.scale end, 1):result())
   ]]):gsub("KIND", kind), "5", "6", "5", "6")
   same("init of " .. kind .. ", and a version", ([[
      local p = flow.KIND { workers = 1, init = function() package.loaded.scale = %s end }
      p = p:with { version = "1" }
      print(p:submit(function(x) ran(x) return package.loaded.scale end, 1):result())
   ]]):gsub("KIND", kind), "5", "6", "5")
   module("a module in init of " .. kind, ([[
      local p = flow.KIND { workers = 1, init = function() require("tool").prepare() end }
      print(p:submit(function(x) ran(x) return package.loaded.scale end, 1):result())
   ]]):gsub("KIND", kind),
      "return { prepare = function() package.loaded.scale = %s end }", "1", "2")
   on("init of a pool of a task of " .. kind, function()
      local script = [[
         local function inner(x) ran(x) return package.loaded.scale end
         print(flow.pool():submit(function(n)
            local p = flow.KIND { workers = 1, init = function() package.loaded.scale = n end }
            return p:submit(inner, 1):result()
         end, %d):result())
      ]]
      script = script:gsub("KIND", kind)
      t.equal(run(script:format(5)).out, "5")
      t.equal(run(script:format(6)).out, "6")
      t.equal(run(script:format(6)).ran, "")
   end)
end

-- In place of sources: the version ---------------------------------------------------

edit("a version stands for functions among arguments", [[
   local function f() return %s end
   local pool = flow.pool():with { version = "1" }
   print(pool:submit(function(x, f) ran(x) return f() end, 1, f):result())
]], "5", "6", "5", "", "5")
same("a version stands for the source that an argument has not", [[
   local f = (loadstring or load)("return function() return %s end", "=made")()
   local pool = flow.pool():with { version = "1" }
   print(pool:submit(function(x, f) ran(x) return f() end, 1, f):result())
]], "5", "6", "5")

-- Files that change while the run goes on ---------------------------------------

on("a file that is written again, and loaded again", function()
   local script = [[
      _G.ran = ran
      local function put(n)
         local file = io.open("hot.lua", "w")
         file:write("return function(x) ran(x) return " .. n .. " end")
         file:close()
      end
      local old = dofile("hot.lua")
      run(old, 1)
      put(%d)
      run(dofile("hot.lua"), 2)
      run(function(x) return old(x) end, 3)
      put(1)
   ]]
   t.write(dir .. "/hot.lua", "return function(x) ran(x) return 1 end")
   t.equal(run(script:format(2)).out, "1\n2\n1")
   local second = run(script:format(3))
   t.equal(second.out, "1\n3\n1")
   t.equal(second.ran, "2")
end)

t.finish()
