-- gather.lua: 100 cases of 10 ms, so many at once, on warm pools of each kind:
-- milliseconds over the ideal. So many are the workers, or the seats of a limit
-- on a pool of 100.
local flow = require("flowrun")
local kit = require("kit")

local cases, seconds = 100, 0.01

local function case(s) flow.sleep(s) end

local function run(pool, s)
   local list = {}
   for i = 1, cases do list[i] = s end
   flow.gather(pool:scatter(case, list))
end

local function over(name, pool, at_once)
   local ideal = math.ceil(cases / at_once) * seconds
   local list = {}
   for turn = 1, at_once == 3 and 1 or 3 do
      list[turn] = (kit.seconds(run, pool, seconds) - ideal) * 1000
   end
   kit.report("gather." .. name, kit.quantile(list, 0.5))
end

for _, kind in ipairs { "threads", "forks" } do
   for _, at_once in ipairs { 3, 10, 100 } do
      local pool = kit.warm(at_once, kind)
      -- Long enough for as many workers to be there.
      if at_once == 100 then run(pool, 0.1) end
      over(("%s.%d"):format(kind, at_once), pool, at_once)
      if at_once == 100 then
         for _, seats in ipairs { 3, 10 } do
            over(("%s.seats%d"):format(kind, seats),
               pool:with { limit = flow.limit(seats) }, seats)
         end
      end
      pool:close()
   end
end
