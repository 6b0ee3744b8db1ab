#!/usr/bin/env flowrun
-- mesh_dag.lua: gmsh meshes a plate with a hole at several sizes, and each mesh,
-- made once, feeds several load cases of CalculiX. A case holds the future of
-- its mesh: it starts when that mesh is there, whatever becomes of the others.
local flow = require("flowrun")

local opt = flow.args {
   mesher   = { "gmsh", "makes the meshes; Debian has it in gmsh" },
   solver   = { "ccx", "solves the cases; Debian has it in calculix-ccx" },
   sizes    = { "2 1 0.7", "sizes of elements, in centimetres" },
   licences = { 2, "solvers at once" },
   workers  = { 4, "commands in hand; those without a licence wait" },
   timeout  = { 300, "seconds a command may take" },
}
local here = (arg[0]:match("^.*/") or "") .. "solver/"
local plate = dofile(here .. "plate.lua")

local function mesh(size)
   return { opt.mesher, "-3", "-nt", "1", "-clscale", size, "-format", "inp",
            "-o", "raw.inp", "plate.geo", cwd = "temp", keep = "failed",
            files = { ["plate.geo"] = { path = here .. "plate.geo" } }, collect = { "raw.inp" },
            parse = function(run) return plate.mesh(run.files["raw.inp"]) end }
end

local function solve(case)                       -- here case.mesh is the mesh, a text
   return { opt.solver, "-i", "plate", cwd = "temp", keep = "failed",
            files = { ["plate.inp"] = plate.deck(case.load), ["mesh.inp"] = case.mesh },
            collect = { "plate.dat" }, env = { OMP_NUM_THREADS = 1 },
            parse = function(run) return plate.read(case.load, run.files["plate.dat"]) end }
end

local pool = flow.commands(opt.workers):with { timeout = opt.timeout, retries = 1 }
local solver = pool:with { limit = flow.limit("solver", opt.licences) }
local names, runs = {}, {}
for size in opt.sizes:gmatch("[^%s,]+") do
   local made = pool:with { name = "mesh " .. size }:submit(mesh, size)
   for _, load in ipairs { "pull", "shear", "bend" } do
      local name = load .. " " .. size
      names[#names + 1] = name
      runs[name] = solver:with { name = name }:submit(solve, { mesh = made, load = load })
   end
end

local failed = 0
print("case              force N    energy J")
for _, name in ipairs(names) do
   local ok, r = runs[name]:try()
   if not ok then failed = failed + 1 end
   print(ok and ("%-12s  %11.4e  %10.4f"):format(name, r.force, r.energy)
      or ("%-12s  %s"):format(name, tostring(r.cause or r)))
end
print(("%d cases, %d failed, in %.2f s"):format(#names, failed, flow.now()))
return failed == 0
