-- matrix.lua: whatever goes wrong in a worker process, wherever it does, costs
-- the task that did it and nothing else.
--
-- FLOWRUN_KILLS=10000 makes the test of random deaths that long (1,000).

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local fails, note = kit.fails, kit.note
local lua54 = _VERSION == "Lua 5.4"

local function on(name, workers, body)
   t.test(name, function()
      local pool = flow.forks(workers)
      local ok, err = pcall(body, pool)
      if not ok then pool:cancel() end
      pool:close()
      if not ok then error(err, 0) end
   end)
end

local function echo(...) return ... end

-- In a task: this process's number, also where the shell's is another's.
local function pid()
   local file = assert(io.open("/proc/self/stat"))
   local text = file:read("*l")
   file:close()
   return tonumber(text:match("^%d+"))
end

local function signal(name, number)
   os.execute("kill -" .. name .. " " .. (number or pid()))
end

-- In the main program: false when there is no such process, or only its
-- remains, which wait for whoever is its parent.
local function is_alive(number)
   local file = io.open("/proc/" .. number .. "/stat")
   if not file then return false end
   local text = file:read("*a") or ""
   file:close()
   local state = text:match("%) (%a)")
   return state ~= nil and state ~= "Z" and state ~= "X"
end

local function is_gone(number, note)
   local late = flow.now() + 20
   while is_alive(number) do
      if flow.now() > late then
         error("process " .. number .. " is still there " .. (note or ""), 2)
      end
      flow.sleep(0.002)
   end
end

-- Waits until the file has so many lines; gives them.
local function lines_of(path, n)
   local late = flow.now() + 20
   while true do
      local list = {}
      for line in t.read(path):gmatch("([^\n]+)\n") do
         list[#list + 1] = line
      end
      if #list >= (n or 1) then return list end
      if flow.now() > late then error("no " .. n .. " lines came", 2) end
      flow.sleep(0.002)
   end
end

-- Faults ----------------------------------------------------------------------

-- Each: what is done in the worker, and what is to be seen of it.
local faults = {
   { "error", function() error("wrong", 0) end, kind = "error" },
   { "os.exit()", function() os.exit() end, kind = "crashed", status = 0 },
   { "os.exit(0)", function() os.exit(0) end, kind = "crashed", status = 0 },
   { "os.exit(3)", function() os.exit(3) end, kind = "crashed", status = 3 },
   { "os.exit(true, true)", function() os.exit(true, true) end,
      kind = "crashed", status = 0 },
   { "os.exit(false, true)", function() os.exit(false, true) end,
      kind = "crashed", status = 1 },
   { "hang", function() while true do end end, kind = "timeout" },
   { "hang in C", function()
      return (("a"):rep(40)):find(("a*"):rep(40) .. "b")
   end, kind = "timeout" },
}

for number, name in pairs { [9] = "KILL", [11] = "SEGV", [6] = "ABRT",
                            [7] = "BUS", [8] = "FPE", [4] = "ILL",
                            [15] = "TERM" } do
   faults[#faults + 1] = { "SIG" .. name,
      function() signal(name) error("survived", 0) end,
      kind = "crashed", signal = number }
end

if jit then
   local function C(text)
      return "local ffi = require 'ffi' ffi.cdef[[ void abort(void); "
         .. "int raise(int); void exit(int); void _exit(int); ]] " .. text
   end
   local function run(text) return function() assert(loadstring(text))() end end
   for name, fault in pairs {
         ["ffi abort"] = { C "ffi.C.abort()", signal = 6 },
         ["ffi raise"] = { C "ffi.C.raise(11)", signal = 11 },
         ["ffi exit"] = { C "ffi.C.exit(4)", status = 4 },
         ["ffi _exit"] = { C "ffi.C._exit(5)", status = 5 },
         ["a null pointer"] = { C "return ffi.cast('int *', 8)[0]",
            signal = 11 },
   } do
      fault[2], fault[1], fault.kind = run(fault[1]), name, "crashed"
      faults[#faults + 1] = fault
   end
end

local function is_fault(err, fault)
   t.equal(type(err), "table", tostring(err))
   t.equal(err.kind, fault.kind, tostring(err))
   t.equal(err.signal, fault.signal, tostring(err))
   t.equal(err.status, fault.status, tostring(err))
end

-- One of the policy's attempts may hang: nothing else may take so long.
local function policy_of(fault)
   return fault.kind == "timeout" and { timeout = 0.3 } or {}
end

-- Stages ----------------------------------------------------------------------

-- Each gives items and a function; item 5 goes wrong where the stage says so.

-- In a task: functions that the codec must not call, as a metatable.
local function tripwires(fn)
   local meta = {}
   for _, name in ipairs { "__index", "__newindex", "__pairs", "__ipairs",
      "__len", "__eq", "__lt", "__le", "__tostring", "__call", "__concat",
      "__unm", "__add", "__close" } do
      meta[name] = fn
   end
   return meta
end

local function with_module(body, text)
   local dir, remove = t.directory()
   local path = package.path
   local word = dir:match("[^/]+$"):gsub("%W", "_")
   t.write(dir .. "/m" .. word .. ".lua", text)
   package.path = dir .. "/?.lua;" .. path
   local ok, err = pcall(body, "m" .. word)
   package.loaded["m" .. word] = nil
   package.path = path
   remove()
   if not ok then error(err, 0) end
end

local function check_others(name, futures, wanted)
   for key, future in pairs(futures) do
      if key ~= 5 then t.same(future:result(), wanted(key), name) end
   end
end

local function only_five(pool, fault, fn, before)
   local futures = pool:with(policy_of(fault)):scatter(fn,
      { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 })
   local ok, err = futures[5]:try()
   t.equal(ok, false, fault[1])
   is_fault(err, fault)
   t.equal(err.key, 5)
   t.equal(futures[5]:state(), "failed")
   check_others(fault[1], futures, function(key) return key * 2 end)
   t.equal(pool:submit(echo, 7):result(), 7)
end

for _, fault in ipairs(faults) do
   local misbehave = fault[2]

   on(fault[1] .. " in the body", 2, function(pool)
      only_five(pool, fault, function(x)
         if x == 5 then misbehave() end
         return x * 2
      end)
      t.equal(pool:stats().failed, 1)
      t.equal(pool:stats().done, 10)
   end)

   on(fault[1] .. " in a coroutine of the body", 1, function(pool)
      only_five(pool, fault, function(x)
         if x == 5 then
            local co = coroutine.wrap(function() misbehave() end)
            co()
         end
         return x * 2
      end)
   end)

   on(fault[1] .. " in a body that waits", 2, function(pool)
      local function work(x)
         flow.pool():submit(function() end):result()
         if x == 5 then misbehave() end
         return x * 2
      end
      local bad = pool:with(policy_of(fault)):scatter(work, { [5] = 5 })[5]
      local others = pool:scatter(work, { 1, 2, 3, 4 })
      local ok, err = bad:try()
      t.equal(ok, false)
      is_fault(err, fault)
      t.equal(err.key, 5)
      check_others(fault[1], others, function(key) return key * 2 end)
   end)

   on(fault[1] .. " in every body but one", 2, function(pool)
      local futures = pool:with(policy_of(fault)):scatter(function(x)
         if x == 5 then return "fine" end
         misbehave()
      end, { 1, 2, 3, 4, 5, 6 })
      t.equal(futures[5]:result(), "fine")
      for key, future in pairs(futures) do
         if key ~= 5 then
            local ok, err = future:try()
            t.equal(ok, false)
            is_fault(err, fault)
            t.equal(err.key, key)
         end
      end
      t.equal(pool:submit(echo, 7):result(), 7)
   end)

   -- The argument's decoding is where a module is first required.
   on(fault[1] .. " in a module that the argument needs", 1, function(pool)
      with_module(function(name)
         kit.globals({ misbehave_here = false }, function()
            local module = require(name)
            local function use(x) return function() return module.two * x end end
            local argument = use(5)
            local bad = pool:with(policy_of(fault)):submit(function(f)
               return f()
            end, argument)
            local good = pool:submit(echo, 4)
            local ok, err = bad:try()
            t.equal(ok, false, fault[1])
            is_fault(err, fault)
            t.equal(good:result(), 4)
            t.equal(pool:submit(echo, 6):result(), 6)
         end)
      end, ([[
         local file = io.open("/proc/self/stat")
         local pid = file:read("*l"):match("^%%d+")
         file:close()
         if pid ~= "%d" then %s end
         return { two = 2 }
      ]]):format(pid(), ({ error = "error('wrong', 0)",
         timeout = "while true do end" })[fault.kind]
         or fault.signal and ("os.execute('kill -%d ' .. pid)")
            :format(fault.signal)
         or ("os.exit(%d)"):format(fault.status)))
   end)

   on(fault[1] .. " in metamethods of arguments and results is never run", 2,
      function(pool)
      local meta = tripwires(misbehave)
      local function make() return setmetatable({ 5, a = { 6 } }, meta) end
      local function check(v)
         t.equal(rawget(v, 1), 5)
         t.equal(rawget(v, "a")[1], 6)
         t.equal(rawequal(getmetatable(v).__index, nil), false)
      end
      local echoed = pool:submit(echo, make())
      check(echoed:result())
      check(pool:submit(function() return make() end):result())
      check(pool:submit(echo, echoed):result())
      for _, v in pairs(pool:map(echo, { make(), make(), make() })) do
         check(v)
      end
      t.equal(pool:stats().crashed, 0)
   end)

   on(fault[1] .. " in a module required in the body", 2, function(pool)
      with_module(function(name)
         local path = package.path
         only_five(pool, fault, function(x)
            package.path = path
            if x == 5 then
               package.preload[name] = function() misbehave() end
               require(name)
            end
            return x * 2
         end)
      end, "return 1")
   end)

   on(fault[1] .. " while it has not been asked for its result", 2,
      function(pool)
      local result = pool:with(policy_of(fault)):submit(function()
         local value = setmetatable({}, { __tostring = misbehave })
         error(value)
      end)
      local ok, err = result:try()
      t.equal(ok, false)
      -- The text is made in the worker, or not at all.
      if err.kind ~= "error" then is_fault(err, fault) end
      t.equal(pool:submit(echo, 7):result(), 7)
   end)

   if fault.kind == "crashed" then
      on(fault[1] .. " once is tried again", 2, function(pool)
         local function work(x)
            if x == 5 and flow.attempt() < 3 then misbehave() end
            return x * 10 + flow.attempt()
         end
         local futures = pool:with { retries = 2 }:scatter(work,
            { 1, 2, 3, 4, 5, 6 })
         for key, future in pairs(futures) do
            t.equal(future:result(), key * 10 + (key == 5 and 3 or 1))
         end
         t.equal(futures[5]:info().attempts, 3)
         t.equal(pool:stats().retried, 2)
         local never = pool:with { retries = 2, retry_on = { "error" } }
            :submit(work, 5)
         is_fault(select(2, never:try()), fault)
         t.equal(never:info().attempts, 1)
      end)

      on(fault[1] .. " in init", 2, function()
         local path = os.tmpname()
         local pool = flow.forks { workers = 2, init = function()
            note(path, "begun")
            misbehave()
         end }
         local first, second = pool:submit(echo, 1), pool:submit(echo, 2)
         fails("resource", first)
         fails("resource", second)
         local begun = #lines_of(path)
         os.remove(path)
         t.ok(begun <= 20, begun .. " processes were started in vain")
         kit.refused("resource", function() pool:map(echo, { 1, 2, 3 }) end)
         pool:close()
      end)
   end
end

on("an init that raises breaks the pool, and says why", 2, function()
   local path = os.tmpname()
   local pool = flow.forks { workers = 2, init = function()
      note(path, "begun")
      error("no licence file", 0)
   end }
   local err = fails("resource", pool:submit(echo, 1), "no licence file")
   t.equal(err.signal, nil)
   local begun = #lines_of(path)
   os.remove(path)
   t.ok(begun <= 10, begun .. " processes were started in vain")
   pool:close()
end)

on("an init that fails a few times is tried again", 1, function()
   local path = os.tmpname()
   local pool = flow.forks { workers = 1, init = function()
      note(path, "begun")
      local file = io.open(path)
      local n = #file:read("*a")
      file:close()
      if n < 18 then signal("KILL") end
   end }
   t.equal(pool:submit(echo, 1):result(), 1)
   t.equal(#lines_of(path), 3)
   os.remove(path)
   pool:close()
end)

on("results that cannot travel cost only their task", 2, function(pool)
   local function make(x)
      if x == 1 then return io.stdout end
      if x == 2 then return coroutine.create(function() end) end
      if x == 3 then return { a = { io.stderr } } end
      if x == 4 then return setmetatable({}, { __gc = 1, __mode = "k" }) end
      if x == 6 then return flow.pool():submit(function() end) end
      return x
   end
   local futures = pool:scatter(make, { 1, 2, 3, 4, 5, 6, 7 })
   for _, key in ipairs { 1, 2, 3, 4, 6 } do
      local err = fails("unsendable", futures[key])
      t.equal(err.key, key)
   end
   t.match(tostring(select(2, futures[3]:try())), "%.a%[1%]")
   t.equal(futures[5]:result(), 5)
   t.equal(futures[7]:result(), 7)
   t.equal(pool:stats().crashed, 0)
end)

on("a result's module that cannot be required here", 1, function(pool)
   with_module(function(name)
      local path = package.path
      local f = pool:submit(function()
         package.path = path
         local module = require(name)
         return function() return module end
      end)
      local ok, err = pcall(function() return f:result()() end)
      t.equal(ok, false)
      t.match(tostring(err), "not here")
      t.equal(pool:submit(echo, 7):result(), 7)
   end, ([[
      local file = io.open("/proc/self/stat")
      local pid = file:read("*l"):match("^%%d+")
      file:close()
      if pid == "%d" then error("not here", 0) end
      return { 1 }
   ]]):format(pid()))
end)

-- Deaths ----------------------------------------------------------------------

-- In a task: a while of work, by its count.
local function busy(n)
   local sum = 0
   for i = 1, n do sum = sum + i % 7 end
   return sum
end

-- Kills workers as long as there are tasks that are not done; how many.
local function kill_at_random(shell, workers, done, count)
   local killed, seen = 0, -1
   while not done() do
      local list = {}
      for number in pairs(workers:table()) do
         if is_alive(number) then
            list[#list + 1] = number
         else
            workers:set(number, nil)
         end
      end
      if #list > 0 and seen ~= count() then
         seen = count()
         local number = list[math.random(#list)]
         workers:set(number, nil)
         shell:write("kill -KILL ", number, " 2>/dev/null\n")
         shell:flush()
         killed = killed + 1
      end
      flow.sleep(0.001)
   end
   return killed
end

on("workers killed at random lose and double nothing", 4, function(pool)
   local wanted, killed = tonumber(os.getenv("FLOWRUN_KILLS") or 1000), 0
   local shell = assert(io.popen("sh", "w"))
   local workers, all = flow.dict(), {}
   local function work(i, path, workers)
      local number = pid()
      workers:set(number, true)
      busy(50000)
      note(path, i .. ":" .. flow.attempt())
      return i, flow.attempt(), number
   end
   while killed < wanted do
      local futures, finished, ended, path = {}, {}, 0, os.tmpname()
      for i = 1, 2000 do
         futures[i] = pool:with { retries = 50 }:submit(work, i, path, workers)
         futures[i]:on_done(function(f)
            finished[f] = (finished[f] or 0) + 1
            ended = ended + 1
         end)
      end
      killed = killed + kill_at_random(shell, workers,
         function() return ended >= 2000 end, function() return ended end)
      local last = {}
      for i, attempt in t.read(path):gmatch("(%d+):(%d+)\n") do
         i, attempt = tonumber(i), tonumber(attempt)
         last[i] = math.max(last[i] or 0, attempt)
      end
      os.remove(path)
      for i, future in ipairs(futures) do
         local value, attempt, number = future:result()
         t.equal(value, i)
         t.equal(finished[future], 1)
         t.equal(attempt, last[i], "no attempt after the one that ended")
         all[number] = true
      end
   end
   shell:close()
   local stats = pool:stats()
   t.ok(stats.retried > 0, "some were running")
   t.equal(stats.failed, 0)
   t.equal(stats.queued, 0)
   t.equal(stats.running, 0)
   pool:close()
   for number in pairs(all) do is_gone(number) end
end)

-- The numbers of n workers that stand idle then.
local function idle_workers(pool, n)
   local path, gate, futures = os.tmpname(), os.tmpname(), {}
   for i = 1, n do
      futures[i] = pool:submit(function(stay)
         note(path, pid())
         while io.open(gate) do busy(1000) collectgarbage() end
      end)
   end
   local list = lines_of(path, n)
   os.remove(gate)
   flow.gather(futures)
   os.remove(path)
   for i, number in ipairs(list) do list[i] = tonumber(number) end
   return list
end

on("idle workers that are killed are replaced", 3, function(pool)
   for _ = 1, 10 do
      local list = idle_workers(pool, 3)
      for _, number in ipairs(list) do signal("KILL", number) end
      for i, v in ipairs(pool:map(echo, { 1, 2, 3, 4, 5, 6 })) do
         t.equal(v, i)
      end
      local futures = pool:scatter(echo, { 1, 2, 3, 4, 5, 6, 7, 8 })
      for i, future in ipairs(futures) do t.equal(future:result(), i) end
      for _, number in ipairs(list) do is_gone(number) end
   end
   t.equal(pool:stats().crashed, 0)
end)

on("a stopped worker costs its task its timeout", 2, function(pool)
   local path = os.tmpname()
   local function stop()
      note(path, pid())
      signal("STOP")
      while true do end
   end
   local stopped = pool:with { timeout = 0.5 }:submit(stop)
   t.equal(pool:map(echo, { 1, 2, 3 })[3], 3)
   local number = lines_of(path)[1]
   t.equal(pool:submit(echo, 1):result(), 1)
   fails("timeout", stopped)
   is_gone(number)
   stopped = pool:submit(stop)
   number = lines_of(path, 2)[2]
   t.equal(stopped:cancel(), true)
   fails("cancelled", stopped)
   is_gone(number)
   os.remove(path)
   t.equal(pool:submit(echo, 1):result(), 1)
end)

on("an idle worker that is stopped does not hold up the end", 2,
   function(pool)
   local list = idle_workers(pool, 2)
   for _, number in ipairs(list) do signal("STOP", number) end
   pool:close()
   for _, number in ipairs(list) do is_gone(number) end
end)

on("overflows of the stack", 2, function(pool)
   local overflows = {
      lua = function() local function f(x) return 1 + f(x) end return f(1) end,
      gsub = function()
         local function f() return (("a"):gsub("a", f)) end
         return f()
      end,
      pcall = function()
         local function f() return pcall(f) end
         return { f() }
      end,
      pattern = function()
         return (("a"):rep(300000)):match(("a?"):rep(300000))
      end,
      brackets = function()
         return (("("):rep(1000)):find(("%b()"):rep(300000))
      end,
      resume = function()
         local function f() return assert(coroutine.resume(coroutine.create(f))) end
         return f()
      end,
      parser = function()
         return assert((loadstring or load)("return "
            .. ("("):rep(300000) .. "1" .. (")"):rep(300000)))()
      end,
      tostring = function()
         local meta = {}
         meta.__tostring = function(v) return tostring(v) end
         return tostring(setmetatable({}, meta))
      end,
   }
   local futures = pool:with { timeout = 5 }:scatter(function(f)
      return type(f())
   end, overflows)
   for name, result in pairs(flow.settle(futures)) do
      if not result.ok then
         local kind = result.error.kind
         t.ok(kind == "error" or kind == "crashed" or kind == "timeout",
            name .. ": " .. tostring(result.error))
      end
   end
   fails("error", pool:submit(overflows.lua), "stack overflow")
   t.equal(pool:submit(echo, 1):result(), 1)
end)

-- Garbage ---------------------------------------------------------------------

-- In a task: writes over the memory that it shares with the engine.
local function scribble(first, last, text)
   local maps, n = {}, 0
   for line in io.lines("/proc/self/maps") do
      local from, to, name = line:match("^(%x+)%-(%x+) rw%-s .*(/memfd:%S+)")
      if from then maps[#maps + 1] = { from, to } end
   end
   local memory = assert(io.open("/proc/self/mem", "r+b"))
   memory:setvbuf("no")
   for _, map in ipairs(maps) do
      local from, to = tonumber(map[1], 16), tonumber(map[2], 16)
      local size = to - from
      local at = math.floor(size * first)
      local length = math.floor(size * last) - at
      memory:seek("set", from + at)
      memory:write((text:rep(math.ceil(length / #text)):sub(1, length)))
      n = n + length
   end
   memory:close()
   return n
end

local function scribbles(pool, text, first, last)
   local bad = pool:with { timeout = 0.5 }:submit(scribble, first, last, text)
   -- What is wrong may be found when others run there.
   local good = pool:with { retries = 4 }:scatter(echo, { 1, 2, 3, 4 })
   local ok, err = bad:try(30)
   if ok then
      t.ok(err > 0, "it has found the memory")
   else
      t.ok(err.kind == "crashed" or err.kind == "timeout", tostring(err))
   end
   for i, future in ipairs(good) do
      local fine, v = future:try(30)
      t.ok(fine, tostring(v))
      t.equal(v, i)
   end
end

on("a worker that writes over the rings harms only itself", 2, function(pool)
   for _, text in ipairs { "\0", "\255", "garbage!", "\1\0\0\0\0\0\0\0" } do
      for _, part in ipairs { { 0.5, 1 }, { 0.02, 1 }, { 0.45, 0.55 } } do
         scribbles(pool, text, part[1], part[2])
      end
   end
   t.equal(pool:submit(echo, 7):result(), 7)
end)

if jit then
   local function ffi_task(text)
      return function()
         local ffi = require "ffi"
         ffi.cdef [[ int close(int); long write(int, const void *, size_t);
            int fork(void); int setsid(void); unsigned sleep(unsigned);
            int dup2(int, int); int getpid(void); int pipe(int *);
            void _exit(int);
            int socketpair(int, int, int, int *); ]]
         return assert(loadstring("local ffi = require 'ffi' local C = ffi.C "
            .. text))()
      end
   end
   local bad = {
      ["closes 3 to 63"] = "for i = 3, 63 do C.close(i) end return 1",
      ["closes 0 to 63"] = "for i = 0, 63 do C.close(i) end return 1",
      ["closes them and goes on"] = "for i = 3, 63 do C.close(i) end "
         .. "return ('x'):rep(1000000)",
      ["writes garbage to 3 to 63"] = "local s = ('garbage'):rep(20) "
         .. "for i = 3, 63 do C.write(i, s, #s) end return 1",
      ["writes much garbage"] = "local s = ('\\255'):rep(1000) "
         .. "for n = 1, 50 do for i = 3, 63 do C.write(i, s, #s) end end "
         .. "return 1",
      ["puts others in their place"] = "for i = 3, 63 do C.dup2(2, i) end "
         .. "return 1",
      -- Where no bell comes, and no end is seen.
      ["puts a pipe in their place"] = "local p = ffi.new('int[2]') "
         .. "C.pipe(p) for i = 3, 63 do "
         .. "if i ~= p[1] then C.dup2(p[0], i) end end return 1",
      ["puts a socket in their place"] = "local p = ffi.new('int[2]') "
         .. "C.socketpair(1, 1, 0, p) for i = 3, 63 do "
         .. "if i ~= p[1] then C.dup2(p[0], i) end end return 1",
      ["has a pipe there, and a child with the socket"] =
         "local p = ffi.new('int[2]') C.pipe(p) "
         .. "if C.fork() == 0 then C.sleep(600) C._exit(0) end "
         .. "for i = 3, 63 do "
         .. "if i ~= p[1] then C.dup2(p[0], i) end end return 1",
      ["closes them and hands out"] = "for i = 3, 63 do C.close(i) end "
         .. "return require('flowrun').pool():submit("
         .. "function() return 1 end):result()",
   }
   for name, text in pairs(bad) do
      on("a worker that " .. name, 2, function(pool)
         local future = pool:with { timeout = 2 }:submit(ffi_task(text))
         local view = pool:with { retries = 4 }
         local good = view:scatter(echo, { 1, 2, 3, 4, 5, 6 })
         local ok, err = future:try(60)
         if not ok then
            t.ok(err.kind == "crashed" or err.kind == "error"
               or err.kind == "timeout" or err.kind == "resource",
               tostring(err))
         end
         for i, f in ipairs(good) do
            local fine, v = f:try(60)
            t.ok(fine, tostring(v))
            t.equal(v, i)
         end
         for i = 1, 20 do t.equal(view:submit(echo, i):result(60), i) end
      end)
   end

   on("garbage in an init that hangs breaks the pool", 1, function()
      local path = os.tmpname()
      local write = ffi_task(bad["writes garbage to 3 to 63"])
      local pool = flow.forks { workers = 1, init = function()
         note(path, "begun")
         write()
         while true do end
      end }
      fails("resource", pool:submit(echo, 1))
      t.ok(#lines_of(path) <= 10)
      os.remove(path)
      pool:close()
   end)

   on("a forked grandchild keeps the descriptors, not the death", 2,
      function(pool)
      local path = os.tmpname()
      local future = pool:submit(ffi_task([[
         local path = "]] .. path .. [["
         if C.fork() == 0 then
            C.setsid()
            local file = io.open(path, "a")
            file:write(C.getpid(), "\n")
            file:close()
            C.sleep(600)
         end
         repeat
            local file = io.open(path)
            local text = file:read("*a")
            file:close()
         until text:find("\n")
         os.execute("kill -KILL " .. C.getpid())
      ]]))
      local err = fails("crashed", future)
      t.equal(err.signal, 9)
      local number = tonumber(lines_of(path)[1])
      t.ok(is_alive(number), "the grandchild lives: nobody waited for it")
      pool:close()
      t.ok(is_alive(number))
      signal("KILL", number)
      os.remove(path)
   end)
end

-- Grandchildren ---------------------------------------------------------------

-- In a task: a child in the background, that says its number.
local function background(path, before)
   os.execute(before .. " sh -c 'echo $$ >>" .. path .. "; exec sleep 600' &")
   repeat
      local file = io.open(path)
      local text = file:read("*a")
      file:close()
   until text:find("\n")
end

for name, ending in pairs {
      ["a timeout"] = function() while true do end end,
      ["a crash"] = function() signal("KILL") end,
      ["a sleeping child's timeout"] = function() os.execute("sleep 600") end,
} do
   on("what a task has started is gone after " .. name, 1, function(pool)
      local path = os.tmpname()
      local future = pool:with { timeout = 0.5 }:submit(function()
         background(path, "")
         ending()
      end)
      local ok, err = future:try()
      t.equal(ok, false)
      t.equal(err.kind, name:find("timeout") and "timeout" or "crashed")
      is_gone(lines_of(path)[1])
      os.remove(path)
      t.equal(pool:submit(echo, 1):result(), 1)
   end)
end

t.test("what has left the group is gone after the run", function()
   local path = os.tmpname()
   local status, out, err = kit.run(([[
      local flow = require "flowrun"
      local path, how = %q, ...
      local pool = flow.forks(1)
      local future = pool:submit(function()
         os.execute("setsid sh -c 'echo $$ >>" .. path
            .. "; exec sleep 600' >/dev/null 2>&1 &")
         repeat
            local file = io.open(path)
            local text = file:read("*a")
            file:close()
         until text:find("\n")
         os.exit(0)
      end)
      print(select(2, future:try()).kind)
   ]]):format(path))
   t.equal(err, "")
   t.equal(out, "crashed\n")
   t.equal(status, 0)
   is_gone(lines_of(path)[1])
   os.remove(path)
end)

-- Ends ------------------------------------------------------------------------

on("a worker that dies after its result has given it", 1, function(pool)
   local path = os.tmpname()
   for i = 1, 20 do
      local future = pool:submit(function()
         local number = pid()
         os.execute(("(while [ -e %s ]; do :; done; kill -KILL %d) &"):format(
            path, number))
         return number
      end)
      local number = future:result()
      os.remove(path)
      is_gone(number)
      t.equal(future:result(), number)
      t.equal(pool:submit(echo, i):result(), i)
      t.write(path, "")
   end
   os.remove(path)
   t.equal(pool:stats().crashed, 0)
end)

on("a worker that dies as it closes has given its result", 1, function()
   local pool = flow.forks { workers = 2, max_tasks = 1 }
   local futures = pool:scatter(function(x)
      local function die() signal("SEGV") end
      if newproxy then
         left = newproxy(true)
         getmetatable(left).__gc = die
      else
         left = setmetatable({}, { __gc = die })
      end
      return x
   end, { 1, 2, 3, 4, 5, 6 })
   for i, future in ipairs(futures) do t.equal(future:result(), i) end
   t.equal(pool:stats().crashed, 0)
   pool:close()
end)

for _, chunk in ipairs { "auto", 1, 7, 100, 1000 } do
   on("the item of a map that kills its worker is blamed, chunk " .. chunk, 2,
      function(pool)
      local items = {}
      for i = 1, 1000 do items[i] = i end
      local path = os.tmpname()
      local function work(x, key)
         if chunk == 1 then note(path, x) end
         if x == 500 then signal("KILL") end
         return x
      end
      local err = kit.refused("crashed", function()
         pool:with { chunk = chunk }:map(work, items)
      end)
      t.equal(err.key, 500)
      t.equal(err.signal, 9)
      if chunk == 1 then
         local ran = {}
         for x in t.read(path):gmatch("%d+") do
            t.equal(ran[x], nil, "item " .. x .. " ran twice")
            ran[x] = true
         end
         t.ok(ran["500"])
      end
      -- With another attempt, all come.
      local once = os.tmpname()
      local list = pool:with { chunk = chunk, retries = 1 }:map(function(x)
         if x == 500 and os.remove(once) then signal("KILL") end
         return x
      end, items)
      t.same(list, items)
      os.remove(path)
      t.same(pool:map(echo, items), items)
   end)
end

on("several items of a map kill their workers", 3, function(pool)
   local items = {}
   for i = 1, 300 do items[i] = i end
   local dir, remove = t.directory()
   local list = pool:with { retries = 1, chunk = 20 }:map(function(x)
      local name = dir .. "/" .. x
      local file = x % 10 == 0 and not io.open(name) and io.open(name, "w")
      if file then
         file:close()
         signal("KILL")
      end
      return x
   end, items)
   t.same(list, items)
   remove()
end)

for _, max in ipairs { 1, 3 } do
   on(("workers are replaced after %d tasks"):format(max), 1, function()
      local pool = flow.forks { workers = 2, max_tasks = max }
      local counts = {}
      for i, future in ipairs(pool:scatter(function(x) return x, pid() end,
            { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
              19, 20 })) do
         local x, number = future:result()
         t.equal(x, i)
         counts[number] = (counts[number] or 0) + 1
      end
      for number, n in pairs(counts) do t.ok(n <= max, number) end
      local outer = pool:submit(function()
         local sum = 0
         for i = 1, 10 do
            sum = sum + flow.pool():submit(function() return i end):result()
         end
         return sum
      end)
      t.equal(outer:result(), 55)
      t.equal(pool:stats().crashed, 0)
      pool:close()
      for number in pairs(counts) do is_gone(number) end
   end)
end

on("a worker that writes over the words of its tasks harms only itself", 2,
   function(pool)
   for _, text in ipairs { "\0", "\255", "garbage!", "\1\0\0\0\0\0\0\0" } do
      for _, part in ipairs { { 0, 1 }, { 0, 0.02 }, { 0, 0.5 } } do
         scribbles(pool, text, part[1], part[2])
      end
   end
   t.equal(pool:submit(echo, 7):result(), 7)
end)

return t.finish()
