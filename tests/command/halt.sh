#!/bin/sh
# halt.sh: --halt WHEN and flow.options{ halt = }, for the whole run.
. "$(dirname "$0")/common"

write tasks.lua <<'END'
local flow = require "flowrun"
local function work(item)
   if item == "bad" then error("it is bad", 0) end
   return item
end
local pool = flow.threads(1)
local a = pool:scatter(work, { 1, "bad", 2, "bad" })
flow.wait(a)
local b = pool:scatter(work, { 3, "bad" })
flow.wait(b)
local words = {}
for _, t in ipairs { a, b } do
   for _, f in ipairs(t) do
      f:try()
      words[#words + 1] = f:state()
   end
end
print(table.concat(words, " "))
END
run "$flowrun" tasks.lua;                 is 0; quiet
out 'done failed done failed done failed'
run "$flowrun" --halt never tasks.lua;    is 0; quiet
run "$flowrun" --halt soon,fail=9 tasks.lua; is 0; quiet
run "$flowrun" --halt soon,fail=1 tasks.lua; is 1
out 'done failed cancelled cancelled cancelled cancelled'
err_has '^flowrun: halt: soon,fail=1 was reached; nothing was started after that$'
lines 1
run "$flowrun" --halt=now,fail=2 tasks.lua; is 1; lines 1
out 'done failed done failed cancelled cancelled'
run "$flowrun" --halt soon,fail=50% tasks.lua; is 1
out 'done failed done failed cancelled cancelled'
run "$flowrun" --halt soon,success=1 tasks.lua; is 1
out 'done cancelled cancelled cancelled cancelled cancelled'
run "$flowrun" --halt soon,done=3 tasks.lua; is 1
out 'done failed done cancelled cancelled cancelled'

# A map counts by its items; async functions are no tasks; what waits for a
# task that was stopped is stopped itself.
write map.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
local function work(i) if i % 4 == 0 then error("four", 0) end return i end
local ok, err = pcall(pool.map, pool, work, { 4, 8, 12 })
print(ok, err.kind)
flow.async(function() error("here", 0) end):try()
local f = pool:submit(work, 1)
local g = pool:submit(work, f)
print(f:try(), f:state(), g:state())
flow.wait { f, g }
print(g:state(), select(2, g:try()).kind, select(2, g:try()).cause.message)
END
run "$flowrun" map.lua;                   is 1 # g's cause is nil
run "$flowrun" --halt soon,fail=1 map.lua; is 1
out 'false	error
false	cancelled	cancelled
cancelled	cancelled	four'
run "$flowrun" --halt soon,fail=2 map.lua; is 1
out_has '^true'
err_lacks 'was reached'

# From inside; the command line wins.
write inside.lua <<'END'
local flow = require "flowrun"
flow.options { halt = "soon,fail=1" }
END
cat tasks.lua >>inside.lua
run "$flowrun" inside.lua;                is 1
out 'done failed cancelled cancelled cancelled cancelled'
err_has 'halt: soon,fail=1 was reached'
run "$flowrun" --halt soon,fail=2 inside.lua; is 1
err_has 'halt: soon,fail=2 was reached'
run "$flowrun" --halt never inside.lua;   is 0; quiet
write late.lua <<'END'
local flow = require "flowrun"
flow.threads(1)
flow.options { halt = "soon,fail=1" }
END
run "$flowrun" late.lua;                  is 1
err_has 'options: halt: set it before the first pool'

# Usage.
run "$flowrun" --halt soon tasks.lua;     is 2; lines 1
err_has "'--halt' must be never, or now or soon with fail, success or done"
run "$flowrun" --halt "fail=0" tasks.lua; is 2
run "$flowrun" --halt;                    is 2; err_has 'needs a value'
run "$flowrun" --hlat never tasks.lua;    is 2; err_has "did you mean '--halt'"
run "$flowrun" --help;                    is 0; out_has '--halt WHEN'

finish
