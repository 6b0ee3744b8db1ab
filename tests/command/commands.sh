#!/bin/sh
# commands.sh: how runs with commands end, and what commands are told; nothing is
# ever left of them.
. "$(dirname "$0")/common"
. "$root/tests/command/drive"
. "$root/tests/command/tidy"

# ---- after a crash ------------------------------------------------------------

# What a killed run could not remove, the next one does.
script stale <<'END'
flow.exec { "true", cwd = "temp" }
END
script killed <<'END'
flow.exec { "sh", "-c", ": >$D/began.1; sleep 1000", cwd = "temp",
   env = { D = os.getenv("PWD") } }
END
mkdir -m 700 tmp/flowrun-kept-mine tmp/other
drive began=1 KILL -- "$flowrun" killed.lua
gone
run "$flowrun" stale.lua; is 0; quiet
holds "$(ls tmp | tr '\n' ' ')" = 'flowrun-kept-mine other '
rm -rf tmp/*

# The helper's death costs what ran, and nothing else.
script helper <<'END'
local pool = flow.commands(2)
local function kill() return { "sh", "-c", "sleep 0.5; kill -9 $PPID; sleep 1000" } end
for i = 1, 3 do
   local err = select(2, pool:submit(kill()):try(20))
   assert(err.kind == "crashed", tostring(err))
   local r = pool:with { retries = 1, backoff = 0 }:submit { "sh", "-c",
      "sleep 0.5; if [ $FLOWRUN_ATTEMPT = 1 ]; then kill -9 $PPID; sleep 1000; fi; echo again" }
   assert(r:result(20).out == "again\n")
end
print "went on"
END
run "$flowrun" helper.lua; is 0; out 'went on'; gone; tidy

# ---- the end ---------------------------------------------------------------

script raises <<'END'
flow.commands(1):submit { "sleep", 1000, cwd = "temp" }
flow.sleep(0.05)
error("stop here")
END
run "$flowrun" raises.lua; is 1; err_has 'stop here'; gone 1; tidy 1
script exits <<'END'
flow.commands(2):submit { "sleep", 1000, cwd = "temp" }
flow.sleep(0.05)
os.exit(7, arg[1] == "close")
END
for close in close leave; do
   run "$flowrun" exits.lua $close; is 7; gone 1; tidy 1
done
script drains <<'END'
local pool = flow.commands(2)
for i = 1, 5 do pool:submit { "sh", "-c", "sleep 0.02; echo done >>drained" } end
END
run "$flowrun" drains.lua; is 0; quiet; gone 1
holds "$(grep -c done drained)" = 5

# A daemon that has left its group ends with the run.
script daemon <<'END'
flow.exec { "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &" }
END
run "$flowrun" daemon.lua; is 0; gone 5

# ---- what is told ------------------------------------------------------------

script unseen <<'END'
local pool = flow.commands(2)
pool:with { name = "the lost one" }:submit { "sh", "-c", "echo no mesh >&2; exit 3" }
pool:submit { "no-such-solver" }
END
run "$flowrun" unseen.lua
is 1; err_has 'the lost one: exit: .*3.*no mesh'; err_has 'no-such-solver'; gone 1

script raised <<'END'
flow.exec { "sh", "-c", "echo why >&2; exit 5" }
END
run "$flowrun" raised.lua
is 1; err_has 'exit: .*5.*why'

# ---- environment -------------------------------------------------------------

script env <<'END'
local solver = flow.limit("my solver", 2)
local pool = flow.commands(1):with { name = "named", limit = { [solver] = 2 } }
local function show() return { "sh", "-c", "env | grep -E '^(FLOWRUN_|MINE)' | sort" } end
io.write(pool:submit(show()):result().out)
io.write(pool:submit(show):result().out)
io.write(flow.exec(show()).out)
io.write(flow.threads(1):with { name = "task" }:submit(function() return flow.exec(show()).out end)
   :result())
io.write(flow.forks(1):with { name = "task" }:submit(function() return flow.exec(show()).out end)
   :result())
END
run env MINE=1 "$flowrun" --seed 7 env.lua
is 0; quiet
holds "$(grep -c '^FLOWRUN_SEED=7$' out)" = 5
holds "$(grep -c '^FLOWRUN_NAME=named$' out)" = 2
holds "$(grep -c '^FLOWRUN_NAME=task$' out)" = 2
holds "$(grep -c '^FLOWRUN_ATTEMPT=1$' out)" = 4
holds "$(grep -cE '^FLOWRUN_TASK=[0-9]+$' out)" = 4
holds "$(grep -cE '^FLOWRUN_SEAT_MY_SOLVER=(1,2|2,1)$' out)" = 2
holds "$(grep -c '^MINE=1$' out)" = 5
holds "$(grep -vcE '^(FLOWRUN_(SEED|NAME|ATTEMPT|TASK|SEAT_MY_SOLVER)|MINE)=' out)" = 0

# A run inside a command is a run of its own.
script outer <<'END'
local r = flow.commands(1):submit { arg[-1] or "flowrun", "env.lua", env = { MINE = false } }:result()
io.write(r.out)
END
run env MINE=1 "$flowrun" outer.lua
is 0; out_lacks MINE; gone

# Random numbers do not depend on workers.
script random <<'END'
local pool = flow.commands(tonumber(arg[1]))
local results = pool:map(function(i)
   local n = math.random(1, 1000000)
   if i % 2 == 0 then flow.exec { "true" } end
   return { "echo", n, parse = function(r) return r.out:match("%d+") .. " " .. math.random(1, 1000000) end }
end, { 1, 2, 3, 4, 5, 6 })
print(table.concat(results, "\n"))
local x = math.random()
flow.exec { "true" }
print(x ~= math.random())
END
run "$flowrun" random.lua 1; is 0; cp out one
run "$flowrun" random.lua 4; is 0
checks=$((checks + 1)); cmp -s one out || fault 'other random numbers'
holds "$(sort -u out | wc -l)" = 7

finish
