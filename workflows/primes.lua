#!/usr/bin/env flowrun
-- primes.lua: the anti-example. A task as small as one prime test is not worth
-- handing out alone, so map packs: 20 of them run without a thread hop, 100,000
-- in pieces over all cores. Beside it stands the time of the plain loop.
local flow = require("flowrun")

local opt = flow.args { upto = { 100000, "look for primes up to this number" } }

local function is_prime(n)
   for d = 2, math.floor(math.sqrt(n)) do
      if n % d == 0 then return false end
   end
   return n > 1
end

local function loop(fn, list)
   local results = {}
   for i, value in ipairs(list) do results[i] = fn(value) end
   return results
end

local pool = flow.threads()
for _ = 1, 2 do pool:map(is_prime, { 1 }) end        -- the threads start here

for _, upto in ipairs { 20, opt.upto } do
   local numbers, count = {}, 0
   for n = 1, upto do numbers[n] = n end

   local t0 = flow.now()
   loop(is_prime, numbers)
   local t1 = flow.now()
   local primes = pool:map(is_prime, numbers)
   local t2 = flow.now()

   for _, prime in ipairs(primes) do if prime then count = count + 1 end end
   print(("%d primes up to %d: loop %.6f s, map %.6f s"):format(count, upto, t1 - t0, t2 - t1))
end
