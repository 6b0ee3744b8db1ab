#!/bin/sh
# forks.sh: how a run with worker processes ends, is stopped, goes on; nothing
# is ever left of it.
. "$(dirname "$0")/common"
. "$root/tests/command/drive"

# What every script begins with: began(name) leaves a file, pass() waits until
# the fifo `gate` is opened, pid() and parent() are of this process.
cat >steps.lua <<'END'
local kit = {}
function kit.began(name) io.open("began." .. name, "w"):close() end
function kit.pass() io.open("gate"):close() end
function kit.pid()
   local file = io.open("/proc/self/stat")
   local pid = file:read("*n")
   file:close()
   return pid
end
function kit.parent()
   local file = io.open("/proc/self/stat")
   local pid = file:read("*l"):match("%) %S (%d+)")
   file:close()
   return pid
end
return kit
END
script() {
   { echo 'local flow, kit = require "flowrun", require "steps"'; cat; } >"${1:-s}.lua"
}


# ---- signals -----------------------------------------------------------

# What ends within the 2 s counts; nothing more begins.
script two <<'END'
local pools = { flow[arg[1]](1), flow[arg[2]](1) }
local futures = {}
for i, pool in ipairs(pools) do
   futures[i] = pool:submit(function(name)
      local kit = require "steps"
      kit.began(name)
      kit.pass()
      print("ended " .. name)
      return name
   end, "n" .. i)
   futures[i]:on_done(function(f) print("then " .. f:state() .. " " .. f:result()) end)
   pool:submit(print, "too late")
   pool:with { after = { futures[i] } }:submit(print, "too late")
end
futures[1]:result()
print "too late"
END
for signal in INT TERM HUP; do
   case $signal in INT) n=2 ;; TERM) n=15 ;; HUP) n=1 ;; esac
   for kinds in 'forks forks' 'threads forks' 'threads threads'; do
      drive began=2 $signal said=interrupted gate -- "$flowrun" two.lua $kinds
      label="$signal $kinds"
      out_has "^by $n,"; out_has "interrupted by SIG$signal"; out_lacks 'too late'
      out_has '^ended n1'; out_has '^ended n2'
      out_has '^then done n1'; out_has '^then done n2'
      gone 1
   done
done

# What does not end is killed, however it holds on.
script hold <<'END'
local holds = {
   loop = function(kit) kit.began(1) while true do end end,
   term = function() os.execute "trap '' TERM; : >began.1; sleep 1000" end,
   stop = function(kit)
      kit.began(1)
      os.execute("kill -STOP " .. kit.pid())
   end,
   child = function() os.execute "sleep 1000 & : >began.1; sleep 1000" end,
   daemon = function(kit) os.execute "setsid sleep 1000 & : >began.1" while true do end end,
   map = function(kit) kit.began(1) while true do end end,
}
local hold = holds[arg[1]]
local function task() return hold(require "steps") end
local pool = flow.forks(1)
if arg[1] == "map" then pool:map(task, { 1, 2, 3 }) else pool:submit(task):result() end
print "too late"
END
for hold in loop term stop child daemon map; do
   drive began=1 TERM -- "$flowrun" hold.lua $hold
   label="TERM $hold"; out_has '^by 15,'; out_lacks 'too late'; gone 1
   drive began=1 INT said=interrupted INT -- "$flowrun" hold.lua $hold
   label="INT twice $hold"; out_has '^by 2,'; gone 1
done
drive began=1 INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT INT \
   -- "$flowrun" hold.lua term
out_has '^by 2,'; gone 1

# ---- SIGKILL -----------------------------------------------------------

script many <<'END'
local pool = flow.forks(4)
kit.began("main")
local fs = pool:scatter(function() os.execute "setsid sleep 1000 & :" while true do end end,
   { 1, 2, 3, 4 })
fs[1]:result()
END
for s in 0 0.001 0.002 0.004 0.006 0.008 0.01 0.012 0.015 0.02 0.1; do
   drive began=1 sleep=$s KILL -- "$flowrun" many.lua
   label="KILL after $s"; out_has '^by 9,'; gone
done
drive began=1 workers=4:R KILL -- "$flowrun" many.lua; out_has '^by 9,'; gone

# The helper's death costs what ran, and nothing else.
script helper <<'END'
local pool = flow.forks(2)
for i = 1, 5 do
   local f = pool:submit(function()
      os.execute("kill -9 " .. require "steps".parent())
      while true do end
   end)
   local ok, err = f:try(20)
   assert(not ok and err.kind == "crashed" and err.signal == 9, tostring(err))
   local g = pool:with { retries = 3 }:submit(function(i)
      if require "flowrun".attempt() == 1 then
         os.execute("kill -9 " .. require "steps".parent())
         while true do end
      end
      return i
   end, i)
   assert(g:result(20) == i)
   assert(#pool:map(function(x) return x end, { 1, 2, 3 }) == 3)
end
print "went on"
END
run "$flowrun" helper.lua; is 0; out 'went on'; quiet; gone

# ---- Ctrl-Z --------------------------------------------------------------

script pause <<'END'
local pool = flow[arg[1]](1):with { timeout = 1.5 }
print(pool:submit(function()
   require "steps".began(1)
   require "steps".pass()
   return "in time"
end):result())
END
drive began=1 TSTP state=T workers=1:T sleep=2 CONT workers=0:T gate -- "$flowrun" pause.lua forks
out_has '^in time'; out_has 'by 0, status 0'; gone
drive began=1 TSTP state=T sleep=2 CONT state=SR gate -- "$flowrun" pause.lua threads
out_has '^in time'; out_has 'by 0, status 0'
drive began=1 TSTP state=T sleep=2 CONT state=SR gate -- \
   "$flowrun" --timeout 1.5 pause.lua forks
out_has '^in time'; out_has 'by 0, status 0'; gone
drive began=1 TSTP state=T workers=1:T TSTP CONT KILL -- "$flowrun" pause.lua forks
out_has '^by 9,'; gone
drive began=1 TSTP state=T workers=1:T INT CONT said=interrupted INT -- "$flowrun" pause.lua forks
out_has '^by 2,'; gone 1

# ---- the end ---------------------------------------------------------------

script late <<'END'
flow.forks(2):scatter(function() os.execute "setsid sleep 1000 & :" while true do end end,
   { 1, 2, 3 })
END
run "$flowrun" --timeout 0.5 late.lua; is 124; err_has deadline; gone 1
script exits <<'END'
local fs = flow.forks(2):scatter(function() require "steps".began(1) while true do end end, { 1, 2, 3 })
while not io.open "began.1" do flow.sleep(0.01) end
os.exit(7, arg[1] == "close")
END
for close in close leave; do
   rm -f began.*
   run "$flowrun" exits.lua $close; is 7; gone 1
done
script raises <<'END'
flow.forks(1):scatter(function() print "begun" while true do end end, { 1, 2, 3 })
error "stop here"
END
run "$flowrun" raises.lua; is 1; err_has 'stop here'; gone 1
script ends <<'END'
local pool = flow.forks(2)
for i = 1, 5 do pool:submit(function(i) print("done " .. i) end, i) end
END
run "$flowrun" ends.lua; is 0; quiet; gone 1
holds "$(grep -c done out)" = 5
script unseen <<'END'
flow.forks(1):with { name = "the lost one" }:submit(error, "no mesh")
END
run "$flowrun" unseen.lua; is 1; err_has 'the lost one: error: .*no mesh'; gone 1

# ---- files -----------------------------------------------------------------

script prints <<'END'
local pool = flow.forks(2)
pool:map(function(i) print("line " .. i) end, { 1, 2, 3, 4 })
io.stderr:write("ready\n")
END
for closed in '' '<&-' '>&-' '2>&-' '<&- >&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
   run sh -c "timeout 20 \"\$0\" prints.lua $closed" "$flowrun"
   label="closed: $closed"
   holds "$status" -lt 4
   case $closed in *'>&-'*) ;; *) is 0; holds "$(grep -c '^line' out)" = 4 ;; esac
   gone
done
run sh -c '"$0" prints.lua >/dev/full' "$flowrun"; is 3; err_has 'standard output'; gone
run perl -e 'pipe R, W; close R; open STDOUT, ">&W"; close W; $SIG{PIPE} = "DEFAULT";
   my $s = system { $ARGV[0] } @ARGV; print STDERR "by ", $s & 127, " ", $s >> 8, "\n"' \
   "$flowrun" prints.lua
err_has '^by (13 0|0 3)$'; gone

# ---- limits of the machine ---------------------------------------------------

script wide <<'END'
local n = 0
for _ in pairs(flow.forks(40):map(function(x) return x end, { 1, 2, 3, 4, 5, 6, 7, 8 })) do n = n + 1 end
print(n)
END
run sh -c 'ulimit -n 40; exec timeout 20 "$0" wide.lua' "$flowrun"
case $status in 0) out 8 ;; *) is 3; err_has 'open files|descriptors' ;; esac
gone
run sh -c 'ulimit -n 8; exec timeout 20 "$0" wide.lua' "$flowrun"
case $status in 0) out 8 ;; *) is 3; err_has 'open files|descriptors' ;; esac
gone

finish
