-- block.lua: crash tests for CalculiX: a steel block of 0.4 x 0.1 x 0.1 m hits
-- a rigid wall at 30 m/s. block.deck(case) is the input, block.read(case, dat)
-- what the output says; it raises where nothing was computed, or nonsense.
local block = { length = 0.4, width = 0.1, density = 7850, speed = 30 }    -- SI units

-- Which nodes meet the wall (i along, j across, n elements along), who goes where.
block.crashes = {
   front = { axis = 1, way = -1, hits = function(i) return i == 0 end },
   side  = { axis = 2, way = -1, hits = function(_, j) return j == 0 end },
   rear  = { axis = 1, way = 1, hits = function(i, j, n) return i == n and j <= n / 8 end },
}

-- At the start, all of it kinetic: 14130 J.
block.energy = block.density * block.length * block.width ^ 2 * block.speed ^ 2 / 2

local text = [[
** crash case $type mesh $mesh sim $sim
*NODE,NSET=NALL
$nodes
*ELEMENT,TYPE=C3D8R,ELSET=EALL
$elements
*NSET,NSET=WALL
$wall
*MATERIAL,NAME=STEEL
*ELASTIC
210e9,0.3
*DENSITY
$density.
*PLASTIC
300e6,0.
500e6,0.2
600e6,1.
*SOLID SECTION,ELSET=EALL,MATERIAL=STEEL
*INITIAL CONDITIONS,TYPE=VELOCITY
NALL,$axis,$velocity
*BOUNDARY
WALL,$axis,$axis,0.
*STEP,NLGEOM,INC=100000
*DYNAMIC,EXPLICIT
$step,$duration
*NODE PRINT,NSET=WALL,TOTALS=ONLY,FREQUENCY=1000000
RF
*EL PRINT,ELSET=EALL,TOTALS=ONLY,FREQUENCY=1000000
ELSE,ELKE
*END STEP
]]

-- case.mesh: elements along the block, a multiple of 4; case.sim: tens of
-- microseconds to be computed.
function block.deck(case)
   local n, m, crash = case.mesh, case.mesh / 4, block.crashes[case.type]
   assert(m >= 1 and m == math.floor(m), "mesh must be a multiple of 4")
   local nodes, elements, wall = {}, {}, {}
   local row, layer = n + 1, (n + 1) * (m + 1)           -- to the next node across, up
   for k = 0, m do for j = 0, m do for i = 0, n do
      local a = 1 + i + j * row + k * layer
      local b = a + layer
      nodes[a] = ("%d,%.10g,%.10g,%.10g"):format(a, i * block.length / n,
         j * block.width / m, k * block.width / m)
      if crash.hits(i, j, n) then wall[#wall + 1] = ("%d,"):format(a) end
      if i < n and j < m and k < m then
         elements[#elements + 1] = ("%d,%d,%d,%d,%d,%d,%d,%d,%d"):format(#elements + 1,
            a, a + 1, a + 1 + row, a + row, b, b + 1, b + 1 + row, b + row)
      end
   end end end
   local fields = {
      type = case.type, mesh = n, sim = case.sim, density = block.density,
      axis = crash.axis, velocity = crash.way * block.speed,
      step = ("%.10g"):format(case.sim * 2e-7), duration = ("%.10g"):format(case.sim * 1e-5),
      nodes = table.concat(nodes, "\n"), elements = table.concat(elements, "\n"),
      wall = table.concat(wall, "\n"),
   }
   return (text:gsub("%$(%a+)", fields))
end

-- The total of that name at the end, in one column.
local function total(dat, what, column)
   local skipped = ("%S+%s+"):rep(column - 1)
   return tonumber((dat:match("total " .. what .. "[^\n]*%s+" .. skipped .. "(%S+)")))
end

function block.read(case, dat)
   local crash = block.crashes[case.type]
   local force = total(dat, "force", crash.axis)
   local internal = total(dat, "internal energy", 1)
   local kinetic = total(dat, "kinetic energy", 1)
   assert(force and internal and kinetic, "the output has no force or no energy")
   assert(force == force and internal >= 0 and kinetic >= 0
      and internal + kinetic < block.energy,
      ("that cannot be: force %g N, energy %g J + %g J, %g J at the start"):format(
         force, internal, kinetic, block.energy))
   return { force = -crash.way * force, internal = internal, kinetic = kinetic }
end

return block
