-- scale.lua GATE: what a pending task takes in memory, and the time per task in
-- batches of 100 to 1,000,000. GATE is a fifo: a task that reads from it stays
-- until somebody opens it for writing.
local flow = require("flowrun")
local kit = require("kit")

local gate = arg[1]
local pool = kit.warm(2)

local function stay(path)
   local file = assert(io.open(path))
   file:close()
end

local function nothing() end

-- First of all, while no freed memory is there that would be used again. The
-- table of the futures is the script's, and does not count.
local function memory(n)
   local futures, holds = {}, {}
   for i = 1, n do futures[i] = false end
   for i = 1, 2 do holds[i] = pool:submit(stay, gate) end
   while pool:stats().running < 2 do flow.sleep(0.001) end
   collectgarbage()
   local before = kit.resident()
   for i = 1, n do futures[i] = pool:submit(nothing) end
   collectgarbage()
   local bytes = (kit.resident() - before) / n
   assert(io.open(gate, "w")):close()
   flow.gather(holds)
   flow.gather(futures)
   return bytes
end

local function batch(n)
   local futures = {}
   for i = 1, n do futures[i] = pool:submit(nothing) end
   flow.gather(futures)
end

local function per_task(n)
   local times, batches = {}, math.max(1, math.floor(100000 / n))
   for turn = 1, n < 1000000 and 3 or 1 do
      times[turn] = kit.seconds(function()
         for _ = 1, batches do batch(n) end
      end) / (batches * n)
   end
   return kit.quantile(times, 0.5)
end

kit.report("scale.bytes", memory(200000))
per_task(100)
for _, n in ipairs { 100, 10000, 1000000 } do
   kit.report(("scale.%d"):format(n), per_task(n) * 1e6)
end
pool:close()
