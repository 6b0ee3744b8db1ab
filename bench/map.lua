-- map.lua: map over 100,000 tiny items, packed by the engine, beside a
-- pcall of a function, and the plain loop.
local kit = require("kit")

local n = 100000
local pool = kit.warm(2)
local list = {}
for i = 1, n do list[i] = i end

local function tiny(x) return x + 1 end

kit.report_all("map", kit.alternate(5, {
   map = function()
      local results = pool:map(tiny, list)
      assert(#results == n and results[n] == n + 1)
      return n
   end,
   pcall = function() kit.pcall(5 * n) return 5 * n end,
   loop = function()
      for _ = 1, 5 do
         local results = {}
         for i = 1, n do results[i] = tiny(list[i]) end
      end
      return 5 * n
   end,
}), 1e6)
pool:close()
