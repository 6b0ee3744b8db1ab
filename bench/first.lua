-- first.lua: one task on a pool of its own, and the end: a whole program.
local flow = require("flowrun")

local pool = flow.threads(2)
assert(pool:submit(function() return 42 end):result() == 42)
print(("start.now\t%.9g"):format(flow.now() * 1000))
