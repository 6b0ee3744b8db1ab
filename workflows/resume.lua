#!/usr/bin/env flowrun
-- resume.lua: a study that can be stopped and goes on where it was. Run it
-- twice, or with Ctrl-C between, or with --cases 12 the second time: only what
-- is missing is computed, and the table is the same.
local flow = require("flowrun")

local opt = flow.args {
   cases   = { 8, "cases of the study" },
   scale   = { 0.02, "length of a case, in seconds" },
   journal = { "resume.journal", "where finished cases are kept" },
}
local scale = opt.scale -- not opt: its other fields would count as well

local function deflection(case)
   flow.sleep(scale)
   return { mm = 1.5 * case.load ^ 3 / (case.load + 40) }
end

local cases = {}
for i = 1, opt.cases do cases[i] = { load = 10 * i } end

local pool = flow.pool():with { journal = flow.journal(opt.journal) }
for i, r in ipairs(pool:map(deflection, cases)) do
   print(("load %4d kN  %10.2f mm"):format(cases[i].load, r.mm))
end
