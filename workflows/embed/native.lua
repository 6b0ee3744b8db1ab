-- native.lua: the host's C function in every pool; run by native.c.
local flow = require("flowrun")
local energy = flow.native("energy")
local factor = tonumber((...)) or 1

local strains = {}
for i = 1, 8 do strains[i] = { strain = i * factor / 1000 } end

for _, kind in ipairs{ "threads", "forks" } do
   local pool = flow[kind](2)
   local direct = pool:map(energy, strains)
   local inside = pool:map(function(s) return 2 * energy(s) end, strains)
   local ok, err = pool:submit(energy, { strain = -1 }):try()
   print(("%s: %.0f J, twice that is %.0f J; %s"):format(kind, direct[8],
      inside[8], ok or err.message))
   pool:close()
end

-- A command's output is read by a function that runs in a worker.
local function weigh(s)
   return { "echo", s.strain,
      parse = function(run) return energy{ strain = tonumber(run.out) } end }
end
print(("commands: %.0f J"):format(flow.commands(2):map(weigh, strains)[8]))
