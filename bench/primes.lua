-- primes.lua: the prime test over 20 and over 100,000 numbers by a warm pool,
-- beside the plain loop. Times are of one whole map, one whole loop.
local kit = require("kit")

local pool = kit.warm(2)

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

local function primes(results)
   local count = 0
   for _, prime in ipairs(results) do if prime then count = count + 1 end end
   return count
end

for upto, case in pairs { [20] = { 400, 8 }, [100000] = { 1, 9592 } } do
   local numbers = {}
   for n = 1, upto do numbers[n] = n end
   assert(primes(pool:map(is_prime, numbers)) == case[2])
   kit.report_all("primes" .. upto, kit.alternate(5, {
      map = function()
         for _ = 1, case[1] do pool:map(is_prime, numbers) end
         return case[1]
      end,
      loop = function()
         for _ = 1, case[1] do loop(is_prime, numbers) end
         return case[1]
      end,
   }), 1e6)
end
pool:close()
