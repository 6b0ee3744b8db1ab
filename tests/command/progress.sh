#!/bin/sh
# progress.sh: what is to be seen while a run lives, and its last words.
. "$(dirname "$0")/common"

# Tasks that end once their gate is there; a gate opens when something can be
# seen, so nothing here depends on how fast the machine is.
write gated.lua <<'END'
local flow = require "flowrun"
local file, pattern, n = arg[1], arg[2], tonumber(arg[3] or 3)
local function wait_for(path, what)
   local until_ = os.time() + 40
   repeat
      local f = io.open(path)
      local text = f and f:read("*a") or ""
      if f then f:close() end
      if text:find(what) then return true end
      flow.sleep(0.02)
   until os.time() > until_
   error("never seen: " .. what)
end
local licence = flow.limit("lic\27[31mence", 1)
local pool = flow.threads(2):with { limit = licence }
local futures = {}
for i = 1, n do
   futures[i] = pool:with { name = "case \27[2J" .. i }:submit(wait_for, file, pattern)
end
flow.gather(futures)
print "all seen"
END

# Lines elsewhere than on a terminal: for a run that lasts, and if asked for.
run "$flowrun" --progress plain gated.lua err 'flowrun: 0/3 %(0 %%%)'; is 0; out 'all seen'
err_has '^flowrun: 0/3 \(0 %\), 1 running, lic\\27\[31mence 1/1 full, '
run "$flowrun" -v --progress plain gated.lua err 'longest: case'; is 0
err_has 'longest: case \\27\[2J1 [0-9.]+ s'
err_has '^flowrun: 3 tasks: 3 done; .* s, in series .* s.*; seed 0$'
run "$flowrun" -q --progress plain gated.lua gated.lua local; is 0; quiet
run "$flowrun" --progress none gated.lua gated.lua local;     is 0; quiet
run "$flowrun" gated.lua gated.lua local; is 0; quiet; out 'all seen'
run "$flowrun" --progress sideways gated.lua; is 2; out ''; err_has 'auto, bar, plain, json or none'
run "$flowrun" --progress;                is 2

# One object a line; the last one says that it is the last.
run "$flowrun" --progress json gated.lua err '"done":0.*'; is 0; out 'all seen'
write objects.lua <<'END'
local flow = require "flowrun"
local last, n
for line in io.lines(arg[1]) do
   if line:find "^{" then
      n = (n or 0) + 1
      last = flow.yaml.parse(line)
      assert(last.total == 3 and last.done <= 3 and #last.limits == 1)
      assert(last.limits[1].name:find "^lic" and last.limits[1].count == 1)
      assert(last.rate >= 0 and last.seconds > 0 and last.running <= 1)
   end
end
assert(n >= 2)
print(last.done, last.failed, last.running, last.queued, last.last)
END
cp err objects
run "$flowrun" objects.lua objects;       is 0; out "3	0	0	0	true"
run "$flowrun" --progress json gated.lua gated.lua local 1; is 0
holds "$(grep -c '"last":true' err)" = 1

# The rate is of what runs here: what a journal has came in no time.
write kept.lua <<'END'
local flow = require "flowrun"
flow.gather(flow.threads(2):scatter(function(i) return i end, { 1, 2, 3, 4, 5 }))
END
run "$flowrun" -q --journal rate.journal kept.lua; is 0; quiet
run "$flowrun" --progress json --journal rate.journal kept.lua; is 0
err_has '^5 from journal'; err_has '"done":5,.*"rate":0\.000.*"last":true'

# From inside the script; the command line wins.
write inside.lua <<'END'
local flow = require "flowrun"
flow.options { progress = "json" }
flow.threads(1):submit(function() end):wait()
assert(not pcall(flow.options, { progress = "plain" }))
END
run "$flowrun" inside.lua;                is 0; err_has '"last":true'; lines 1
run "$flowrun" --progress none inside.lua; is 0; quiet
run "$flowrun" -q inside.lua;             is 0; quiet
write bad.lua <<'END'
require "flowrun".options { progress = "sideways" }
END
run "$flowrun" bad.lua;                   is 1; err_has 'bad\.lua:1:.*progress'

# ---- the last words ----------------------------------------------------------
write fails.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
local function solve(case, n) error("no mesh \27[31m for " .. case.deck, 0) end
for i = 1, 30 do
   pool:with { name = "solve " .. i }:submit(solve, { deck = "a\27.inp", id = i, list = { 1, 2.5, true } }, i)
end
END
run "$flowrun" -j 2 fails.lua "it's" 'two words' -x; is 1; out ''
err_has '^flowrun: 30 tasks: 30 failed; '
err_has '^flowrun: failed: solve 1: error: no mesh \\27\[31m for a\\27\.inp$'
err_has '^arguments: \{.*deck="a\\27\.inp".*\}, 1$'
err_has '^arguments: \{.*list=\{1, 2\.5, true\}.*\}, 1$'
holds "$(grep -c '^arguments' err)" = 1
holds "$(grep -c '^flowrun: failed: ' err)" = 20
err_has '^flowrun: \.\.\. and 10 more$'
holds "$(sed -n '$p' err)" = "flowrun: again: $flowrun -j 2 fails.lua 'it'\\''s' 'two words' -x"
holds "$(LC_ALL=C tr -d '\12\40-\176' <err | tr -d '\11' | wc -c)" = 0

# The error that ends the script is that of a task: what it was called with.
write raises.lua <<'END'
local flow = require "flowrun"
local cases = { front = { mesh = 200 }, rear = { mesh = 400, deck = "r.inp" } }
flow.threads(1):map(function(case) if case.deck then error("bad deck", 0) end end, cases)
END
run "$flowrun" raises.lua;                is 1
err_has '\[rear\]: error: bad deck'; err_has '^arguments: \{.*deck="r\.inp".*\}$'
write raises.lua <<'END'
local flow = require "flowrun"
flow.threads(1):map(function(x) if x == 7 then error("seven", 0) end end, { 1, 2, 7 })
END
run "$flowrun" raises.lua;                is 1; err_has '^arguments: 7$'
write raises.lua <<'END'
local flow = require "flowrun"
flow.forks(1):submit(function(x) os.exit(3) end, "deck"):result()
END
run "$flowrun" raises.lua;                is 1; err_has '^arguments: "deck"$'; err_has '^flowrun: again: '
run "$flowrun" -q raises.lua;             is 1; err_lacks again; err_lacks ' tasks: '

# A run in which nothing failed needs no repeating.
write false.lua <<'END'
require("flowrun").threads(1):submit(function() end):wait()
return false
END
run "$flowrun" false.lua;                 is 1; quiet

# ---- a terminal --------------------------------------------------------------
script --version >/dev/null 2>&1 || finish

# on COLUMNS ENVIRONMENT WORDS...: runs it on a terminal, what came is in `out`,
# and, as it comes, in `seen`.
on() {
   label="on a terminal: $*"
   columns=$1; shift
   : >seen; : >err
   timeout -s KILL 60 script -qfec "stty cols $columns; env $*" seen </dev/null >/dev/null 2>&1
   status=$?
   cp seen out
}
escape=$(printf '\033')
erased="$(printf '\r')$escape\\[K"

on 100 TERM=xterm "$flowrun" gated.lua seen "']'"; is 0
out_has '\[>? *\] 0/3  1 running  lic\\27\[31mence 1/1 full  '
out_lacks "$escape\\[3"
# What the script says comes when the bar is gone, and the end finds none.
out_has "${erased}all seen"
on 100 NO_COLOR= CLICOLOR_FORCE=1 TERM=xterm "$flowrun" gated.lua seen "'1 running'"; is 0
out_has "$escape\\[32m"
on 100 TERM=xterm "$flowrun" -v gated.lua seen "'s  case'"; is 0
out_has 's  case \\27\[2J1'
out_has "${erased}$escape\\[A"
on 100 TERM=dumb "$flowrun" gated.lua gated.lua local; is 0; out_lacks "$escape"
on 100 TERM=xterm "$flowrun" -q gated.lua gated.lua local; is 0; out_lacks "$escape"
on 100 TERM=xterm "$flowrun" --progress none gated.lua gated.lua local; is 0; out_lacks "$escape"

# No wider than the terminal, however narrow.
for columns in 30 40 57 80; do
   on $columns TERM=xterm "$flowrun" gated.lua seen "'0/3'"; is 0
   holds "$(tr '\r' '\n' <out | sed "s/$escape\\[[0-9;]*[A-Za-z]//g" | grep '^\[' |
      awk -v w=$columns 'length > w - 1' | wc -l)" = 0
done

# The output of tasks: whole lines around the bar, none of them lost.
write talks.lua <<'END'
local flow = require "flowrun"
local function wait_for(n)
   print("line of " .. n)
   for _ = 1, 2000 do
      local f = io.open("seen")
      local text = f:read("*a")
      f:close()
      if text:find("/4") then break end
      flow.sleep(0.02)
   end
   print("end of " .. n)
end
flow.gather(flow.forks(2):scatter(wait_for, { 1, 2, 3, 4 }))
io.write("no newline")
END
on 80 TERM=xterm "$flowrun" talks.lua;    is 0
for i in 1 2 3 4; do out_has "(^|${erased})line of $i"; out_has "(^|${erased})end of $i"; done
out_has 'no newline'

# A signal finds the bar, and leaves none.
write signal.lua <<'END'
local flow = require "flowrun"
flow.threads(1):submit(function()
   while true do
      local f = io.open("seen")
      local text = f:read("*a")
      f:close()
      if text:find("0/1") then break end
      flow.sleep(0.02)
   end
   local pid = io.open("pid"):read("*l")
   for _ = 1, tonumber(arg[1]) do os.execute("kill -TERM " .. pid) end
   flow.sleep(1000)
end):wait()
END
for times in 1 9; do
   on 80 TERM=xterm sh -c "'echo \$\$ >pid; exec \"\$0\" signal.lua $times'" "$flowrun"
   holds "$status" != 0
   out_has "${erased}flowrun: interrupted by SIGTERM"
   # Nothing is left of the bar: behind the last one comes its erasing.
   holds "$(tr -d '\n' <out | sed "s/.*$erased//" | grep -c '\[[=>]')" = 0
done

finish
