-- first.lua: one task on a pool of its own, and the end: a whole program.
local flow = require("flowrun")

local pool = flow.threads(2)
assert(pool:submit(function() return 42 end):result() == 42)
print(("start.now.%s\t%.9g"):format(jit and "luajit" or "lua5.4", flow.now() * 1000))
