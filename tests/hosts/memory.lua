-- As a task: twice the number.  As the main program: pools, and with the word
-- "all", what else takes memory.
local n = ...
-- The compiler of LuaJIT 2.1.0-beta3 does not survive a lack of memory.
local function interpret() if jit then jit.off() end end
interpret()
if type(n) == "number" then return 2 * n end
local flow = require("flowrun")
local pool = flow.threads{ workers = 2, init = interpret }
local function work(v)
   local t = {}
   for i = 1, 200 do t[i] = { ("x"):rep(i % 50), i } end
   print("item", v)
   return { #t, v, name = tostring(v) }
end
local plain = flow.gather(pool:scatter(work, { 1, 2, a = 3 }))
assert(plain.a[2] == 3 and plain[2][1] == 200)
local list = {}
for i = 1, 100 do list[i] = i end
assert(pool:map(function(v) return v + 0.5 end, list)[100] == 100.5)
local first = pool:submit(work, 7)
local done = false
first:on_done(function() done = true end)
local second = pool:with{ after = { first }, retries = 1, name = "second" }
   :submit(function(t) return t[2] end, first)
assert(second:result() == 7)
assert(not pool:submit(error, "meant"):try())
assert(flow.async(function() return pool:submit(work, 8):result()[2] end)
   :result() == 8)
if n == "all" then
   local forks, commands = flow.forks{ workers = 1, init = interpret }, flow.commands(1)
   assert(forks:submit(work, 9):result()[2] == 9)
   assert(commands:submit{ "echo", "10" }:result().out == "10\n")
   local queue, dict = flow.queue(), flow.dict()
   queue:push{ 1, 2 }
   dict:set("k", ("v"):rep(1000))
   assert(queue:pop()[2] == 2 and #dict:get("k") == 1000)
   local name = os.tmpname()
   flow.json.write(name, { a = { 1, 2 } })
   assert(flow.yaml.read(name).a[2] == 2)
   assert(#flow.glob(name) == 1)
   os.remove(name)
end
pool:drain()
