#!/usr/bin/env flowrun
-- licences.lua: a hundred analyses in processes, and three solver licences.
-- Results come in the order of the cases, whatever the order in which they
-- ended, and one that waits for a licence holds no worker.
local flow = require("flowrun")

local opt = flow.args {
   cases    = { 100, "analyses to run" },
   licences = { 3, "licences we own" },
   scale    = { 0.02, "length of the analyses; 1 is 1 to 4 s each" },
}

local function analyse(case)
   local seconds = math.random(1, 4) * opt.scale     -- the task's own stream
   flow.sleep(seconds)
   return { z = case.x ^ 2 + case.y ^ 2, seconds = seconds }
end

local cases = {}
for i = 1, opt.cases do cases[i] = { x = i, y = i % 7 } end

local solver = flow.forks(8):with { limit = flow.limit(opt.licences) }
local started = flow.now()
local results = flow.gather(solver:scatter(analyse, cases))
local parallel, series, slowest = flow.now() - started, 0, 1

for i, r in ipairs(results) do
   print(("case %3d  x %3d  y %d  z %5d  %6.3f s"):format(i, cases[i].x, cases[i].y, r.z, r.seconds))
   series = series + r.seconds
   if r.seconds > results[slowest].seconds then slowest = i end
end
print(("slowest: case %d, %.3f s"):format(slowest, results[slowest].seconds))
print(("total: %.3f s in parallel, %.3f s in series"):format(parallel, series))
