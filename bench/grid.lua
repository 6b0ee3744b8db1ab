-- grid.lua: the six crash tests all at once, at a hundredth of their length,
-- on six workers that are there already: milliseconds over the longest test.
local flow = require("flowrun")
local kit = require("kit")

local pool = kit.warm(6)
local longest = 0.77132 * 50 * 400 / 1000 / 100

local function crash_test(case) flow.sleep(case.seconds) end

local cases = flow.grid { mesh = { 200, 400 }, complexity = { 10, 20, 50 } }
for _, case in ipairs(cases) do
   case.seconds = longest * case.complexity * case.mesh / 20000
end

local over = {}
for turn = 0, 3 do
   local seconds = kit.seconds(function()
      flow.gather(pool:scatter(crash_test, cases))
   end)
   if turn > 0 then over[turn] = (seconds - longest) * 1000 end
end
kit.report("grid.over", kit.quantile(over, 0.5))
pool:close()
