#!/usr/bin/env flowrun
-- sum.lua: add up 1 .. n-1 in pieces, in a process for each core. flow.int is a
-- 64-bit integer on both Luas; LuaJIT's own numbers are doubles, and would be
-- wrong beyond 2^53.
local flow = require("flowrun")

local opt = flow.args {
   n      = { 1000000000, "sum the integers below this" },
   pieces = { 100, "pieces to cut the range into" },
}

local function sum(range)
   local total = flow.int(0)
   for i = range.first, range.last do total = total + i end
   return total
end

local pool = flow.forks()
local total = flow.int(0)
for _, part in ipairs(pool:map(sum, flow.split(1, opt.n - 1, opt.pieces))) do
   total = total + part
end
print(("sum %d"):format(total))
