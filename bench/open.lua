-- open.lua [tables|string]: two worker processes started, a task run by each,
-- and stopped: milliseconds of the first time in this program, and of later
-- ones. With an argument there is 1 GB of tables, or a string of 1 GB, before.
local flow = require("flowrun")
local kit = require("kit")

local GB = 2 ^ 30
local heap = {}

if arg[1] == "tables" then
   while collectgarbage("count") * 1024 < GB do
      local part = {}
      for i = 1, 1000 do part[i] = i + 0.5 end
      heap[#heap + 1] = part
   end
elseif arg[1] == "string" then
   heap[1] = ("x"):rep(GB)
end

local function index(i) return i end

local function open()
   local pool = flow.forks(2)
   local futures = { pool:submit(index, 1), pool:submit(index, 2) }
   local results = flow.gather(futures)
   assert(results[1] == 1 and results[2] == 2)
   pool:close()
end

local name = "open." .. (arg[1] or "small")
kit.report(name .. "_first", kit.seconds(open) * 1000)
collectgarbage("stop")
local times = {}
for i = 1, 10 do
   local started = flow.now()
   open()
   times[i] = (flow.now() - started) * 1000
end
kit.report(name, kit.quantile(times, 0.5))
