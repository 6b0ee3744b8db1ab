-- first.lua: one task on a pool of its own, and the end: a whole program.
local flow = require("flowrun")

local future = flow.threads(2):submit(function() return 42 end)
assert(future:result() == 42)
local name = jit and "luajit" or "lua5.4"
print(("start.now.%s\t%.9g"):format(name, flow.now() * 1000))
