#!/bin/sh
# ends.sh: what happens to tasks, futures and pools when a script ends.
. "$(dirname "$0")/common"

script() { { echo 'local flow = require "flowrun"'; cat; } >s.lua; run "$flowrun" "$@" s.lua; }

# A script that ends drains its pools.
script <<'END'
for i = 1, 3 do
   flow.threads(1):submit(function() flow.sleep(0.01) print("finished") end)
end
flow.pool():submit(function() print("finished") end)
print("end")
END
is 0; quiet; out_has '^end$'
holds "$(grep -c finished out)" = 4

# Tasks that hand out more at the end.
script <<'END'
local function more(n)
   print(n)
   if n > 1 then flow.pool():submit(more, n - 1) end
end
flow.threads(1):submit(more, 5)
END
is 0; quiet; out '5
4
3
2
1'

# Two pools, closed or not; a pool in a global, in a table, in an upvalue.
script <<'END'
ONE = flow.threads(2)
local two = { pool = flow.threads(2) }
local function use() return two end
ONE:submit(print, "one")
use().pool:submit(print, "two")
return use
END
is 0; quiet
holds "$(sort out | tr '\n' ' ')" = 'one two '

# An on_done at the end hands out work that is finished too.
script <<'END'
local pool = flow.threads(1)
pool:submit(function() return 1 end):on_done(function(f)
   pool:submit(function(x) print("second", x) end, f:result())
end)
END
is 0; quiet; out 'second	1'

# A finalizer that runs at the very end finds no pool to hand out to, and no crash.
script <<'END'
local pool = flow.threads(1)
local function last()
   pcall(function() return pool:submit(print, "from a finalizer") end)
end
if newproxy then
   KEEP = newproxy(true)
   getmetatable(KEEP).__gc = last
else
   KEEP = setmetatable({}, { __gc = last })
end
END
is 0

# Many failures: each is named once, the first in full, and the status is 1.
script <<'END'
local pool = flow.threads(2)
for i = 1, 20 do
   pool:with { name = "case " .. i .. "." }:submit(function() error("reason " .. i .. ".") end)
end
END
is 1; out ''
for i in 1 7 20; do
   holds "$(grep -c "case $i\\." err)" -ge 1
   err_has "reason $i\\."
done

# false, an error and a failed future: one status.
script <<'END'
flow.threads(1):submit(error, "unseen")
return false
END
is 1; err_has unseen
script <<'END'
flow.threads(1):submit(error, "unseen"):wait()
error("the script's own")
END
is 1; err_has "the script's own"
script <<'END'
flow.threads(1):submit(error, "unseen"):wait()
os.exit(0)
END
is 0

# Threads end with the script, however it ends.
script <<'END'
local pool = flow.threads(4)
pool:scatter(function() while true do end end, { 1, 2, 3, 4 })
os.exit(9, true)
END
is 9
script <<'END'
local pool = flow.threads(4)
pool:scatter(function() flow.sleep(1000) end, { 1, 2, 3, 4, 5, 6 })
error("stop here")
END
is 1; err_has 'stop here'

finish
