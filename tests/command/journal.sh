#!/bin/sh
# journal.sh: flowrun show and flowrun why, on journals of runs that have ended,
# that were killed and that go on.
. "$(dirname "$0")/common"

write grid.lua <<'END'
local flow = require "flowrun"
local factor = tonumber(arg[1])
local extra = arg[2]
local function mesh(n) return n * factor end
local function solve(n)
   if extra then n = n + #extra end
   if n == 6 then error("bad element 6") end
   if n == 8 then os.exit(9) end
   return { n = n }
end
local pool = flow.forks(2)
local list = {}
for i = 1, 3 do list["case " .. i] = i end
local meshes = pool:with{ name = "mesh" }:scatter(mesh, list)
flow.settle(meshes)
flow.settle(pool:with{ name = "solve" }:scatter(solve, { x = 2 * factor, y = 3 * factor, z = 8 }))
local bad = pool:with{ name = "bad" }:submit(function() error("no \27[31mred\nlines") end)
local after = pool:with{ name = "after", after = { bad } }:submit(function() end)
after:try()
pool:with{ name = 'a "b", c' }:submit(function() end)
pool:with{ name = "c1 \194\155 \226\128\168" }:submit(function() end)
END

run "$flowrun" --journal j grid.lua 2
is 0; holds "$(ls)" = "$(printf 'err\ngrid.lua\nj\nout\n')"

# The table.
run "$flowrun" show j
is 0; quiet
out_has '^ +id state +seconds +memory  task$'
out_has '^ +[0-9]+ done +[0-9.]+ +([0-9.]+M|-)  mesh \[case 2\]$'
out_has '^ +[0-9]+ failed .*  solve \[y\]: grid.lua:7: bad element 6$'
out_has 'bad: grid.lua:17: no \\27\[31mred'
out_has '^6 done, 4 failed, 0 cancelled; run 1 of grid.lua, 20.*: ended$'
run "$flowrun" show --failed j
is 0; out_lacks 'mesh'; out_has 'solve \[y\]'
run "$flowrun" show j --slowest 2
is 0; holds "$(grep -Ec '^ +[0-9]+ (done|failed) +[0-9]' out)" = 2

# As data.
run "$flowrun" show j --csv
is 0; quiet
holds "$(head -1 out | cut -d, -f1-5)" = id,name,key,state,seconds
out_has '^[0-9]+,mesh,case 1,done,'
out_has '^[0-9]+,"a ""b"", c",,done,'
run "$flowrun" show --failed --slowest=1 --json j
is 0; quiet
holds "$(head -c 2 out)" = '[ '
out_has '"state":"failed"'
out_lacks '"state":"done"'
run "$flowrun" show --json j
is 0; out_has '"message":"grid.lua:17: no \\u001b\[31mred'
out_has '"name":"a \\"b\\", c"'
# Neither has a byte that could steer a terminal.
out_has '"name":"c1 \\u009b \\u2028"'
holds "$(LC_ALL=C tr -d '\12\40-\176' <out | wc -c)" = 0
run "$flowrun" show --csv j
is 0; out_has ',"?grid.lua:17: no \\27\[31mred'; out_has ',c1 \\194\\155 '
holds "$(LC_ALL=C tr -d '\11\12\40-\176\200-\377' <out | wc -c)" = 0

# Why: each end.
run "$flowrun" why j 'solve [y]'
is 0; quiet
out_has '^solve \[y\] \(id [0-9]+, run 1\) failed \(error\): grid.lua:7: bad element 6; it ran for '
out_has '^  traceback:$'
run "$flowrun" why j 'solve z'
is 0; out_has '^solve \[z\] .* died: the task called os.exit\(9\)'
run "$flowrun" why j after
is 0; out_has '^after \(id [0-9]+, run 1\) was never started: bad, which it waits for, failed'
out_has '^  because of:$'; out_has 'no \\27\[31mred'
run "$flowrun" why j 'mesh[case 1]'
is 0; out_has '^mesh \[case 1\] .* was done in .* on worker [12] of pool 1'
run "$flowrun" why j mesh
is 0; out_has '^3 tasks are called so'
out_has '^  [0-9]+  mesh \[case 3\]: done$'
run "$flowrun" why j 1
is 0; out_has '\(id 1, run 1\)'
run "$flowrun" why j nothing
is 2; err_has "no task 'nothing' in this journal; flowrun show lists them"

# Why it ran again: what it reads has changed, an argument has, it had failed.
run "$flowrun" --journal j grid.lua 3
is 0
run "$flowrun" why j 'mesh [case 1]'
is 0; out_has 'run 2\) was done'
out_has '^  it ran again, though run 1 has it \(id [0-9]+\): upvalue factor changed$'
run "$flowrun" why j 'solve [y]'
out_has '^  it ran again, though run 1 has it \(id [0-9]+\): argument 1 changed$'
run "$flowrun" why j 'solve [z]'
out_has '^  it ran again, though run 1 has it \(id [0-9]+\): it had failed$'
sed -i 's/return n \* factor/return factor * n/' grid.lua
run "$flowrun" --journal j grid.lua 3
run "$flowrun" why j 'mesh [case 1]'
out_has '^  it ran again, though run 2 has it \(id [0-9]+\): function.* changed$'
run "$flowrun" why j 'solve [x]'
is 0; out_has '^  it ran again, though run 2 has it|^  run 3 took its result from here$'

# What a user of sqlite3 sees.
if command -v sqlite3 >/dev/null; then
   run sqlite3 j "select name, key, seconds >= 0 from task where state='failed' and run=1 and name='solve' and key='y'"
   is 0; out 'solve|y|1'
   run sqlite3 j 'select count(*) from failures; select count(*) > 0 from slowest'
   is 0; holds "$(tail -1 out)" = 1
fi

# A run that goes on, then is killed.
write gate.lua <<'END'
local flow = require "flowrun"
local pool, solver = flow.forks(3), flow.limit("solver", 1)
local function wait() while not io.open("go") do flow.sleep(0.02) end end
local gate = pool:with{ name = "gate" }:submit(wait)
local held = pool:with{ name = "solve", limit = solver }:scatter(wait, { 1, 2, 3 })
local late = pool:with{ name = "late" }:submit(function(_) end, gate)
flow.settle(held)
late:result()
END
"$flowrun" --journal live gate.lua >/dev/null 2>&1 &
victim=$!
tries=0
until "$flowrun" why live late >/dev/null 2>&1; do
   tries=$((tries + 1)); [ $tries -lt 600 ] || break
   perl -e 'select undef, undef, undef, 0.05'
done
run "$flowrun" show live
is 0; quiet
out_has '^ +- running .* gate$'
out_has '^ +2 waiting +for limit solver$'
out_has '^ +1 waiting +for dependency$'
out_has ': goes on, pid [0-9]+$'
run "$flowrun" why live late
is 0; out_has '^late waits since .* for a task on which it depends: gate$'
run "$flowrun" why live 'solve 3'
is 0; out_has '^solve \[3\] waits since .* for a seat of the limit solver$'
run "$flowrun" why live gate
is 0; out_has '^gate runs since .* on worker [123] of pool 1$'
run "$flowrun" --journal live gate.lua
is 4; err_has "live: in use by pid $victim\$"
# What it says grows with the clock, not with the run's last picture of itself.
kill -STOP $victim
run "$flowrun" why live gate; cp out before
perl -e 'select undef, undef, undef, 0.1'
run "$flowrun" why live gate;             out_has '^gate runs since '
label='a run that was stopped'; holds "$(cat out)" != "$(cat before)"
kill -CONT $victim
kill -KILL $victim; wait $victim 2>/dev/null
run "$flowrun" show live
is 0; out_has ': was killed$'
run "$flowrun" why live gate
is 0; out_has '^gate ran, when its run was killed, since .* it runs in the next run$'
: >go
run "$flowrun" --journal live gate.lua
is 0
run "$flowrun" show live
is 0; out_has '^5 done, 0 failed, 0 cancelled; run 2 of gate.lua'
run "$flowrun" why live 'solve [3]'
is 0; out_has 'was done'

# What a limit made wait is told afterwards, too.
write queue.lua <<'END'
local flow = require "flowrun"
local pool, solver = flow.forks(3), flow.limit("solver", 1)
local function work() local stop = flow.now() + 0.05; while flow.now() < stop do end end
flow.settle(pool:with{ name = "solve", limit = solver }:scatter(work, { 1, 2, 3 }))
END
run "$flowrun" --journal queue queue.lua
is 0
run "$flowrun" why queue 'solve [3]'
is 0; out_has '^  it waited .* for a seat of the limit solver$'

# Words, files.
run "$flowrun" show
is 2; err_has 'usage: flowrun show RUN.journal'
run "$flowrun" show --help
is 0; quiet; out_has '^usage: flowrun show RUN.journal'
run "$flowrun" why -h
is 0; quiet; out_has '^usage: flowrun why RUN.journal TASK'
run "$flowrun" show --slowest x j
is 2
run "$flowrun" show --csv --json j
is 2
run "$flowrun" why j
is 2; err_has 'usage: flowrun why RUN.journal TASK'
run "$flowrun" show missing
is 4; err_has 'missing: there is no journal'
run "$flowrun" show grid.lua
is 4; err_has 'grid.lua: this is not a journal'
run "$flowrun" why .  x
is 4; err_has 'this is a directory, not a journal'
holds "$(ls ./*-wal ./*-shm ./*.lock 2>/dev/null)" = ''
finish
