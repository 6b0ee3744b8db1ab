-- travel.lua: what travels to a worker and back, and what is refused.

local t = require "t"
local kit = require "kit"

local on, refused, fails, globals = kit.on, kit.refused, kit.fails, kit.globals
local unpack = table.unpack or unpack
local lua54 = math.type ~= nil

local function echo(...) return ... end

-- What comes back when the values are sent through a task.
local function sent(pool, ...) return pool:submit(echo, ...):result() end

-- Values ----------------------------------------------------------------------

on("nil, booleans and the number of values", 1, function(pool)
   t.equal(sent(pool, true), true)
   t.equal(sent(pool, false), false)
   t.equal(select("#", sent(pool)), 0)
   t.equal(select("#", sent(pool, nil)), 1)
   t.equal(select("#", sent(pool, nil, nil, nil)), 3)
   t.same({ sent(pool, 1, nil, false, nil, "x") }, { 1, nil, false, nil, "x" })
   local many = {}
   for i = 1, 200 do many[i] = i * 3 end
   t.same({ sent(pool, unpack(many)) }, many)
   t.equal(pool:submit(function(...) return select("#", ...) end, nil,
      nil):result(), 2)
end)

on("numbers of every size", 1, function(pool)
   local numbers, n = { 0, 1, -1, 0.1, -0.5, 1e308, -1e308, 5e-324, 1 / 3 }, 1
   for _ = 1, 62 do
      n = n * 2
      for _, near in ipairs { n - 1, n, n + 1, -n, 1 - n, n / 2 + 0.5 } do
         numbers[#numbers + 1] = near
      end
   end
   for i, number in ipairs(numbers) do
      t.equal((sent(pool, number)), number, "number " .. i)
   end
   t.same(sent(pool, numbers), numbers)
end)

on("integers stay integers, floats stay floats", 1, function(pool)
   if not lua54 then return end
   local numbers = { 1, 1.0, -1, -1.0, 2^53, 2^63, math.maxinteger,
      math.mininteger, math.maxinteger + 0.0, 1e15, 255, 256.0, 0, 0.0 }
   for i, number in ipairs(numbers) do
      t.equal((sent(pool, number)), number, "number " .. i)
   end
   t.same(sent(pool, numbers), numbers)
   local integers, floats = {}, {}
   for i = 1, 20 do integers[i], floats[i] = i, i + 0.0 end
   t.same(sent(pool, { integers, floats }), { integers, floats })
   local kinds = pool:submit(function(a, b) return math.type(a),
      math.type(b) end, 3, 3.0)
   t.same({ kinds:result() }, { "integer", "float" })
end)

on("-0.0, NaN and the infinities", 1, function(pool)
   local minus = -tonumber("0.0")
   local list = { 1.5, minus, 0 / 0, 1 / 0, -1 / 0, 2.5, minus, 3.5, 4.5, 5.5 }
   local back = sent(pool, list)
   t.equal(1 / sent(pool, minus), -1 / 0)
   t.equal(sent(pool, 1 / 0), 1 / 0)
   t.equal(sent(pool, -1 / 0), -1 / 0)
   local nan = sent(pool, 0 / 0)
   t.ok(nan ~= nan)
   t.equal(1 / back[2], -1 / 0)
   t.equal(1 / back[7], -1 / 0)
   t.ok(back[3] ~= back[3])
   t.equal(back[4], 1 / 0)
   t.equal(back[5], -1 / 0)
   t.equal(1 / sent(pool, { z = minus }).z, -1 / 0)
   t.equal(pool:submit(function(z) return 1 / z end, minus):result(), -1 / 0)
end)

on("strings of any bytes and any length", 1, function(pool)
   local bytes = {}
   for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
   local texts = { "", "\0", "a\0b\0", "\255\254\128", "\237\160\128",
      "\r\n\t\27[0m", table.concat(bytes), "1", "true", "nil" }
   for _, n in ipairs { 31, 32, 39, 40, 41, 63, 64, 127, 128, 191, 192, 255,
                        256, 16383, 16384, 65535, 65536, 1000001 } do
      texts[#texts + 1] = ("x"):rep(n)
   end
   for _, text in ipairs(texts) do
      t.ok(sent(pool, text) == text, "a string of " .. #text)
   end
   t.same(sent(pool, texts), texts)
   local keys = {}
   for i, text in ipairs(texts) do keys[text] = i end
   t.same(sent(pool, keys), keys)
end)

-- Tables ----------------------------------------------------------------------

on("tables: lists, holes, records, keys of every type", 1, function(pool)
   local function check(value) t.same(sent(pool, value), value) end
   check {}
   check { {}, { {} }, { { {} } } }
   check { 1, 2, 3 }
   check { 1, nil, 3, nil, nil, 6 }
   check { nil, 2 }
   check { [0] = "zero", [-1] = "minus", [1.5] = "half", [2^53] = "big" }
   check { [true] = 1, [false] = 0 }
   check { [""] = "empty", ["a b"] = 1, ["\0"] = 2, [1] = "n", ["1"] = "s" }
   check { 1, 2, x = 1, y = { z = { 3, 4, w = false } } }
   check { [1000000] = "far" }
   check { [1 / 0] = "inf", [-1 / 0] = "-inf" }
   local long, records = {}, {}
   for i = 1, 5000 do
      long[i] = i % 7 == 0 and "s" .. i or i / 2
      records["key " .. i] = { id = i, name = "n" .. i, ok = i % 2 == 0 }
   end
   check(long)
   check(records)
end)

on("shared parts stay shared", 1, function(pool)
   local part = { 1 }
   local back = sent(pool, { part, part, deep = { part } })
   t.ok(back[1] == back[2])
   t.ok(back[1] == back.deep[1])
   t.ok(back[1] ~= part)
   local a, b = sent(pool, part, { part })
   t.ok(a == b[1])
   t.equal(pool:submit(function(x, y) return x == y[1] end, part,
      { part }):result(), true)
   local key = { "key" }
   back = sent(pool, { key = key, [key] = "found" })
   t.equal(back[back.key], "found")
   local f = function() return 1 end
   back = sent(pool, { f, f })
   t.ok(back[1] == back[2])
end)

on("cyclic tables", 1, function(pool)
   local loop = { name = "loop" }
   loop.self, loop[1] = loop, { loop }
   local back = sent(pool, loop)
   t.ok(back.self == back)
   t.ok(back[1][1] == back)
   t.equal(back.name, "loop")
   local list = { n = 0 }
   local last = list
   for i = 1, 50 do
      last.next = { n = i, back = last }
      last = last.next
   end
   last.next = list
   local node = sent(pool, list)
   for i = 0, 50 do
      t.equal(node.n, i)
      if i > 0 then t.ok(node.back.next == node) end
      node = node.next
   end
   t.equal(node.n, 0)
   local inside = pool:submit(function(v) return v.self == v
      and v[1][1] == v end, loop)
   t.equal(inside:result(), true)
end)

on("a graph of 2^40 paths is 40 tables", 1, function(pool)
   local dag = { "leaf" }
   for _ = 1, 40 do dag = { dag, dag } end
   local back = sent(pool, dag)
   for _ = 1, 40 do
      t.ok(back[1] == back[2])
      back = back[1]
   end
   t.same(back, { "leaf" })
end)

on("nesting of 100 travels; of any depth it travels or is refused", 1,
   function(pool)
   local function nest(n)
      local deep = "bottom"
      for _ = 1, n do deep = { deep } end
      return deep
   end
   local back = sent(pool, nest(100))
   for _ = 1, 100 do back = back[1] end
   t.equal(back, "bottom")
   for _, n in ipairs { 150, 1000, 10000, 100000, 1000000 } do
      local ok, err = pcall(pool.submit, pool, type, nest(n))
      if ok then t.equal(err:result(), "table") else t.equal(err.kind,
         "unsendable") end
   end
   local function deep(n)
      local value = {}
      for _ = 1, n do value = { value } end
      return value
   end
   for _, n in ipairs { 1000, 100000 } do
      local ok, err = pool:submit(deep, n):try()
      t.ok(ok or err.kind == "unsendable", tostring(err))
   end
   local key, chain = {}, function() return 0 end
   for _ = 1, 10000 do key = { [key] = 1 } end
   for _ = 1, 10000 do
      local inner = chain
      chain = function() return inner end
   end
   for _, value in ipairs { key, chain } do
      local ok, err = pcall(pool.submit, pool, type, value)
      if ok then t.equal(err:result(), type(value)) else t.equal(err.kind,
         "unsendable") end
   end
   t.equal(sent(pool, "still here"), "still here")
end)

on("random trees", 1, function(pool)
   local state = 12345
   local function random(n)
      state = (state * 16807) % 2147483647
      return state % n
   end
   local leaves = {
      function() return random(2) == 0 end,
      function() return random(1000000) - 500000 end,
      function() return random(1000000) / 64 end,
      function() return ("s"):rep(random(50)) .. random(10) end,
   }
   local function tree(depth)
      local kind = random(depth > 0 and 7 or 4)
      if kind < 4 then return leaves[kind + 1]() end
      local node = {}
      for i = 1, random(6) do
         node[random(2) == 0 and i or "k" .. random(30)] = tree(depth - 1)
      end
      return node
   end
   local trees = {}
   for i = 1, 300 do trees[i] = tree(6) end
   for i, future in ipairs(pool:scatter(echo, trees)) do
      t.same(future:result(), trees[i], "tree " .. i)
   end
   t.same(pool:map(echo, trees), trees)
end)

-- Copies, as of submission ----------------------------------------------------

on("a task has copies", 1, function(pool)
   local argument, upvalue, count = { n = 1 }, { n = 1 }, 0
   local future = pool:submit(function(value)
      value.n, upvalue.n, count = 2, 2, count + 1
      value.new = upvalue
      return value, upvalue, count
   end, argument)
   local value, other, counted = future:result()
   t.same(argument, { n = 1 })
   t.same(upvalue, { n = 1 })
   t.equal(count, 0)
   t.same(value, { n = 2, new = { n = 2 } })
   t.same(other, { n = 2 })
   t.equal(counted, 1)
   other.n = 3
   t.equal(upvalue.n, 1)
end)

on("a map of one small item works on copies too", 2, function(pool)
   local seen, items = 0, { { n = 1 } }
   local back = pool:map(function(item)
      seen = seen + 1
      item.n = item.n + seen
      return item
   end, items)
   t.equal(back[1].n, 2)
   t.equal(items[1].n, 1)
   t.equal(seen, 0)
   t.ok(back[1] ~= items[1])
   globals({ SEEN = 0 }, function()
      pool:map(function() SEEN = SEEN + 1 end, { 1, 2 })
      t.equal(SEEN, 0)
   end)
end)

on("a task sees what was there when it was submitted", 1, function(pool)
   local upvalue, argument, scalar = { "old" }, { "old" }, "old"
   local function helper() return scalar end
   globals({ STATE = { "old" } }, function()
      local release = kit.hold(pool)
      local one = pool:submit(function(v)
         return upvalue[1], v[1], scalar, helper(), STATE[1]
      end, argument)
      local items = { { "old" }, { "old" } }
      local many = pool:scatter(function(v) return v[1] end, items)
      upvalue[1], argument[1], scalar, STATE = "new", "new", "new", { "new" }
      items[1][1], items[2] = "new", nil
      release()
      t.same({ one:result() }, { "old", "old", "old", "old", "old" })
      t.equal(many[1]:result(), "old")
      t.equal(many[2]:result(), "old")
   end)
end)

on("a change between two submits is seen by the second", 1, function(pool)
   local config, factor = { rate = 1, deep = { list = { 1 } } }, 1
   local helper = function() return factor end
   local function read() return config.rate, config.deep.list[1], factor,
      helper() end
   globals({ LEVEL = 1 }, function()
      local function level() return LEVEL, LEVEL_OF and LEVEL_OF() end
      local futures, levels, wanted = {}, {}, { 1, 2, 1, 3, 3, 1 }
      for i, n in ipairs(wanted) do
         config.rate, config.deep.list[1], factor, LEVEL = n, n, n, n
         futures[i], levels[i] = pool:submit(read), pool:submit(level)
      end
      for i, n in ipairs(wanted) do
         t.same({ futures[i]:result() }, { n, n, n, n })
         t.equal((levels[i]:result()), n)
      end
   end)
   helper = function() return "replaced" end
   t.equal(select(4, pool:submit(read):result()), "replaced")
   setmetatable(config, { __index = { extra = "by class" } })
   t.equal(pool:submit(function() return config.extra end):result(), "by class")
end)

on("a constant that was compiled in is not kept", 1, function(pool)
   local step = 3
   local function add()
      local sum = 0
      for _ = 1, 1000 do sum = sum + step end
      return sum
   end
   local function adder(n) return function()
      local sum = 0
      for _ = 1, 1000 do sum = sum + n end
      return sum
   end end
   for _, n in ipairs { 3, 5, 3, 7, 5 } do
      step = n
      for _ = 1, 3 do t.equal(pool:submit(add):result(), 1000 * n) end
      t.equal(pool:submit(adder(n)):result(), 1000 * n)
   end
end)

-- What cannot travel ----------------------------------------------------------

on("what cannot travel is refused with its path", 1, function(pool)
   local file = io.tmpfile()
   local conf = { log = { file = file } }
   local function helper() return file end
   refused("unsendable", function() pool:submit(echo, file) end,
      "argument 1: userdata (FILE*)")
   refused("unsendable", function() pool:submit(echo, 1,
      { conn = { sock = file } }) end,
      "argument 2 .conn.sock: userdata (FILE*)")
   refused("unsendable", function() pool:submit(echo,
      { list = { 1, 2, { file } } }) end,
      "argument 1 .list[3][1]: userdata (FILE*)")
   refused("unsendable", function() pool:submit(function() return file end) end,
      "upvalue file: userdata (FILE*)")
   refused("unsendable", function() pool:submit(function() return conf end) end,
      "upvalue conf .log.file: userdata (FILE*)")
   refused("unsendable",
      function() pool:submit(function() return helper() end) end,
      "file: userdata (FILE*)")
   refused("unsendable", function() pool:submit(echo, { call = helper }) end,
      "argument 1 .call")
   refused("unsendable", function()
      pool:submit(echo, nil, { co = coroutine.create(print) })
   end, "argument 2 .co: thread")
   refused("unsendable", function() pool:submit(echo,
      setmetatable({}, { __index = conf })) end,
      "userdata (FILE*)")
   refused("unsendable", function() pool:submit(echo, { [file] = 1 }) end,
      "argument 1")
   refused("unsendable", function() pool:submit(echo,
      string.gmatch("a", "a")) end,
      "argument 1: ")
   refused("unsendable", function() pool:submit(echo,
      { coroutine.wrap(print) }) end,
      "argument 1 [1]: ")
   file:close()
   refused("unsendable", function() pool:submit(echo, file) end,
      "argument 1: userdata (FILE*)")
   t.equal(sent(pool, "usable"), "usable")
   local stats = pool:stats()
   t.equal(stats.done, 1)
   t.equal(stats.failed, 0)
end)

on("a scatter with one item that cannot travel runs nothing", 2, function(pool)
   local path, notes = kit.notes()
   local note, file = kit.note, io.tmpfile()
   local function work(v, key) note(path, tostring(key)) return v end
   for _, verb in ipairs { "scatter", "map" } do
      for _, items in ipairs { { 1, 2, { deep = { file } } },
         { a = 1, z = { deep = { file } } } } do
         refused("unsendable", function() pool[verb](pool, work, items) end,
            ".deep[1]: userdata (FILE*)")
      end
      refused("unsendable", function()
         pool[verb](pool, function() return file end, { 1, 2 })
      end, "upvalue file: userdata (FILE*)")
   end
   pool:drain()
   t.equal(notes(), "")
   t.equal(pool:stats().done, 0)
   t.same(pool:map(echo, { 1, 2 }), { 1, 2 })
end)

on("a result that cannot travel fails the task", 1, function(pool)
   local err = fails("unsendable", pool:submit(function()
      return 1, { conn = { sock = io.tmpfile() } }
   end), ".conn.sock: userdata (FILE*)")
   t.ok(err.task)
   fails("unsendable",
      pool:submit(function() return coroutine.create(print) end), "thread")
   fails("unsendable", pool:submit(function()
      local file = io.tmpfile()
      return function() return file end
   end), "file: userdata (FILE*)")
   t.raises(function() pool:map(function() return io.tmpfile() end, { 1 }) end,
      "FILE")
   t.equal(sent(pool, "usable"), "usable")
end)

on("cdata", 1, function(pool)
   if lua54 then return end
   local ffi = require "ffi"
   refused("unsendable", function() pool:submit(echo,
      { ffi.new("double[2]") }) end,
      "argument 1 [1]: ")
   refused("unsendable", function() pool:submit(echo,
      ffi.new("uint64_t", 1)) end,
      "argument 1: ")
   t.ok(sent(pool, ffi.new("int64_t", -5)) == ffi.new("int64_t", -5))
   t.equal(pool:submit(function(bits) return require("bit").band(bits, 6) end,
      5):result(), 4)
end)

return t.finish()
