-- commands.lua: commands that are queued: what one costs beside many others,
-- and the memory of one that waits.
local flow = require("flowrun")
package.path = "bench/?.lua;" .. package.path
local kit = require("kit")

local function report(name, value) kit.report("commands." .. name, value) end

local function memory()
   for line in io.lines("/proc/self/status") do
      local kb = line:match("^VmRSS:%s*(%d+)")
      if kb then return tonumber(kb) * 1024 end
   end
end

local function run(n)
   local pool, futures, before = flow.commands(2), {}, flow.now()
   for i = 1, n do futures[i] = pool:submit{ "true" } end
   flow.gather(futures)
   pool:close()
   return (flow.now() - before) / n * 1e6
end

local pool, futures = flow.commands(1), {}
pool:submit{ "sleep", "1000" }
collectgarbage()
local before = memory()
for i = 1, 10000 do futures[i] = pool:submit{ "true" } end
report("bytes", (memory() - before) / 10000)
pool:cancel()
run(50)
report("200", run(200))
report("5000", run(5000))
