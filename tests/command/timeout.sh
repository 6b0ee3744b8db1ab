#!/bin/sh
# timeout.sh: the deadline of a run.
. "$(dirname "$0")/common"

late() {
   cat >late.lua
   run "$flowrun" --timeout 0.3 late.lua
   is 124
   holds -s err
   out_lacks 'not reached'
}

late <<'END'
while true do end
END
late <<'END'
local x = 0
while true do x = (x + math.sin(x)) % 7 end
END
late <<'END'
while true do pcall(string.rep, "x", 10) end
END
late <<'END'
while true do pcall(error, "swallowed") end
END
late <<'END'
require("flowrun").sleep(1000)
print "not reached"
END
mkfifo fifo
late <<'END'
io.open("fifo"):read()
print "not reached"
END
late <<'END'
local flow = require "flowrun"
flow.threads(1):submit(function() while true do end end):result()
print "not reached"
END
late <<'END'
local flow = require "flowrun"
local futures = flow.threads(2):scatter(function() flow.sleep(1000) end, { 1, 2, 3, 4 })
flow.gather(futures)
print "not reached"
END
late <<'END'
local flow = require "flowrun"
flow.threads(1):submit(function() while true do end end)
END
late <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
pool:map(function(x) while x > 0 do x = x + 1 end end, { 1, 2, 3 })
print "not reached"
END
late <<'END'
local flow = require "flowrun"
flow.async(function() flow.sleep(1000) end):result()
print "not reached"
END
# Whatever they wait for, each other too; the sanitizer finds what is left.
late <<'END'
local flow = require "flowrun"
local queue, pool = flow.queue(), flow.threads(1)
local a = flow.async(function() queue:pop() end)
local b = flow.async(function() return a:result() end)
flow.async(function() return b:result() end)
flow.async(function() flow.exec{ "sleep", "1000" } end)
pool:with{ after = a }:submit(print)
pool:submit(function() flow.sleep(1000) end):result()
print "not reached"
END
late <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
while true do pool:submit(function() return 1 end):result() end
END
late <<'END'
pcall(function() while true do end end)
print "not reached"
END

# What was printed before is there; from inside the script too.
write printed.lua <<'END'
local flow = require "flowrun"
print "printed"
io.write "half"
flow.threads(1):submit(function() print "by a task" while true do end end):result()
END
run "$flowrun" --timeout 0.5 printed.lua; is 124
out_has '^printed'; out_has 'half'; out_has 'by a task'
write inside.lua <<'END'
local flow = require "flowrun"
flow.options { timeout = 0.3 }
flow.sleep(1000)
END
run "$flowrun" inside.lua;                is 124; holds -s err
run "$flowrun" --timeout 0.2 inside.lua;  is 124

# A run in time is not touched by its deadline.
write quick.lua <<'END'
local flow = require "flowrun"
print(#flow.threads(2):map(function(x) return x end, { 1, 2, 3 }))
END
run "$flowrun" --timeout 50 quick.lua;    is 0; out 3; quiet
write fails.lua <<'END'
error("before the deadline")
END
run "$flowrun" --timeout 50 fails.lua;    is 1

# An error ends a run in which functions wait.
write waits.lua <<'END'
local flow = require "flowrun"
for i = 1, 10 do flow.async(function() flow.sleep(1000) end) end
flow.sleep(0.01)
error("while they wait")
END
run "$flowrun" waits.lua;                 is 1; err_has 'while they wait'
err_lacks 'leak'

finish
