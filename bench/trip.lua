-- trip.lua: one task there and back, 10,000 times at once after the other, and
-- 200 times after a pause in which the workers have gone to sleep.
local flow = require("flowrun")
local kit = require("kit")

local pool = kit.warm(2)

local function nothing(_) end

local function trips(n, pause)
   local times = {}
   for i = 1, n do
      if pause then flow.sleep(pause) end
      local started = flow.now()
      pool:submit(nothing, i):result()
      times[i] = (flow.now() - started) * 1e6
   end
   return times
end

trips(1000)
local times, asleep = trips(10000), trips(200, 0.001)
kit.report("trip.median", kit.quantile(times, 0.5))
kit.report("trip.p99", kit.quantile(times, 0.99))
kit.report("trip.asleep", kit.quantile(asleep, 0.5))
pool:close()
