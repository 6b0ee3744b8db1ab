-- functions.lua: functions that travel, and the globals that they read.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, refused, fails, globals = kit.on, kit.refused, kit.fails, kit.globals
local unpack = table.unpack or unpack
local compile = loadstring or load
local lua54 = math.type ~= nil

local function echo(...) return ... end

-- What comes back when the values are sent through a task.
local function sent(pool, ...) return pool:submit(echo, ...):result() end

-- Functions -------------------------------------------------------------------

on("recursion, also mutual", 1, function(pool)
   local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
   local even, odd
   function even(n) if n == 0 then return true end return odd(n - 1) end
   function odd(n) if n == 0 then return false end return even(n - 1) end
   t.equal(pool:submit(factorial, 10):result(), 3628800)
   t.equal(pool:submit(even, 10):result(), true)
   t.equal(pool:submit(even, 11):result(), false)
   local object = {}
   function object.count(n) return n == 0 and 0 or 1 + object.count(n - 1) end
   t.equal(pool:submit(object.count, 7):result(), 7)
   t.equal(pool:submit(function(f, n) return f(n) end, factorial, 5):result(),
      120)
end)

on("functions that share an upvalue go on sharing it", 1, function(pool)
   local value = 1
   local function set(v) value = v end
   local function get() return value end
   local future = pool:submit(function()
      set(5)
      local first = get()
      value = value + 1
      return first, get(), value
   end)
   t.same({ future:result() }, { 5, 6, 6 })
   t.equal(value, 1)
   local by_argument = pool:submit(function(s, g) s(9) return g() end, set, get)
   t.equal(by_argument:result(), 9)
   local pair = pool:submit(function()
      local n = 0
      return { up = function() n = n + 1 end, read = function() return n end }
   end):result()
   pair.up()
   pair.up()
   t.equal(pair.read(), 2)
end)

on("functions inside tables, as arguments and as results", 1, function(pool)
   local operations = { add = function(a, b) return a + b end,
                        more = { function(a) return -a end } }
   t.equal(pool:submit(function(o) return o.add(2, 3) end, operations):result(),
      5)
   t.equal(pool:submit(function() return operations.more[1](4) end):result(),
      -4)
   local maker = pool:submit(function(n)
      return function(m) return n * m end
   end, 6)
   t.equal(maker:result()(7), 42)
   local back = sent(pool, operations)
   t.equal(back.add(1, 1), 2)
   t.equal(sent(pool, function(...) return select("#", ...), ... end)(nil, 2),
      2)
end)

on("two hundred locals, many upvalues, many constants", 1, function(pool)
   local source = { "local up = ... return function() local sum = 0 " }
   for i = 1, 190 do source[#source + 1] = ("local v%d = %d "):format(i, i) end
   for i = 1, 190 do source[#source + 1] = ("sum = sum + v%d "):format(i) end
   source[#source + 1] = "return sum + up end"
   local big = assert(compile(table.concat(source), "@big.lua"))(1)
   t.ok(pool:submit(big):result() == 190 * 191 / 2 + 1)

   source = {}
   for i = 1, 50 do source[#source + 1] = ("local u%d = %d "):format(i, i) end
   source[#source + 1] = "return function() return 0"
   for i = 1, 50 do source[#source + 1] = ("+ u%d "):format(i) end
   source[#source + 1] = "end"
   local closed = assert(compile(table.concat(source), "@closed.lua"))()
   t.ok(pool:submit(closed):result() == 50 * 51 / 2)
end)

on("globals after more than 256 constants", 1, function(pool)
   local source = { "return function() local list = {} " }
   for i = 1, 700 do
      source[#source + 1] = ("list[%d] = 'constant %d' "):format(i, i)
   end
   source[#source + 1] = "LATE_SET = 1 "
   source[#source + 1] = "return LATE, late_helper(2), list[700], "
      .. "_G.LATE_FIELD, math.abs(-1) end"
   local late = assert(compile(table.concat(source), "@late.lua"))()
   globals({ LATE = "late", LATE_FIELD = "field",
             late_helper = function(n) return n * LATE_FACTOR end,
             LATE_FACTOR = 21 }, function()
      t.same({ pool:submit(late):result() },
         { "late", 42, "constant 700", "field", 1 })
      t.equal(rawget(_G, "LATE_SET"), nil)
   end)
end)

on("varargs, method syntax, closures made in the task", 1, function(pool)
   local function sum(...)
      local total = 0
      for i = 1, select("#", ...) do total = total + (select(i, ...)) end
      return total, ...
   end
   t.same({ pool:submit(sum, 1, 2, 3):result() }, { 6, 1, 2, 3 })
   t.equal(pool:submit(function()
      local list = {}
      for i = 1, 3 do list[i] = function() return i end end
      return list[1]() + list[2]() + list[3]()
   end):result(), 6)
   t.equal(pool:submit(function() return ("abc"):upper():rep(2) end):result(),
      "ABCABC")
end)

on("coroutines inside a task", 1, function(pool)
   t.equal(pool:submit(function()
      local function numbers(n)
         return coroutine.wrap(function()
            for i = 1, n do coroutine.yield(i) end
         end)
      end
      local sum = 0
      for i in numbers(4) do sum = sum + i end
      local co = coroutine.create(function() error("inside") end)
      local ok, message = coroutine.resume(co)
      return (ok and "no" or message:match("inside$")) .. sum
   end):result(), "inside10")
end)

-- Globals ---------------------------------------------------------------------

on("the globals that a function reads go along", 1, function(pool)
   globals({ RATE = 3, TABLE = { n = 4, list = { 5 } }, NO = false,
             double = function(x) return x * 2 end,
             rated = function(x) return double(x) * RATE end }, function()
      t.equal(pool:submit(function() return RATE end):result(), 3)
      t.equal(pool:submit(function()
         return TABLE.n + TABLE.list[1]
      end):result(), 9)
      t.equal(pool:submit(function() return NO end):result(), false)
      t.equal(pool:submit(function(x) return rated(x) end, 5):result(), 30)
      t.equal(pool:submit(rated, 5):result(), 30)
      t.equal(pool:submit(function() return _G.RATE end):result(), 3)
      t.equal(pool:submit(function() return _G.double(_G.TABLE.n) end):result(),
         8)
      t.equal(pool:submit(function()
         return (function() return (function() return RATE end)() end)()
      end):result(), 3)
      local function helper() return RATE + 1 end
      t.equal(pool:submit(function() return helper() end):result(), 4)
      t.equal(pool:submit(function(f) return f() end, helper):result(), 4)
      t.equal(pool:submit(function(o) return o.f() end,
         { f = helper }):result(), 4)
      t.equal(pool:submit(function()
         return function() return RATE end
      end):result()(), 3)
      t.same(pool:map(function(x) return x * RATE end, { 1, 2 }), { 3, 6 })
   end)
end)

on("global functions that call each other and themselves", 1, function(pool)
   globals({ fib = function(n) return n < 2 and n
      or fib(n - 1) + fib(n - 2) end,
             ping = function(n) return n == 0 and "ping" or pong(n - 1) end,
             pong = function(n) return n == 0 and "pong" or ping(n - 1) end,
           }, function()
      t.equal(pool:submit(fib, 15):result(), 610)
      t.equal(pool:submit(ping, 5):result(), "pong")
   end)
end)

on("assigning to a global stays over there", 1, function(pool)
   globals({ COUNT = 1 }, function()
      t.equal(pool:submit(function()
         COUNT = COUNT + 1
         CREATED = 5
         return COUNT + CREATED
      end):result(), 7)
      t.equal(COUNT, 1)
      t.equal(rawget(_G, "CREATED"), nil)
      t.equal(pool:submit(function() return type(CREATED) end):result(), "nil")
   end)
   t.equal(pool:submit(function()
      _G.mine = 6
      return mine + _G.mine
   end):result(), 12)
end)

on("a global that is not there is nil", 1, function(pool)
   t.equal(pool:submit(function() return NEVER_MADE == nil end):result(), true)
   local err = fails("error", pool:submit(function() return NEVER_MADE.x end))
   t.match(err.message, "NEVER_MADE")
end)

on("each function has globals of its own", 1, function(pool)
   globals({ NAME = "first" }, function()
      local first = pool:submit(function() return NAME end)
      NAME = "second"
      local second = pool:submit(function() return NAME .. "!" end)
      t.equal(first:result(), "first")
      t.equal(second:result(), "second!")
   end)
   t.equal(pool:submit(function() NAME = "left over" return NAME end):result(),
      "left over")
   t.equal(pool:submit(function() return tostring(NAME) .. "?" end):result(),
      "nil?")
end)

on("a task that clears its globals harms only itself", 1, function(pool)
   pool:submit(function()
      local names, remove = {}, rawset
      for name in pairs(_G) do names[#names + 1] = name end
      local all = _G
      for _, name in ipairs(names) do remove(all, name, nil) end
      string, table, print, error = nil, nil, nil, nil
   end):try()
   t.equal(pool:submit(function()
      return type(print) .. type(string.format) .. #table.concat({ "a", "b" })
   end):result(), "functionfunction2")
end)

on("a global that cannot travel is an error only where it is read", 1,
   function(pool)
   globals({ CONN = io.tmpfile(), WORKER = coroutine.create(print) }, function()
      local function use(really)
         if really then CONN:write("x") end
         return "spared"
      end
      t.equal(pool:submit(use, false):result(), "spared")
      local ok, err = pool:submit(use, true):try()
      t.equal(ok, false)
      t.match(err.message, "CONN")
      local _, other = pool:submit(function() return WORKER end):try()
      t.match(other.message, "WORKER")
      t.equal(pool:submit(function()
         CONN = "assigned first"
         return CONN
      end):result(), "assigned first")
   end)
end)

on("a field is not the global of the same name", 1, function(pool)
   local big = { io.tmpfile() }
   for i = 1, 200000 do big[#big + 1] = "item " .. i end
   globals({ items = big, sock = io.tmpfile(),
      close = coroutine.create(print) }, function()
      local record = { items = { 1, 2 }, sock = "s",
         close = function() return "c" end }
      t.same({ pool:submit(function(r) return #r.items, r.sock, r:close() end,
         record):result() },
         { 2, "s", "c" })
      t.equal(pool:submit(function() local items = 3 return items end):result(),
         3)
      t.equal(pool:submit(function() return ({ sock = 1 }).sock end):result(),
         1)
      t.equal(pool:submit(function() return "items" .. "sock" end):result(),
         "itemssock")
      for _ = 1, 200 do pool:submit(function(r) return r.items end, record) end
      pool:drain()
   end)
end)

on("globals that are library functions under another name", 1, function(pool)
   globals({ unpack_list = unpack, floor = math.floor, fmt = string.format },
      function()
      t.equal(pool:submit(function()
         return fmt("%d", floor(2.5)) .. select("#", unpack_list({ 1, 2 }))
      end):result(), "22")
   end)
end)

on("strict globals of the script are not disturbed", 1, function(pool)
   setmetatable(_G, { __index = function(_,
      name) error("undeclared " .. name) end,
                      __newindex = function(_,
                         name) error("undeclared " .. name) end })
   local ok, err = pcall(function()
      t.equal(pool:submit(function() return type(UNDECLARED) end):result(),
         "nil")
      t.equal(pool:submit(function() DECLARED = 1 return DECLARED end):result(),
         1)
   end)
   setmetatable(_G, nil)
   if not ok then error(err, 0) end
end)

on("an environment of its own travels", 1, function(pool)
   if lua54 then
      local f = load("local _ENV = { x = 7 } return function() return x end")()
      t.equal(pool:submit(f):result(), 7)
   else
      local f = setfenv(function() return x end, { x = 7 })
      local ok, future = pcall(pool.submit, pool, f)
      if ok then t.equal(future:result(), 7) else t.equal(future.kind,
         "unsendable") end
   end
end)

on("the globals table itself is the one over there", 1, function(pool)
   local all, library = _G, string
   t.equal(pool:submit(function()
      return all.print == print and all.string == string and library == string
   end):result(), true)
end)

-- init ------------------------------------------------------------------------

for _, kind in ipairs(kit.kinds) do
   t.test(kind .. ": init makes globals in every worker, once", function()
      local path, notes = kit.notes()
      local note, setting = kit.note, { deep = 7 }
      local pool = flow[kind] { workers = 1, init = function()
         note(path, "init")
         SETTING = setting.deep
         function from_init(x) return x + SETTING end
      end }
      t.equal(pool:submit(function() return SETTING end):result(), 7)
      t.equal(pool:submit(function(x) return from_init(x) end, 1):result(), 8)
      t.equal(pool:submit(function()
         return (function() return _G.SETTING end)()
      end):result(), 7)
      t.same(pool:map(function(x) return x + SETTING end, { 1, 2 }), { 8, 9 })
      pool:close()
      t.equal(notes(), "init")
   end)

   t.test(kind .. ": init may run commands, and use what is shared", function()
      local queue, lock = flow.queue(), flow.lock()
      local pool = flow[kind] { workers = 1, init = function()
         said = flow.exec { "echo", "hi" }.out
         lock:hold(function() queue:push(said) end)
      end }
      t.equal(pool:submit(function() return said end):result(), "hi\n")
      t.equal(queue:pop(), "hi\n")
      pool:close()
   end)

   t.test(kind .. ": what init made wins over a global that was shipped",
      function()
      globals({ SETTING = "script", OTHER = "script" }, function()
         local pool = flow[kind] { workers = 1,
            init = function() SETTING = "init" end }
         t.same({ pool:submit(function() return SETTING, OTHER end):result() },
            { "init", "script" })
         t.equal(SETTING, "script")
         pool:close()
      end)
   end)

   t.test(kind .. ": an init that raises fails the tasks, with its message",
      function()
      local pool = flow[kind] { workers = 2,
         init = function() error("no licence file") end }
      local futures = {}
      for i = 1, 5 do futures[i] = pool:submit(echo, i) end
      for i = 1, 5 do
         local ok, err = futures[i]:try()
         t.equal(ok, false)
         t.match(err.message, "no licence file")
      end
      pool:close()
   end)

   t.test(kind .. ": an init that cannot travel is refused", function()
      local file = io.tmpfile()
      refused("unsendable", function()
         flow[kind] { workers = 1, init = function() return file end }
      end, "upvalue file: userdata (FILE*)")
   end)
end

-- What others would notice ----------------------------------------------------

on("a task that breaks the methods of strings breaks only its own", 1,
   function(pool)
   local function breaks(how)
      local strings = getmetatable("")
      if how == "methods" then strings.__index = nil end
      if how == "others" then strings.__index = { rep = error } end
      if how == "metatable" then debug.setmetatable("", nil) end
      if how == "waits" then
         strings.__index = nil
         flow.sleep(0.01)
      end
      return pcall(function() return ("x"):rep(3) end)
   end
   local function after() return ("x"):rep(3), #(("a b"):gsub(" ", "")) end
   for _, how in ipairs { "methods", "others", "metatable" } do
      t.equal(pool:submit(breaks, how):result(), false)
      t.same({ pool:submit(after):result() }, { "xxx", 2 }, how)
   end
   t.same(pool:with { chunk = 1 }:map(breaks,
      { "methods", "none", "metatable", "none" }), { false, true, false, true })
   local waits = pool:submit(breaks, "waits")
   t.same({ pool:submit(after):result() }, { "xxx", 2 })
   waits:wait()
   t.same({ pool:submit(after):result() }, { "xxx", 2 })
end)

on("a hook that a task leaves behind is not called for the next", 1,
   function(pool)
   local hooked = pool:submit(function()
      debug.sethook(function() error("hooked", 0) end, "", 1)
      return "not reached"
   end)
   t.match(select(2, hooked:try()).message, "hooked")
   t.equal(pool:submit(function()
      local n = 0
      debug.sethook(function() n = n + 1 end, "l")
      n = n + 1
      return n > 1
   end):result(), true)
   t.equal(pool:submit(function()
      local n = 0
      for i = 1, 100 do n = n + i end
      return n, debug.gethook()
   end):result(), 5050)
end)

return t.finish()
