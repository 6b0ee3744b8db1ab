#!/usr/bin/env flowrun
-- queue_lock.lua: four workers take numbers out of one queue and add the primes
-- among them to one list. To read the list and to write it back are two steps,
-- so a lock is held around both. (map needs no queue, no lock and no list.)
local flow = require("flowrun")

local function is_prime(n)
   for d = 2, math.floor(math.sqrt(n)) do
      if n % d == 0 then return false end
   end
   return n > 1
end

local numbers, lock, output = flow.queue(), flow.lock(), flow.dict()

local function add_prime(n)
   local primes = output:get("primes") or {}
   primes[#primes + 1] = n
   output:set("primes", primes)
end

local function process_numbers()
   for n in function() return (numbers:pop()) end do
      if is_prime(n) then lock:hold(add_prime, n) end
   end
end

local pool, workers = flow.pool(), {}
for i = 1, 4 do workers[i] = pool:submit(process_numbers) end
for n = 1, 50 do numbers:push(n) end
numbers:close()
flow.gather(workers)

local primes = output:get("primes")
table.sort(primes)
print(#primes .. " primes: " .. table.concat(primes, " "))
