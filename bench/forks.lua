-- forks.lua: what a task costs on two worker processes: 100,000 that do nothing
-- by submit, as many tiny items by map, beside a pcall of a function; and one
-- there and back, at once and after a pause.
local flow = require("flowrun")
local kit = require("kit")

local n, calls = 100000, 1000000
local pool = kit.warm(2, "forks")
local list = {}
for i = 1, n do list[i] = i end

local function nothing(_) end
local function tiny(x) return x + 1 end

kit.report_all("forks", kit.alternate(3, {
   submit = function()
      local futures = {}
      for i = 1, n do futures[i] = pool:submit(nothing, i) end
      flow.gather(futures)
      return n
   end,
   map = function()
      local results = pool:map(tiny, list)
      assert(#results == n and results[n] == n + 1)
      return n
   end,
   pcall = function() kit.pcall(calls) return calls end,
}), 1e6)

local function trips(name, times)
   kit.report("forks." .. name, kit.quantile(times, 0.5))
   kit.report("forks." .. name .. "_p99", kit.quantile(times, 0.99))
end

kit.trips(pool, 500)
trips("trip", kit.trips(pool, 5000))
trips("asleep", kit.trips(pool, 500, 0.001))
pool:close()
