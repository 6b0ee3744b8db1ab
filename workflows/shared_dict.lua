#!/usr/bin/env flowrun
-- shared_dict.lua: four calls put their results into what they are given. A
-- table arrives as a copy, so nothing comes back in it; a flow.dict is one
-- thing for all, in threads and in processes alike. (What a function returns
-- comes back anyway, and needs neither.)
local flow = require("flowrun")

local opt = flow.args { wait = { 0.1, "seconds that long_io waits" } }

local function long_io(i, put, results)
   flow.sleep(opt.wait)
   put(results, i, i * 2)
   return i * 2
end

local function show(name, results)
   local line = {}
   for i = 0, 3 do line[#line + 1] = tostring(results[i]) end
   print(("%-9s %s"):format(name, table.concat(line, " ")))
end

local function into_table(results, i, value) results[i] = value end
local function into_dict(results, i, value) results:set(i, value) end

local pool, copied, shared, calls = flow.pool(), {}, flow.dict(), {}
for i = 0, 3 do
   pool:submit(long_io, i, into_table, copied)
   calls[i] = pool:submit(long_io, i, into_dict, shared)
end
local returned = flow.gather(calls)
pool:drain()
show("table", copied)
show("dict", shared:table())
show("returned", returned)
