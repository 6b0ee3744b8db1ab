-- kit.lua: what the measurements in Lua share.
--
-- What is compared is measured in one process, in turns, so that both sides
-- see the same machine. A figure is printed as its name, a tab, the value;
-- bench/run adds the round and makes the table.
local flow = require("flowrun")

local kit = { lua = jit and "luajit" or "lua5.4" }

-- The quantile of q, 0.5 being the median.
function kit.quantile(list, q)
   local sorted = {}
   for i, value in ipairs(list) do sorted[i] = value end
   table.sort(sorted)
   return sorted[math.max(1, math.ceil(q * #sorted))]
end

-- Calls a function without a body `n` times through lua_pcall, with a number,
-- as a host in C would: by LuaJIT's ffi, in a state of its own. A pcall in Lua
-- would be compiled away there, and 0.4 ns is not what a call costs.
local function host_pcall(n)
   local ffi = require("ffi")
   if not kit.host then
      ffi.cdef [[
         typedef struct lua_State lua_State;
         lua_State *luaL_newstate(void);
         int luaL_loadstring(lua_State *L, const char *text);
         int lua_pcall(lua_State *L, int arguments, int results, int handler);
         void lua_pushvalue(lua_State *L, int index);
         void lua_pushinteger(lua_State *L, ptrdiff_t n);
         void lua_settop(lua_State *L, int index);
      ]]
      kit.host = ffi.C.luaL_newstate()
      assert(ffi.C.luaL_loadstring(kit.host, "return function(_) end") == 0)
      assert(ffi.C.lua_pcall(kit.host, 0, 1, 0) == 0)
   end
   local C, L = ffi.C, kit.host
   for i = 1, n do
      C.lua_pushvalue(L, 1)
      C.lua_pushinteger(L, i)
      C.lua_pcall(L, 1, 0, 0)
   end
end

-- What a figure of this Lua is beside: `n` calls of a function that does
-- nothing, by pcall.
function kit.pcall(n)
   if jit then return host_pcall(n) end
   local function nothing(_) end
   for i = 1, n do pcall(nothing, i) end
end

function kit.seconds(fn, ...)
   collectgarbage()
   local started = flow.now()
   fn(...)
   return flow.now() - started
end

-- Runs each of `sides`, { name = fn }, in turns, `turns` times after one that
-- does not count; fn returns how many units it has done. Gives the medians of
-- the seconds for a unit.
function kit.alternate(turns, sides)
   local names, times, medians = {}, {}, {}
   for name in pairs(sides) do
      names[#names + 1], times[name] = name, {}
   end
   table.sort(names)
   for turn = 0, turns do
      for _, name in ipairs(names) do
         local units
         local seconds = kit.seconds(function() units = sides[name]() end)
         if turn > 0 then times[name][turn] = seconds / units end
      end
   end
   for name, list in pairs(times) do medians[name] = kit.quantile(list, 0.5) end
   return medians
end

-- The figure `name` of this Lua.
function kit.report(name, value)
   print(("%s.%s\t%.9g"):format(name, kit.lua, value))
end

function kit.report_all(subject, medians, scale)
   for name, value in pairs(medians) do
      kit.report(subject .. "." .. name, value * scale)
   end
end

-- Resident bytes of this process.
function kit.resident()
   local file = assert(io.open("/proc/self/statm"))
   local pages = file:read("*a"):match("^%d+ (%d+)")
   file:close()
   return tonumber(pages) * 4096
end

-- A pool, of threads if no kind is named, whose workers have all run something.
function kit.warm(workers, kind)
   local pool = flow[kind or "threads"](workers)
   for _ = 1, 3 do
      local futures = {}
      for i = 1, 2 * workers do futures[i] = pool:submit(flow.sleep, 0.001) end
      flow.gather(futures)
   end
   return pool
end

local function nothing(_) end

-- The microseconds of one task there and back, `n` times, with a pause before
-- each if one is given.
function kit.trips(pool, n, pause)
   local times = {}
   for i = 1, n do
      if pause then flow.sleep(pause) end
      local started = flow.now()
      pool:submit(nothing, i):result()
      times[i] = (flow.now() - started) * 1e6
   end
   return times
end

return kit
