-- plate.lua: a steel plate with a hole (plate.geo, 0.2 x 0.1 x 0.01 m), its left
-- side held, its right side moved by 0.1 mm along x, y or z: meshes from gmsh,
-- decks for CalculiX, and what its output says.
local plate = { way = 1e-4, loads = { pull = 1, shear = 2, bend = 3 } }

-- What gmsh wrote without what the solver must not have: a heading, elements of
-- surfaces, and their sets.
function plate.mesh(raw)
   local lines, wanted, solids = {}, true, 0
   for line in raw:gmatch("[^\n]+") do
      if line:find("^%*%a") then
         wanted = not (line:find("^%*Heading") or line:find("CPS6")
            or line:find("^%*ELSET,ELSET=[LR]"))
         if line:find("C3D10") then solids = solids + 1 end
      end
      if wanted then lines[#lines + 1] = line end
   end
   assert(solids > 0, "gmsh made no solid elements")
   return table.concat(lines, "\n") .. "\n"
end

-- The deck of a load case beside its mesh.inp.
function plate.deck(load)
   return ([[
*INCLUDE,INPUT=mesh.inp
*MATERIAL,NAME=STEEL
*ELASTIC
210e9,0.3
*SOLID SECTION,ELSET=EALL,MATERIAL=STEEL
*BOUNDARY
LEFT,1,3,0.
RIGHT,%d,%d,%.10g
*STEP
*STATIC
*NODE PRINT,NSET=LEFT,TOTALS=ONLY
RF
*EL PRINT,ELSET=EALL,TOTALS=ONLY
ELSE
*END STEP
]]):format(plate.loads[load], plate.loads[load], plate.way)
end

-- Physics: half of force times way is the energy inside.
function plate.read(load, dat)
   local skipped = ("%S+%s+"):rep(plate.loads[load] - 1)
   local force = tonumber((dat:match("total force[^\n]*%s+" .. skipped .. "(%S+)")))
   local energy = tonumber((dat:match("total internal energy[^\n]*%s+(%S+)")))
   assert(force and energy, "the output has no force or no energy")
   assert(math.abs(-force * plate.way / 2 - energy) <= 0.01 * energy,
      ("that cannot be: force %g N, energy %g J"):format(force, energy))
   return { force = force, energy = energy }
end

return plate
