-- compute.lua loop|threads|forks [FIRST LAST]: the four calls of long_comp of
-- the workflow pools.lua, as a whole program: in a plain loop, by any Lua, or
-- on two workers of that kind.
local how, first, last = arg[1], tonumber(arg[2] or 0), tonumber(arg[3] or 3)

local function long_comp(i)
   local x = i
   for y = 0, 4999999 do
      if x % 2 == 0 then x = (x - y) ^ 2 else x = (x + y) ^ 0.5 end
   end
   return x
end

local calls, results = {}, {}
for i = first, last do calls[#calls + 1] = i end
if how == "loop" then
   for i, call in ipairs(calls) do results[i] = long_comp(call) end
else
   results = require("flowrun")[how](2):map(long_comp, calls)
end
for i, x in ipairs(results) do print(("%d: %.17g"):format(calls[i], x)) end
