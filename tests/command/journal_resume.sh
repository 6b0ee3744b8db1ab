#!/bin/sh
# journal_resume.sh: runs that go on where an earlier one was ended.
. "$(dirname "$0")/common"

write grid.lua <<'END'
local flow = require "flowrun"
local list = {}
for i = 1, tonumber(arg[1] or 60) do list[i] = i end
local function case(x)
   local file = io.open("ran", "a")
   file:write(x, "\n")
   file:close()
   local stop = os.clock() + tonumber(os.getenv("CASE_SECONDS") or 0)
   while os.clock() < stop do end
   return x * x
end
local sum = 0
for _, y in ipairs(flow.pool():map(case, list)) do sum = sum + y end
print(sum)
END

ran() { if [ -f ran ]; then wc -l <ran | tr -d ' '; else echo 0; fi; }
fresh() { rm -f ran j j-* j.*; }

# The first line, a second run, one that is longer.
for pool in threads forks; do
   fresh
   run "$flowrun" --pool $pool --journal j grid.lua
   is 0; out 73810
   err_has '^0 from journal, 60 new$'
   holds "$(ran)" = 60
   rm ran
   run "$flowrun" --pool $pool --journal j grid.lua
   is 0; out 73810
   err_has '^60 from journal, 0 new$'
   holds "$(ran)" = 0
   run "$flowrun" --pool $pool --journal j grid.lua 70
   is 0; out 116795
   err_has '^60 from journal, 10 new$'
   holds "$(ran)" = 10
done
run "$flowrun" -q --journal j grid.lua
is 0; quiet
holds "$(stat -c %a j)" = 600

# The file is put away: all begins again.
fresh
run "$flowrun" --journal j grid.lua
is 0; holds "$(ran)" = 60

# Killed at some moment, again and again; each run does what is missing. What
# ended in the last 0.1 s, and what was running, may run twice.
for pool in threads forks; do
   fresh
   kills=0
   while [ $kills -lt 5 ]; do
      CASE_SECONDS=0.03 "$flowrun" -j 2 --pool $pool --journal j grid.lua \
         >/dev/null 2>&1 &
      victim=$!
      perl -e 'select undef, undef, undef, 0.1 + rand 0.2'
      kill -KILL $victim 2>/dev/null
      wait $victim 2>/dev/null
      kills=$((kills + 1))
   done
   run "$flowrun" -j 2 --pool $pool --journal j grid.lua
   is 0; out 73810
   holds "$(sort -n ran | uniq | wc -l)" = 60
   holds "$(ran)" -le $((60 + 5 * 12))
   rm -f ran
   run "$flowrun" --pool $pool --journal j grid.lua
   is 0; out 73810; holds "$(ran)" = 0
done

# By Ctrl-C. Without --foreground, timeout sends it twice, to the process and to
# its group: the second ends the run at once.
fresh
CASE_SECONDS=0.05 timeout --foreground -s INT 1 \
   "$flowrun" -j 2 --journal j grid.lua >out 2>err
done_so_far=$(ran)
rm -f ran
run "$flowrun" --journal j grid.lua
is 0; out 73810
holds "$(ran)" -lt 60
holds $((done_so_far + $(ran))) -le 62

# Two runs at once: the second is refused at once, and says who has it.
fresh
write slow.lua <<'END'
local flow = require "flowrun"
print(flow.pool():submit(function()
   io.open("started", "w"):close()
   local late = os.time() + 50
   repeat until not io.open("started") or os.time() > late
   return 1
end):result())
END
"$flowrun" --journal j slow.lua >/dev/null 2>&1 &
first=$!
tries=0
while [ ! -f started ] && [ $tries -lt 500 ]; do
   perl -e 'select undef, undef, undef, 0.02'
   tries=$((tries + 1))
done
run "$flowrun" --journal j grid.lua
is 4
err_has "in use by pid $first\$"
lines 1
holds ! -f ran
rm -f started
wait $first
run "$flowrun" --journal j slow.lua
is 0; out 1

# A run that was killed leaves a log. With the file put away it counts no more.
write gated.lua <<'END'
local flow = require "flowrun"
flow.pool():submit(function() return 1 end):result()
flow.pool():submit(function(gate)
   io.open(gate, "w"):close()
   local late = os.time() + 50
   repeat until not io.open(gate) or os.time() > late
end, arg[1]):result()
END
begin() {
   "$flowrun" --journal j gated.lua "$1" >/dev/null 2>gated.err &
   gated=$!
   tries=0
   while ! { [ -f "$1" ] && "$flowrun" show j 2>&1 | grep -q '^1 done'; } \
      && [ $tries -lt 500 ]; do
      perl -e 'select undef, undef, undef, 0.02'
      tries=$((tries + 1))
   done
}
fresh
begin gate
kill -9 $gated
wait $gated 2>/dev/null
label='a log without its file'
holds -s j-wal
rm -f j gate
run "$flowrun" --journal j grid.lua
is 0; err_has '^0 from journal, [0-9]+ new$'
holds "$("$flowrun" show j | grep -c gated.lua)" = 0

# A file that is removed, or moved away, while a run writes it: that is said.
for how in 'rm -f j j-wal j-shm j.lock' 'mv j moved'; do
   fresh
   begin gate
   $how
   rm -f gate
   wait $gated
   status=$?
   label=$how
   is 4
   holds "$(grep -c 'moved or removed' gated.err)" = 1
done

# What another run has made there since is left alone.
fresh
begin gate
old=$gated
fresh
begin another
rm -f gate
wait $old
label='two runs, the file removed between'
holds -s j-wal
run "$flowrun" --journal j grid.lua
is 4; err_has "in use by pid $gated\$"
rm -f another
wait $gated
status=$?
is 0
holds ! -e j-wal -a ! -e j.lock

# What is no journal is refused, and left as it is.
echo 'some notes' >notes
run "$flowrun" --journal notes grid.lua
is 4; lines 1; err_has 'notes'
holds "$(cat notes)" = 'some notes'
mkdir directory
run "$flowrun" --journal directory grid.lua
is 4; lines 1
run "$flowrun" --journal nowhere/j grid.lua
is 4; lines 1; holds ! -e nowhere
run "$flowrun" --journal /dev/full grid.lua
is 4; lines 1
run "$flowrun" --journal '' grid.lua
is 2
write policy.lua <<'END'
local flow = require "flowrun"
local ok, err = pcall(flow.journal, "notes")
print(ok, err.kind)
flow.journal("notes")
END
run "$flowrun" policy.lua
is 4; err_has 'policy.lua:4'

# A script from the standard input has no file that its functions stand in.
fresh
input=grid.lua
run "$flowrun" --journal j -
is 0; out 73810
rm -f ran
run "$flowrun" --journal j -
is 0; out 73810; holds "$(ran)" = 0
input=/dev/null

# A script that is edited while it runs: what was loaded is not what stands
# there now.
fresh
write edited.lua <<'END'
local flow = require "flowrun"
local file = io.open("edited.lua")
local text = file:read("*a")
file:close()
file = io.open("edited.lua", "w")
file:write((text:gsub("return 1 --", "return 2 --")))
file:close()
print(pcall(function()
   return flow.pool():submit(function()
      return 1 -- as it was
   end):result()
end))
END
run "$flowrun" --journal j edited.lua
is 0; out 'true	1'
run "$flowrun" --journal j edited.lua
is 0; out 'true	2'
err_has '^0 from journal, 0 new, 1 again \(function changed\)$'
write module.lua <<'END'
local flow = require "flowrun"
local tool = require "tool"
local file = io.open("tool.lua", "w")
file:write("return { f = function(x) return x + 1 end }")
file:close()
local ok, err = pcall(function()
   return flow.pool():submit(function() return tool.f(1) end)
end)
print(ok, err.kind)
END
echo 'return { f = function(x) return x end }' >tool.lua
run "$flowrun" --journal j module.lua
is 0; out 'false	journal'

# A dry run names what would run, and touches nothing.
fresh
run "$flowrun" --dry-run --journal j grid.lua 3
is 0; out ''
err_has '^run +grid.lua:4 \[1\]\(1\)$'
err_has '^dry run: 3 tasks: 3 to run, 0 in the journal, 0 wait for others$'
holds ! -e j
holds "$(ran)" = 0
run "$flowrun" --journal j grid.lua 2
rm -f ran
run "$flowrun" --dry-run --journal j grid.lua 3
is 0; out ''
err_has '^journal grid.lua:4 \[2\]\(2\)$'
err_has '^run +grid.lua:4 \[3\]\(3\)$'
holds "$(ran)" = 0
run "$flowrun" --dry-run --journal j grid.lua 2
is 0; out 5
err_has '2 in the journal'
holds "$(echo j*)" = j
write chain.lua <<'END'
local flow = require "flowrun"
local pool = flow.pool()
local a = pool:submit(function() return { 1, name = "a\27[31m" } end)
local b = pool:submit(function(a, o) return a end, a, { x = 1.5, list = { "y" } })
flow.async(function() pool:submit(function() end, "in async"):result() end)
flow.sleep(20)
pool:close()
print "not reached"
END
run "$flowrun" --dry-run chain.lua
is 0; out ''
err_has '^waits +chain.lua:4\(future .*, \{list=\{"y"\}, x=1.5\}\)$'
err_has '"in async"'
err_lacks "$(printf '\033')"

# Commands: a dry run names their words, and neither runs one nor makes its
# directory; those that failed are told of with their last lines.
fresh
write commands.lua <<'END'
local flow = require "flowrun"
local pool = flow.commands(1)
local made = pool:submit{ "echo ran >>ran; echo made", shell = true, cwd = "made",
   collect = { "log" }, files = { log = "kept" } }
local bad = pool:with{ name = "bad" }:submit{ "sh", "-c",
   'for i in 1 2 3; do echo "line $i"; done; echo "no mesh" >&2; exit 3' }
local dead = pool:with{ name = "dead" }:scatter(function(x)
   print("deck " .. x)
   return { "echo solving; kill -SEGV $$", shell = true }
end, { x = "x" })
local late = pool:with{ name = "late", timeout = 1 }:submit{ "sh", "-c",
   "echo begun; sleep 60" }
local odd = pool:with{ name = "odd" }:submit{ "echo none", shell = true,
   parse = function(r) return tonumber(r.out) or error("no number") end }
local word = flow.threads(1):submit(function() return "word" end)
local uses = pool:submit{ "echo", word, "it's" }
if arg[1] then print(flow.exec{ "touch", "touched" }.status) end
flow.settle{ made, bad, dead.x, late, odd, uses }
END
run "$flowrun" --dry-run --journal j commands.lua
is 0; out ''
err_has "^run +echo ran .*: sh -c 'echo ran >>ran; echo made'\$"
err_has '^run +dead \[x\]\("x"\)$'
err_has "^run +odd: sh -c 'echo none'\$"
err_has "^waits +echo: echo future .* 'it'.''s'\$"
err_has '^dry run: 7 tasks: 6 to run, 0 in the journal, 1 wait for others$'
holds ! -e made
run "$flowrun" --dry-run commands.lua exec
is 0; out ''
err_has '^run +touch: touch touched$'
holds ! -e touched
run "$flowrun" --journal j commands.lua
is 0
run "$flowrun" --dry-run --journal j commands.lua
err_has '^journal echo ran .*: sh -c'
err_has '3 in the journal'
run "$flowrun" why j bad
is 0
out_has '^bad \(id [0-9]+, run 1\) failed \(exit\): sh: exit status 3: no mesh;'
out_has '^  its last lines:$'; out_has '^    line 3$'; out_has '^    no mesh$'
run "$flowrun" why j dead
out_has '^dead \[x\] .* died: sh: killed by signal 11 \(SIGSEGV\): solving; it ran for '
out_has '^    deck x$'; out_has '^    solving$'
run "$flowrun" why j late
out_has '^late .* failed \(timeout\): timed out after 1 s'
out_has '^    begun$'
run "$flowrun" why j odd
out_has '^odd .* failed \(error\): .*no number'; out_has '^    none$'
run "$flowrun" show --failed j
out_has ' bad: sh: exit status 3: no mesh$'
out_has ' dead \[x\]: sh: killed by signal 11'
run "$flowrun" show --failed --json j
out_has '"name":"bad",.*"status":3,'
out_has '"name":"dead",.*"signal":11'
run "$flowrun" --journal j commands.lua
holds "$(wc -l <made/ran)" = 1
echo more >>made/log
run "$flowrun" --journal j commands.lua
err_has '1 file changed'
holds "$(wc -l <made/ran)" = 2
run "$flowrun" why j 'echo ran >>ran; echo made'
out_has ' it ran again, though run 1 has it \(id [0-9]+\): a file that it names had changed$'

# Exit status 4 when the journal cannot be written: a limit on the file's size.
fresh
write big.lua <<'END'
local flow = require "flowrun"
for i = 1, 40 do
   flow.pool():submit(function(i) return ("x"):rep(100000) .. i end, i):result()
end
print "done"
END
label='a full disk'
(ulimit -f 600; trap '' XFSZ; timeout 60 "$flowrun" --journal j big.lua >out 2>err)
status=$?
is 4
err_has 'j'

finish
