-- kills.lua KILLER: a run of short tasks on two worker processes, of which the
-- program KILLER (kills.c) kills one after the other, at random: how many
-- results are missing or wrong, come twice, and what is left at the end: tasks,
-- processes, descriptors. KILLS in the environment: how many are killed.
local flow = require("flowrun")
local kit = require("kit")

local kills = tonumber(os.getenv("KILLS") or 1000)
local batch = 4000

local function descriptors() return #flow.glob("/proc/self/fd/*") end

-- In a worker: the process that makes the workers.
local function parent()
   local file = assert(io.open("/proc/self/stat"))
   local text = file:read("*a")
   file:close()
   return tonumber(text:match("^%d+ %b() %a (%d+)"))
end

local function children(pid)
   local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
   local text = file and file:read("*a") or ""
   if file then file:close() end
   local count = 0
   for _ in text:gmatch("%d+") do count = count + 1 end
   return count
end

-- In a task: up to some tenths of a millisecond; some results are long.
local function short(i)
   local x = i
   for _ = 1, i % 16 * 500 do x = (x * 3 + 1) % 1000003 end
   return i, i % 50 == 0 and ("x"):rep(100000) or nil
end

local function kill(command)
   local pipe = assert(io.popen(command))
   local count = pipe:read("*n")
   pipe:close()
   return count
end

kit.warm(2, "forks"):close()
local killers = kit.warm(1)
local before = descriptors()
local pool = kit.warm(2, "forks")
local helper = pool:submit(parent):result()
local done = pool:stats().done
local tasks = pool:with { retries = 1000, retry_on = "crashed" }
local handed, lost, twice = 0, 0, 0

local function run()
   local futures, ends = {}, {}
   for i = 1, batch do
      ends[i] = 0
      futures[i] = tasks:submit(short, i)
      futures[i]:on_done(function() ends[i] = ends[i] + 1 end)
   end
   for i, future in ipairs(futures) do
      local ok, value, text = future:try()
      local right = ok and value == i and (i % 50 > 0 or #text == 100000)
      if not right then
         lost = lost + 1
         if lost == 1 then print("first lost: " .. tostring(value)) end
      end
   end
   for i = 1, batch do if ends[i] > 1 then twice = twice + 1 end end
   handed = handed + batch
end

local killed = killers:submit(kill,
   ("%s %d %d %d"):format(arg[1], helper, kills, os.time()))
repeat run() until lost > 0 or killed:done()
killed = killed:result()
assert(lost > 0 or killed == kills, "the killer gave up")

local stats = pool:stats()
pool:close()
local late = flow.now() + 2
while descriptors() > before and flow.now() < late do flow.sleep(0.01) end
kit.report("kills.kills", killed)
kit.report("kills.retried", stats.retried)
kit.report("kills.lost", lost)
kit.report("kills.twice", twice + math.abs(stats.done - done - handed))
kit.report("kills.left", stats.queued + stats.running + children(helper)
   + math.max(0, descriptors() - before))
killers:close()
