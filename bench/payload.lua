-- payload.lua: milliseconds of one big value there and back, on two warm
-- workers of each kind: 1,000,000 numbers in a table and in an array, and a
-- string of 100 MB, which is beside one that is made here.
local flow = require("flowrun")
local kit = require("kit")

local n, size = 1000000, 100000000
local list, array = {}, flow.array("f64", n)
for i = 1, n do list[i], array[i] = i + 0.5, i + 0.5 end
local part = ("x"):rep(1000000)
local text = part:rep(100)

local function same(value) return value end
local function mark(a)
   a[1] = a[#a]
   return a
end

local function once(pool, fn, value, check)
   return function()
      assert(check(pool:submit(fn, value):result()))
      return 1
   end
end

for _, kind in ipairs { "threads", "forks" } do
   local pool = kit.warm(2, kind)
   kit.report_all("payload." .. kind, kit.alternate(3, {
      table = once(pool, same, list, function(back)
         return #back == n and back[n] == n + 0.5
      end),
      array = once(pool, mark, array, function(back)
         return #back == n and array[1] == n + 0.5
      end),
      string = once(pool, same, text, function(back) return #back == size end),
   }), 1000)
   pool:close()
end

kit.report_all("payload", kit.alternate(3, {
   rep = function()
      assert(#part:rep(100) == size)
      return 1
   end,
}), 1000)
