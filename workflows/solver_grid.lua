#!/usr/bin/env flowrun
-- solver_grid.lua: crash type x simulation complexity x mesh complexity, each
-- case a run of CalculiX in a directory of its own, two licences at once. The long
-- cases come first: one that begins last is what a whole run waits for.
local flow = require("flowrun")

local opt = flow.args {
   solver   = { "ccx", "the solver; Debian has it in calculix-ccx" },
   types    = { "front side rear", "crash types" },
   sims     = { "50 20 10", "simulation complexities: tens of microseconds" },
   meshes   = { "16 12 8", "mesh complexities: elements along, multiples of 4" },
   licences = { 2, "solvers at once" },
   workers  = { 4, "cases in hand; those without a licence wait" },
   timeout  = { 300, "seconds an attempt may take" },
   csv      = { "solver_grid.csv", "the results, for a spreadsheet" },
}
local block = dofile((arg[0]:match("^.*/") or "") .. "solver/block.lua")

-- Called once an attempt, returns its command. ccx has status 0 even without a
-- deck: what it wrote is judged, by block.read, when it has ended.
local function crash_test(case)
   local function parse(run)
      local row = block.read(case, run.files["job.dat"])
      row.type, row.sim, row.mesh, row.seconds = case.type, case.sim, case.mesh, run.seconds
      return row
   end
   return { opt.solver, "-i", "job", cwd = "temp", keep = "failed",
            files = { ["job.inp"] = block.deck(case) }, collect = { "job.dat" },
            env = { OMP_NUM_THREADS = 1 }, parse = parse }
end

local function list(text, to)
   local items = {}
   for word in text:gmatch("[^%s,]+") do items[#items + 1] = assert(to(word), word) end
   return items
end
local function is_crash(name) return block.crashes[name] and name end

local cases = flow.grid({ type = list(opt.types, is_crash), sim = list(opt.sims, tonumber),
   mesh = list(opt.meshes, tonumber) }, { order = { "type", "sim", "mesh" } })
local solver = flow.commands(opt.workers):with {
   limit = flow.limit("solver", opt.licences), timeout = opt.timeout, retries = 1,
   name = function(case) return ("%s__%d__%d"):format(case.type, case.sim, case.mesh) end,
}

local rows, failed = {}, 0
print("type    sim  mesh        force N    internal J     kinetic J")
for i, test in ipairs(flow.settle(solver:scatter(crash_test, cases))) do
   local case, row = cases[i], test.value
   io.write(("%-6s %4d %5d  "):format(case.type, case.sim, case.mesh))
   if test.ok then
      rows[#rows + 1] = row
      print(("%13.6e %13.6e %13.6e  %6.2f s"):format(row.force, row.internal, row.kinetic,
         row.seconds))
   else
      failed = failed + 1
      print(tostring(test.error) .. (test.error.dir and ", see " .. test.error.dir or ""))
   end
end
flow.csv.write(opt.csv, rows, { "type", "sim", "mesh", "force", "internal", "kinetic", "seconds" })
print(("%d cases, %d failed, in %.2f s; see %s"):format(#cases, failed, flow.now(), opt.csv))
return failed == 0
