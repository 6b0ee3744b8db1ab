-- journal.lua: what a journal costs. A task that does nothing, handed out by
-- submit: processor time that the submitting thread, the service thread and
-- the writer's take for it beyond what they take without a journal; bytes in
-- the file; the same tasks taken from it by the next run.
--
--    journal.lua run FILE      a new file
--    journal.lua again FILE    the next run of it, which has it all
local flow = require("flowrun")
local kit = require("kit")

local mode, path = arg[1], arg[2]
local n = 50000
local function nothing(_) end

-- Processor time of a thread of this process, by its name; the main one has
-- that of the process.
local threads = {}
local function find_threads()
   local self = io.open("/proc/self/stat")
   local pid = tonumber(self:read("*l"):match("^%d+"))
   self:close()
   for id = pid, pid + 5000 do
      local comm = io.open("/proc/self/task/" .. id .. "/comm")
      if comm then
         threads[id == pid and "main" or comm:read("*l")] = id
         comm:close()
      end
   end
end

local function used(name)
   local id = threads[name]
   local stat = id and io.open("/proc/self/task/" .. id .. "/schedstat")
   if not stat then return 0 end
   local ns = tonumber(stat:read("*l"):match("^%d+"))
   stat:close()
   return ns / 1000
end

local function batch(pool, first)
   find_threads()
   local main, futures = used("main"), {}
   local service, writer = used("flowrun"), used("flowrun-journal")
   for i = first, first + n - 1 do futures[#futures + 1] = pool:submit(nothing, i) end
   main = used("main") - main
   flow.gather(futures)
   if mode == "run" then flow.sleep(1) end -- the writer ends its part
   return main / n, (used("flowrun") - service + used("flowrun-journal") - writer) / n
end

local function report(name, value)
   print(("journal.%s.%s\t%.4f"):format(name, kit.lua, value))
end

local plain, kept = flow.threads(1), flow.threads(1):with{ journal = flow.journal(path) }
if mode == "again" then
   local size = io.popen("stat -c %s '" .. path .. "'")
   report("bytes", tonumber(size:read("*l")) / (n + 1))
   size:close()
   batch(plain, 1)
   local main, futures = used("main"), {}
   for i = 1, n do futures[i] = kept:submit(nothing, i) end
   flow.gather(futures)
   report("again", (used("main") - main) / n)
   return
end
batch(plain, 1)
kept:submit(nothing, 0):result()
local submit0, served0 = batch(plain, 1)
local submit, served = batch(kept, 1)
report("submit", submit - submit0)
report("write", served - served0)
kept:close()
