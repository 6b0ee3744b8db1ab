-- trip.lua: one task there and back, 10,000 times at once after the other, and
-- 200 times after a pause in which the workers have gone to sleep.
local kit = require("kit")

local pool = kit.warm(2)

kit.trips(pool, 1000)
local times, asleep = kit.trips(pool, 10000), kit.trips(pool, 200, 0.001)
kit.report("trip.median", kit.quantile(times, 0.5))
kit.report("trip.p99", kit.quantile(times, 0.99))
kit.report("trip.asleep", kit.quantile(asleep, 0.5))
pool:close()
