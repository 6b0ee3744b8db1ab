#!/usr/bin/env flowrun
-- pools.lua: four calls that wait and four that compute, first in a plain
-- loop, then on four threads. Threads share no interpreter and no lock: the
-- waiting takes the time of one call, the computing is spread over the cores.
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

local ways = {
   { "loop", function(fn, list)
      local results = {}
      for i, value in ipairs(list) do results[i] = fn(value) end
      return results
   end },
   { "threads", function(fn, list) return flow.threads(4):map(fn, list) end },
}

for _, job in ipairs { { "long_io", long_io }, { "long_comp", long_comp } } do
   for _, way in ipairs(ways) do
      local started = flow.now()
      local results = way[2](job[2], { 0, 1, 2, 3 })
      print(("%-9s  %-7s %6.2f s"):format(job[1], way[1], flow.now() - started))
      for i, x in ipairs(results) do print(("   %d: %.17g"):format(i - 1, x)) end
   end
end
