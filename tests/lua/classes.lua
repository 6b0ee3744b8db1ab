-- classes.lua: objects, modules, 64-bit integers and text that is loaded.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, refused, fails, globals = kit.on, kit.refused, kit.fails, kit.globals

local function echo(...) return ... end

-- What comes back when the values are sent through a task.
local function sent(pool, ...) return pool:submit(echo, ...):result() end

-- Classes ---------------------------------------------------------------------

local Point = {}
Point.__index = Point
function Point.new(x, y) return setmetatable({ x = x, y = y }, Point) end
function Point:length() return math.sqrt(self.x ^ 2 + self.y ^ 2) end
function Point:moved(dx) return Point.new(self.x + dx, self.y) end
function Point.__add(a, b) return Point.new(a.x + b.x, a.y + b.y) end
function Point.__eq(a, b) return a.x == b.x and a.y == b.y end
function Point.__tostring(p) return ("(%g, %g)"):format(p.x, p.y) end

local Named = setmetatable({}, { __index = Point })
Named.__index = Named
function Named.new(name, x, y)
   local self = Point.new(x, y)
   self.name = name
   return setmetatable(self, Named)
end
function Named:title() return self.name .. " " .. self:length() end

on("objects keep their class", 1, function(pool)
   local future = pool:submit(function(p, q)
      return p:length(), tostring(p), getmetatable(p) == getmetatable(q),
         p == q, (p + q):length(), p:moved(1).x
   end, Point.new(3, 4), Point.new(3, 4))
   t.same({ future:result() }, { 5.0, "(3, 4)", true, true, 10.0, 4 })
   t.equal(pool:submit(Point.length, Point.new(6, 8)):result(), 10.0)
   local made = pool:submit(function(x) return Point.new(x, 0):moved(2) end,
      1):result()
   t.equal(made:length(), 3.0)
   t.equal(tostring(made), "(3, 0)")
   t.equal(pool:submit(function(n) return n:title() end,
      Named.new("end", 3, 4)):result(),
      "end " .. 5.0)
   t.equal(sent(pool, Named.new("end", 3, 4)):title(), "end " .. 5.0)
   local sums = pool:map(function(p) return (p + Point.new(1, 1)).x end,
      { a = Point.new(1, 1), b = Point.new(2, 2) })
   t.same(sums, { a = 2, b = 3 })
end)

on("a class that is a global, and __call", 1, function(pool)
   globals({ Account = setmetatable({}, { __call = function(class, balance)
      return setmetatable({ balance = balance }, class)
   end }) }, function()
      Account.__index = Account
      function Account:pay(n) self.balance = self.balance - n return self end
      function Account:paid() return Account(self.balance):pay(1).balance end
      t.equal(pool:submit(function(n) return Account(n):pay(3):paid() end,
         10):result(), 6)
      t.equal(pool:submit(Account.paid, Account(5)):result(), 4)
   end)
end)

on("metamethods never run on the way", 1, function(pool)
   local function boom() error("a metamethod ran") end
   local trap = setmetatable({ 1, 2, x = 3 }, {
      __index = boom, __newindex = boom, __len = boom, __pairs = boom,
      __ipairs = boom, __eq = boom, __tostring = boom, __call = boom,
      __concat = boom, __lt = boom, __name = "trap", __metatable = "locked" })
   local seen = pool:submit(function(v)
      return rawget(v, 1), rawget(v, 2), rawget(v, "x"), getmetatable(v),
         (pcall(function() return v.missing end))
   end, trap)
   t.same({ seen:result() }, { 1, 2, 3, "locked", false })
   local back = sent(pool, { trap, trap })
   t.equal(rawget(back[1], "x"), 3)
   t.ok(rawequal(back[1], back[2]))
   t.raises(function() return back[1].missing end, "a metamethod ran")
   t.equal(pool:submit(function() return rawget(trap, 2) end):result(), 2)
   t.equal(#pool:map(function(v) return rawget(v, 1) end, { trap, trap }), 2)
end)

on("__gc and __mode are refused", 1, function(pool)
   refused("unsendable", function()
      pool:submit(echo, { a = setmetatable({}, { __gc = function() end }) })
   end, "argument 1 .a")
   refused("unsendable", function()
      pool:submit(echo, 1, setmetatable({}, { __mode = "k" }))
   end, "argument 2")
   local weak = setmetatable({}, { __mode = "v" })
   refused("unsendable", function()
      pool:submit(function() return weak end)
   end, "upvalue weak")
   fails("unsendable", pool:submit(function()
      return setmetatable({}, { __mode = "k" })
   end))
end)

-- Modules and C functions -----------------------------------------------------

-- A directory of modules on package.path while the body runs.
local function modules(files, body)
   local dir, remove = t.directory()
   for name, text in pairs(files) do t.write(dir .. "/" .. name .. ".lua",
      text) end
   local path = package.path
   local ok, err = pcall(body, function()
      package.path = dir .. "/?.lua;" .. path
   end, dir)
   package.path = path
   for name in pairs(files) do package.loaded[name] = nil end
   remove()
   if not ok then error(err, 0) end
end

local SHAPES = [[
   local shapes = { unit = "mm", loads = 0 }
   local private = 10
   function shapes.double(x) return x * 2 end
   function shapes.count() private = private + 1 return private end
   return shapes
]]

on("modules travel by name", 1, function(pool)
   modules({ flowtest_shapes = SHAPES }, function(extend)
      pool:submit(echo, 1):result() -- the worker is older than the path
      extend()
      local shapes = require "flowtest_shapes"
      shapes.unit = "changed by the script"
      shapes.count()
      t.equal(pool:submit(function() return shapes.unit end):result(), "mm")
      t.equal(pool:submit(function(x) return shapes.double(x) end, 4):result(),
         8)
      t.equal(pool:submit(function() return shapes.count() end):result(), 11)
      t.equal(pool:submit(shapes.double, 21):result(), 42)
      t.equal(pool:submit(function()
         return require("flowtest_shapes").double(3)
      end):result(), 6)
      t.equal(pool:submit(function()
         return shapes == require("flowtest_shapes")
      end):result(), true)
      t.equal(pool:submit(function(m) return m.double(5) end, shapes):result(),
         10)
      globals({ MODULE = shapes }, function()
         t.equal(pool:submit(function() return MODULE.double(6) end):result(),
            12)
      end)
      t.ok(sent(pool, shapes) == shapes)
   end)
end)

on("a module that fails over there fails the task", 1, function(pool)
   modules({ flowtest_once = [[
      if LOADED_ALREADY then error("not twice") end
      return {}
   ]] }, function(extend, dir)
      extend()
      local once = require "flowtest_once"
      t.write(dir .. "/flowtest_once.lua", "error('no such table')")
      local ok, err = pool:submit(function() return once end):try()
      t.equal(ok, false)
      t.match(err.message, "flowtest_once")
      t.equal(sent(pool, 5), 5)
   end)
end)

on("the module flowrun in a task", 1, function(pool)
   t.equal(pool:submit(function() return flow.attempt() end):result(), 1)
   t.equal(pool:submit(function()
      return type(require("flowrun").gather) .. #flow.split(1, 10, 5)
   end):result(), "function5")
end)

on("library functions travel by name", 1, function(pool)
   t.equal(pool:submit(math.max, 3, 9, 4):result(), 9)
   t.same(pool:map(math.abs, { -1, b = -2 }), { 1, b = 2 })
   t.equal(pool:submit(function(f, x) return f(x) end, math.floor,
      2.7):result(), 2)
   local format, insert = string.format, table.insert
   t.equal(pool:submit(function()
      local list = {}
      insert(list, format("%03d", 7))
      return list[1]
   end):result(), "007")
   local m, s = math, string
   t.equal(pool:submit(function() return m == math
      and s == string end):result(), true)
   t.ok(sent(pool, math.floor) == math.floor)
   t.ok(sent(pool, os.time) == os.time)
   local a, b = sent(pool, { string.rep, { coroutine.wrap } }, table.sort)
   t.ok(a[1] == string.rep and a[2][1] == coroutine.wrap and b == table.sort)
end)

-- flow.int --------------------------------------------------------------------

local function int_text(n) return ("%d"):format(n) end

on("flow.int is 64 bits everywhere", 1, function(pool)
   local big = flow.int(2 ^ 53) + 1
   t.equal(int_text(big), "9007199254740993")
   t.equal(int_text(sent(pool, big)), "9007199254740993")
   t.equal(int_text(sent(pool, { n = big }).n), "9007199254740993")
   t.equal(int_text(pool:submit(function() return big + 1 end):result()),
      "9007199254740994")
   t.ok(sent(pool, big) == big)
   t.ok(sent(pool, flow.int(-1)) == flow.int(-1))
   t.equal(int_text(pool:submit(function(n) return flow.int(n) * n end,
      3037000499):result()),
      "9223372030926249001")
   globals({ BIG = big }, function()
      t.equal(int_text(pool:submit(function() return BIG end):result()),
         "9007199254740993")
   end)
   kit.misuse(function() flow.int("x") end, "int")
   kit.misuse(function() flow.int(0.5) end, "int")
   kit.misuse(function() flow.int() end, "int")
end)

on("a sum beyond 2^53 is exact", 2, function(pool)
   local function sum(range)
      local total = flow.int(0)
      for i = range.first, range.last do total = total + i end
      return total
   end
   local total = flow.int(0)
   for _, part in ipairs(pool:map(sum, flow.split(990000000, 999999999, 10))) do
      total = total + part
   end
   t.equal(int_text(total), "9949999995000000")
end)

-- Text only -------------------------------------------------------------------

-- Each way to load bytecode, and what it came to: "refused" or what went wrong.
local function load_bytecode(dir)
   local code = string.dump(function() return 42 end)
   local path = dir .. "/flowtest_binary.lua"
   local file = assert(io.open(path, "wb"))
   file:write(code)
   file:close()
   local ways = {}
   local function judge(name, loaded, message)
      local told = not loaded and tostring(message):find("binary", 1, true)
      ways[name] = told and "refused" or tostring(loaded) .. " "
         .. tostring(message)
   end
   judge("load", load(code))
   judge("load of mode b", load(code, "=x", "b"))
   judge("load of mode bt", load(code, "=x", "bt"))
   local given = false
   judge("load of a reader", load(function()
      if given then return nil end
      given = true
      return code
   end))
   if loadstring then judge("loadstring", loadstring(code)) end
   judge("loadfile", loadfile(path))
   judge("loadfile of mode b", loadfile(path, "b"))
   judge("dofile", pcall(dofile, path))
   package.path = dir .. "/?.lua"
   judge("require", pcall(require, "flowtest_binary"))
   return ways
end

local function all_refused(ways)
   local n = 0
   for name, came in pairs(ways) do
      t.equal(came, "refused", name)
      n = n + 1
   end
   t.ok(n >= 8)
end

on("bytecode is refused in a task", 1, function(pool)
   local dir, remove = t.directory()
   local ways = pool:submit(load_bytecode, dir):result()
   remove()
   all_refused(ways)
end)

t.test("bytecode is refused in the script", function()
   local dir, remove = t.directory()
   local path = package.path
   local ways = load_bytecode(dir)
   package.path = path
   remove()
   all_refused(ways)
end)

on("text is loaded in a task", 1, function(pool)
   t.same({ pool:submit(function()
      local ok, message = load("return +", "=chunk")
      local parts, i = { "return ", "8" }, 0
      local function reader()
         i = i + 1
         return parts[i]
      end
      return load("return math.floor(2.5)")(),
         load("return y", "=y", "t", { y = 3 })(),
         ok == nil and message:match("^chunk:1:") ~= nil, load(reader)()
   end):result() }, { 2, 3, true, 8 })
   t.equal(pool:submit(function()
      load("answer = 42")()
      return answer
   end):result(), 42)
   local path = os.tmpname()
   t.write(path, "#!/usr/bin/env flowrun\nlocal a = ... return a, 'file'")
   t.same({ pool:submit(function(p)
      return loadfile(p)(5), select(2, dofile(p))
   end, path):result() }, { 5, "file" })
   os.remove(path)
end)

return t.finish()
