#!/bin/sh
# commands_stop.sh: runs with commands that are stopped: by signals, a deadline,
# for a while; nothing is ever left of them.
. "$(dirname "$0")/common"
. "$root/tests/command/drive"
. "$root/tests/command/tidy"

# ---- signals -----------------------------------------------------------

# Three ways to run one. Each says that it has begun by a file.
script long <<'END'
local how, line = arg[1], arg[2] or "sleep 1000"
local function command(i)
   return { "sh", "-c", ": >$D/began.$1; " .. line, "sh", i, cwd = "temp",
      files = { f = "x" }, env = { D = os.getenv("PWD") } }
end
if how == "main" then
   flow.exec(command(1))
elseif how == "direct" or how == "made" then
   local pool = flow.commands(2)
   local futures = {}
   for i = 1, 2 do
      futures[i] = how == "direct" and pool:submit(command(i))
         or pool:submit(command, i)
   end
   pool:submit { "sh", "-c", "echo too late >$D/late", env = { D = os.getenv("PWD") } }
   futures[1]:result()
else
   flow[how](2):map(function(i) flow.exec(command(i)) end, { 1, 2, 3 })
end
print "too late"
END
for how in main direct made threads forks; do
   case $how in main) n=1 ;; *) n=2 ;; esac
   for line in 'sleep 1000' 'trap "" TERM; while :; do sleep 1000; done'; do
      label="$how, $line"
      drive began=$n sleeps=$n:S INT said=interrupted INT -- "$flowrun" long.lua $how "$line"
      label="INT twice: $how, $line"
      out_has '^by 2,'; out_lacks 'too late'; gone; tidy
   done
   drive began=$n sleeps=$n:S INT -- "$flowrun" long.lua $how
   label="INT: $how"; out_has '^by 2,'; out_lacks 'too late'; gone 1; tidy 1
   drive began=$n sleeps=$n:S TERM -- "$flowrun" long.lua $how
   label="TERM: $how"; out_has '^by 15,'; out_lacks 'too late'; gone 1; tidy 1
   drive began=$n sleeps=$n:S KILL -- "$flowrun" long.lua $how
   label="KILL: $how"; out_has '^by 9,'; gone; tidy
   run "$flowrun" --timeout 0.5 long.lua $how
   label="--timeout: $how"; is 124; gone 1; tidy 1
done
holds ! -e late

# What ends within the 2 s counts.
script two <<'END'
local future = flow.commands(1):submit { "sh", "-c",
   ": >began.1; while [ ! -e go ]; do sleep 0.01; done; echo ended" }
future:on_done(function(f) print("then " .. f:state() .. " " .. f:result().out) end)
future:result()
END
rm -f go
(while [ ! -s err ] || ! grep -q interrupted err; do sleep 0.01; done; : >go) &
drive began=1 INT said=interrupted -- "$flowrun" two.lua
wait
out_has '^by 2,'; out_has '^then done ended'; gone

# ---- Ctrl-Z --------------------------------------------------------------

# Stopped time does not count for timeouts.
script pause <<'END'
local pool = flow.commands(1):with { timeout = 1.5 }
local command = { "sh", "-c", "sleep 1000 & : >began.1; : <gate; kill $!; echo in time" }
if arg[1] == "made" then
   print(pool:submit(function() return command end):result().out)
elseif arg[1] == "exec" then
   print(flow.forks(1):with { timeout = 1.5 }:submit(function() return flow.exec(command) end)
      :result().out)
else
   print(pool:submit(command):result().out)
end
END
for how in direct made exec; do
   drive began=1 TSTP state=T sleeps=1:T sleep=2 CONT sleeps=1:S gate -- "$flowrun" pause.lua $how
   label="TSTP: $how"; out_has '^in time'; out_has 'by 0, status 0'; gone
   drive began=1 TSTP state=T sleeps=1:T KILL -- "$flowrun" pause.lua $how
   label="TSTP KILL: $how"; out_has '^by 9,'; gone
done

finish
