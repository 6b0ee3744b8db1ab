#!/usr/bin/env flowrun
-- pools.lua: four calls that wait and four that compute: in a plain loop, on
-- four threads, in four processes. Threads share no interpreter and no lock, so
-- both pools wait for the time of one call and compute on all cores.
local flow = require("flowrun")

local opt = flow.args { wait = { 0.5, "seconds that long_io waits" } }

local function long_io(i) flow.sleep(opt.wait); return i * 2 end

local function long_comp(i)
   local x = i
   for y = 0, 4999999 do
      if x % 2 == 0 then x = (x - y) ^ 2 else x = (x + y) ^ 0.5 end
   end
   return x
end

local way = {}
function way.loop(fn, list)
   local results = {}
   for i, value in ipairs(list) do results[i] = fn(value) end
   return results
end
function way.threads(fn, list) return flow.threads(4):map(fn, list) end
function way.forks(fn, list) return flow.forks(4):map(fn, list) end

for _, job in ipairs { { "long_io", long_io }, { "long_comp", long_comp } } do
   for _, name in ipairs { "loop", "threads", "forks" } do
      local started = flow.now()
      local results = way[name](job[2], { 0, 1, 2, 3 })
      print(("%-9s  %-7s %6.2f s"):format(job[1], name, flow.now() - started))
      for i, x in ipairs(results) do print(("   %d: %.17g"):format(i - 1, x)) end
   end
end
