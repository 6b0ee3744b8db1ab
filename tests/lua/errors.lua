-- errors.lua: what the script learns of a task that failed.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, refused, fails = kit.on, kit.refused, kit.fails

local function echo(...) return ... end

-- A future's error.
local function failure(future)
   local ok, err = future:try()
   t.equal(ok, false)
   t.equal(type(err), "table")
   return err
end

local function one_line(err, task)
   local text = tostring(err)
   t.equal(type(text), "string")
   t.ok(not text:find("\n"), text)
   t.ok(text:find(task, 1, true), text .. " names " .. task)
   return text
end

-- The error object ------------------------------------------------------------

for _, kind in ipairs(kit.kinds) do
   t.test(kind .. ": an error says what happened to which task", function()
      local pool = flow[kind] { workers = 1, name = "place" }
      local function inner() error("no elements") end
      local function solve() inner() return 1 end
      local err = failure(pool:with { name = "mesh 200" }:submit(solve))
      t.equal(err.kind, "error")
      t.match(err.message, "errors%.lua:%d+: no elements")
      t.match(err.traceback, "inner")
      t.match(err.traceback, "errors%.lua:%d+")
      t.equal(err.task, "mesh 200")
      t.equal(err.key, nil)
      t.equal(err.pool, "place")
      t.ok(err.attempts == 1 or type(err.attempts) == "table")
      t.equal(err.cause, nil)
      t.match(err.value, "no elements")
      t.match(one_line(err, "mesh 200"), "no elements")
      pool:close()
   end)
end

on("the key of an item of scatter and map", 1, function(pool)
   local function fail(word) error(word) end
   for _, key in ipairs { 3, "a b", 2.5, true } do
      local future = pool:scatter(fail, { [key] = "boom" })[key]
      t.equal(failure(future).key, key)
      local err = refused("error", function()
         pool:map(fail, { [key] = "boom" })
      end, "boom")
      t.equal(err.key, key)
   end
end)

on("the line of the error is that of the script", 1, function(pool)
   local line = t.here() + 1
   local future = pool:submit(function() local x = nil; return x.field end)
   t.match(failure(future).message, "errors%.lua:" .. line .. ":")
end)

on("one bad task costs no other", 2, function(pool)
   local futures = pool:scatter(function(i)
      if i % 3 == 0 then error("bad " .. i) end
      return i
   end, { 1, 2, 3, 4, 5, 6, 7, 8, 9 })
   for i, future in ipairs(futures) do
      if i % 3 == 0 then t.match(failure(future).message, "bad " .. i)
      else t.equal(future:result(), i) end
   end
end)

-- Error values ----------------------------------------------------------------

on("values of every type", 1, function(pool)
   local function raised(...)
      local err = failure(pool:submit(error, ...))
      t.equal(err.kind, "error")
      t.equal(type(err.message), "string")
      one_line(err, err.task)
      return err
   end
   local err = raised("text", 0)
   t.equal(err.value, "text")
   t.match(err.message, "text")
   t.equal(raised(42, 0).value, 42)
   t.match(raised(42, 0).message, "42")
   t.equal(raised(1.5, 0).value, 1.5)
   t.equal(raised(false).value, false)
   t.equal(raised(true).value, true)
   t.equal(raised(nil).value, nil)
   t.equal(raised().value, nil)
   t.same(raised({ code = 7, list = { 1 } }).value, { code = 7, list = { 1 } })
   t.equal(raised(echo).value(5), 5)
   t.equal(raised(math.floor).value, math.floor)
   t.equal(raised("", 0).value, "")
   t.equal(raised("a\0b", 0).value, "a\0b")
   t.equal(raised("\255\254", 0).value, "\255\254")
   local loop = {}
   loop.self = loop
   err = raised(loop)
   t.ok(err.value.self == err.value)
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("objects are shown by their __tostring, made safely", 1, function(pool)
   local function raised(meta, fields)
      return failure(pool:submit(function(m, f) error(setmetatable(f, m)) end,
         meta, fields or {}))
   end
   local err = raised({ __tostring = function(self) return "code "
      .. self.code end },
      { code = 7 })
   t.match(err.message, "code 7")
   t.equal(err.value.code, 7)
   t.equal(tostring(err.value), "code 7")
   for _, bad in ipairs {
      function() error("inside of __tostring") end,
      function() return nil end,
      function() return {} end,
      function(self) return "again " .. tostring(self) end,
   } do
      err = raised({ __tostring = bad })
      t.equal(err.kind, "error")
      t.equal(type(err.message), "string")
      t.equal(type(err.value), "table")
      one_line(err, err.task)
   end
   err = raised({ __index = function() error("inside of __index") end,
                  __metatable = "locked", __name = "Trap" })
   t.equal(err.kind, "error")
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("an error at the level of the engine has no place in it", 1, function(pool)
   local err = failure(pool:submit(function(x) error("need " .. x, 2) end, 1))
   t.equal(err.message, "need 1")
   t.equal(err.value, "need 1")
   err = failure(pool:submit(function() return error("last") end))
   t.ok(not err.message:find("flowrun/", 1, true), err.message)
   local ok, of_map = pcall(pool.map, pool, function() error("need", 2) end, { 1 })
   t.equal(ok, false)
   t.equal(of_map.message, "need")
end)

on("a table that was raised is shown by what is in it", 1, function(pool)
   local function message(value)
      return failure(pool:submit(function(v) error(v) end, value)).message
   end
   t.equal(message({ code = 42 }), "{code=42}")
   t.equal(message({ "bad \27[2J \194\155 mesh", { 1, 2 } }),
      '{"bad \\27[2J \\194\\155 mesh", {1, 2}}')
   t.equal(message({}), "{}")
   local loop = {}
   loop.self = loop
   t.equal(message(loop), "{self=...}")
   local many = {}
   for i = 1, 1000 do many[i] = string.rep("x", 100) end
   t.ok(#message(many) < 1000)
   local err = failure(pool:submit(function() error({ io.tmpfile() }) end))
   t.match(err.message, "table")
end)

on("a value that cannot travel is left out, its text is kept", 1, function(pool)
   local err = failure(pool:submit(function() error(io.tmpfile()) end))
   t.equal(err.kind, "error")
   t.equal(err.value, nil)
   t.match(err.message, "file")
   err = failure(pool:submit(function() error(coroutine.create(print)) end))
   t.equal(err.value, nil)
   t.match(err.message, "thread")
   err = failure(pool:submit(function() error({ file = io.tmpfile(),
      code = 5 }) end))
   t.equal(err.kind, "error")
   t.equal(type(err.message), "string")
   err = failure(pool:submit(function()
      error(setmetatable({ file = io.tmpfile() },
         { __tostring = function() return "disk" end }))
   end))
   t.match(err.message, "disk")
end)

on("messages of many lines, of control characters, very long ones", 1,
   function(pool)
   local err = failure(pool:submit(error, "first\nsecond\r\n\27[31mred", 0))
   t.equal(err.value, "first\nsecond\r\n\27[31mred")
   t.match(err.message, "first")
   one_line(err, err.task)
   err = failure(pool:submit(function() error(("x"):rep(1048576)) end))
   t.equal(err.kind, "error")
   t.match(err.message, "errors%.lua:%d+: xxxx")
   t.ok(#tostring(err) <= 1100000)
   err = failure(pool:with { name = "line\nbreak" }:submit(error, "x"))
   t.ok(not tostring(err):find("\n"))
end)

on("an error of another task, raised again", 1, function(pool)
   local err = failure(pool:submit(function()
      local _, inner = flow.pool():with { name = "inner" }:submit(error,
         "deep"):try()
      error(inner)
   end))
   t.equal(err.kind, "error")
   t.match(one_line(err, err.task), "deep")
   err = failure(pool:submit(function()
      flow.pool():with { name = "inner" }:submit(error, "deep"):result()
   end))
   t.match(one_line(err, err.task), "deep")
   local caught = failure(pool:submit(error, "first"))
   local ok, again = pcall(error, caught)
   t.equal(ok, false)
   t.ok(again == caught)
   local sent = pool:submit(function(e) return e.kind, tostring(e) end, caught)
   t.same({ sent:result() }, { "error", tostring(caught) })
end)

-- What Lua itself raises ------------------------------------------------------

on("errors of Lua: stack overflow, bad calls, patterns, memory of a string", 1,
   function(pool)
   local function down(n) return 1 + down(n + 1) end
   t.match(failure(pool:submit(down, 1)).message, "stack overflow")
   t.match(failure(pool:submit(function() return nil + 1 end)).message,
      "arithmetic")
   t.match(failure(pool:submit(function() return ("x"):bad() end)).message,
      "bad")
   t.match(failure(pool:submit(function()
      return ("a"):match(("(a*"):rep(40) .. (")"):rep(40))
   end)).kind, "error")
   t.match(failure(pool:submit(function() return setmetatable(1,
      {}) end)).message,
      "table expected")
   t.match(failure(pool:submit(string.rep)).message, "string expected")
   t.match(failure(pool:submit(function()
      return pcall(string.rep, "x", -1) and table.concat({ {} })
   end)).message, "concat")
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("errors inside of error handlers", 1, function(pool)
   t.equal(pool:submit(function()
      return (xpcall(error, function() error("again") end, "first"))
   end):result(), false)
   t.same({ pool:submit(function()
      return pcall(pcall, error, "nested")
   end):result() }, { true, false, "nested" })
   t.same({ pool:submit(function()
      return xpcall(function(...) return select("#", ...) end, debug.traceback,
         1, 2)
   end):result() }, { true, 2 })
end)

on("a bare yield in a task ends it, one way or the other", 1, function(pool)
   local future = pool:submit(function() return coroutine.yield(5) end)
   t.equal(future:wait(), true)
   future:try()
   t.equal(pool:submit(echo, "usable"):result(), "usable")
end)

on("misuse inside a task fails the task", 1, function(pool)
   local err = failure(pool:submit(function() flow.gather(5) return 1 end))
   t.equal(err.kind, "error")
   t.match(err.message, "errors%.lua:%d+:")
   err = failure(pool:submit(function() flow.pool():submit(5) return 1 end))
   t.match(err.message, "errors%.lua:%d+:.*function")
   t.equal(pool:submit(function()
      local file = io.tmpfile()
      local ok, e = pcall(function() flow.pool():submit(echo, file) end)
      return not ok and e.kind
   end):result(), "unsendable")
end)

on("the traceback goes through coroutines of the task", 1, function(pool)
   local err = failure(pool:submit(function()
      local function in_the_generator() error("stopped") end
      for _ in coroutine.wrap(function() in_the_generator() end) do end
   end))
   t.match(err.message, "stopped")
   t.equal(type(err.traceback), "string")
end)

-- os.exit ---------------------------------------------------------------------

on("os.exit in a task is a crash of that task, also with 0", 1, function(pool)
   for _, case in ipairs { { 0, 0 }, { 3, 3 }, { true, 0 }, { false, 1 },
      { nil, 0 } } do
      local before, after = pool:submit(echo, "before"), nil
      local gone = pool:with { name = "leaves" }:submit(function(code)
         if code == nil then os.exit() else os.exit(code) end
         return "not reached"
      end, case[1])
      after = pool:submit(echo, "after")
      local err = failure(gone)
      t.equal(err.kind, "crashed")
      t.equal(err.status, case[2])
      t.equal(err.signal, nil)
      t.equal(err.task, "leaves")
      t.equal(gone:state(), "failed")
      one_line(err, "leaves")
      t.equal(before:result(), "before")
      t.equal(after:result(), "after")
   end
end)

on("os.exit cannot be caught, and is found wherever it is", 1, function(pool)
   local function crashed(fn, status)
      local err = failure(pool:submit(fn))
      t.equal(err.kind, "crashed")
      t.equal(err.status, status)
   end
   crashed(function() pcall(os.exit, 4) return "went on" end, 4)
   crashed(function()
      pcall(function() pcall(os.exit, 5) end)
      while true do end
   end, 5)
   crashed(function() coroutine.wrap(function() os.exit(6) end)() return 1 end,
      6)
   crashed(function() os.exit(7, true) return 1 end, 7)
   local leave = os.exit
   crashed(function() leave(8) return 1 end, 8)
   crashed(os.exit, 0)
   crashed(function()
      table.sort({ 2, 1 }, function() os.exit(10) end)
      return 1
   end, 10)
   t.same(pool:map(echo, { 1, 2 }), { 1, 2 })
   local err = refused("crashed", function()
      pool:map(function(v) if v == 2 then os.exit(9) end return v end,
         { 1, 2, 3 })
   end)
   t.equal(err.status, 9)
   t.equal(err.key, 2)
end)

-- What a script shows ---------------------------------------------------------

t.test("an error that is not caught is the end of the script", function()
   local status, out, err = kit.run([[
      local flow = require "flowrun"
      local pool = flow.threads(1)
      local solver = pool:with { name = "mesh 200" }
      solver:submit(function() error("no elements") end):result()
      print("not reached")
   ]])
   t.equal(status, 1)
   t.equal(out, "")
   t.match(err, "mesh 200")
   t.match(err, "script%.lua:4: no elements")
end)

t.test("a script that raises cancels what is pending", function()
   local status, out, err = kit.run([[
      local flow = require "flowrun"
      local pool = flow.threads(1)
      for i = 1, 1000 do
         pool:submit(function()
            local x = 0
            for n = 1, 100000000 do x = x + n end
            print("ran to the end")
         end)
      end
      error("given up")
   ]], "", "")
   t.equal(status, 1)
   t.match(err, "script%.lua:10: given up")
   local _, count = out:gsub("ran", "")
   t.ok(count <= 2, out)
end)

t.test("os.exit of the script ends the run with that status", function()
   local status, out = kit.run([[
      local flow = require "flowrun"
      local pool = flow.threads(1)
      for i = 1, 1000 do
         pool:submit(function()
            for n = 1, 100000000 do end
            print("ran to the end")
         end)
      end
      os.exit(5)
   ]])
   t.equal(status, 5)
   local _, count = out:gsub("ran", "")
   t.ok(count <= 2, out)
end)

return t.finish()
