-- sum.lua loop|threads|forks: the sum of 1 .. 99,999,999 in 100 chunks, as a
-- whole program: in a plain loop, by any Lua, or on two workers of that kind.
local chunks, size = {}, 1000000
for i = 1, 100 do
   chunks[i] = { first = (i - 1) * size, last = i * size - 1 }
end

local function sum(chunk)
   local total = 0
   for i = chunk.first, chunk.last do total = total + i end
   return total
end

local parts, total = {}, 0
if arg[1] == "loop" then
   for i, chunk in ipairs(chunks) do parts[i] = sum(chunk) end
else
   parts = require("flowrun")[arg[1]](2):map(sum, chunks)
end
for _, part in ipairs(parts) do total = total + part end
assert(total == 4999999950000000)
print(("sum %.0f"):format(total))
