#!/usr/bin/env flowrun
-- crash_grid.lua: six crash tests, one after another, with a barrier after
-- each mesh, and all at once. Every test is printed as it ends.
-- At --scale 1: 37.02 s, 23.14 s and 15.43 s, the last being the slowest test.
local flow = require("flowrun")

local here = arg[0]:match("^.*/") or ""
local opt = flow.args {
   cases   = { here .. "crash.yaml", "the meshes and the crashes" },
   scale   = { 0.04, "length of the tests; 1 is the full length" },
   workers = { 6, "tests running at once" },
}

local car = flow.yaml.read(opt.cases)
local pool = flow.threads(opt.workers)
local second = opt.scale * car.seconds

local function crash_test(case)
   local crash = case.crash
   flow.sleep(second * crash.complexity * case.mesh / 1000)   -- the solver
   return ("%s__%d__%d"):format(crash.type, crash.complexity, case.mesh)
end

local function run(title, batches)                   -- a batch ends in a barrier
   local started, tests = flow.now(), 0
   for _, batch in ipairs(batches) do
      local futures = pool:scatter(crash_test, batch)
      for _, test in flow.as_completed(futures) do
         print(("%8.3f s  %s"):format(flow.now() - started, test:result()))
      end
      tests = tests + #flow.gather(futures)
   end
   print(("%8.3f s  %s, %d tests"):format(flow.now() - started, title, tests))
end

local cases = flow.grid({ mesh = car.mesh, crash = car.crash }, { order = { "mesh" } })
local singles, meshes = {}, {}
for i, case in ipairs(cases) do singles[i] = { case } end
for i, mesh in ipairs(car.mesh) do meshes[i] = flow.grid { mesh = { mesh }, crash = car.crash } end

run("one after another", singles)
run("a barrier after each mesh", meshes)
run("all at once", { cases })
