-- submit.lua: a task that does nothing, handed out by submit in a batch of
-- 100,000 and gathered, beside one pcall of the same function.
local flow = require("flowrun")
local kit = require("kit")

local n, calls = 100000, 1000000
local pool = kit.warm(2)

local function nothing(_) end

local function submit()
   local futures = {}
   for i = 1, n do futures[i] = pool:submit(nothing, i) end
   flow.gather(futures)
   return n
end

local list = {}
for i = 1, n do list[i] = i end

local function scatter()
   flow.gather(pool:scatter(nothing, list))
   return n
end

kit.report_all("submit", kit.alternate(3, {
   submit = submit,
   scatter = scatter,
   pcall = function() kit.pcall(calls) return calls end,
}), 1e6)
pool:close()
