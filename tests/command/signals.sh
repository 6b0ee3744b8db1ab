#!/bin/sh
# signals.sh: a run that is told to stop dies by that signal.
. "$(dirname "$0")/common"

# Each script says its pid, then does what it does.
say='local function say(pid)
   local stat = io.open("/proc/self/stat")
   pid = stat:read("*n")
   stat:close()
   local file = io.open("pid.new", "w")
   file:write(pid, "\n")
   file:close()
   os.rename("pid.new", "pid")
end
local flow = require "flowrun"
'

# dies SIGNAL [OPTIONS]: the script on stdin, sent the signal, dies by it.
dies() {
   { printf '%s' "$say"; cat; } >wait.lua
   rm -f pid
   case $1 in INT) number=2 ;; TERM) number=15 ;; HUP) number=1 ;; esac
   (
      tries=0
      while [ ! -s pid ] && [ $tries -lt 1000 ]; do
         sleep 0.01
         tries=$((tries + 1))
      done
      kill -s "$1" "$(cat pid)"
   ) &
   killer=$!
   run perl -e 'my $s = system { $ARGV[0] } @ARGV; print STDOUT "by ", $s & 127, "\n"' \
      "$flowrun" wait.lua
   wait "$killer"
   label="$1: $(tail -n 3 wait.lua | tr '\n' ' ')"
   out_has "^by $number\$"
   out_lacks 'not reached'
   pid=$(cat pid)
   holds ! -d "/proc/$pid"
}

for signal in INT TERM HUP; do
   dies $signal <<'END'
say()
flow.sleep(1000)
print "not reached"
END
   dies $signal <<'END'
say()
while true do end
END
done

# Tasks that run do not keep it.
dies TERM <<'END'
say()
flow.threads(1):submit(function() flow.sleep(1000) end):result()
print "not reached"
END
dies INT <<'END'
local future = flow.threads(1):submit(function(f) f() while true do end end, say)
future:result()
print "not reached"
END
dies INT <<'END'
local pool = flow.threads(2)
for i = 1, 10000 do pool:submit(function() flow.sleep(1000) end) end
say()
END

dies HUP <<'END'
say()
io.read()
flow.sleep(1000)
print "not reached"
END
dies INT <<'END'
flow.async(function() flow.sleep(1000) end)
say()
for _ in flow.as_completed { flow.async(function() flow.sleep(1000) end) } do end
END
dies INT <<'END'
say()
pcall(flow.sleep, 1000)
while true do pcall(flow.sleep, 1000) end
END

# What was printed is not lost.
dies TERM <<'END'
print "printed before"
flow.threads(1):submit(function() print "by a task" end):result()
say()
flow.sleep(1000)
END
out_has 'printed before'; out_has 'by a task'

# Twice is at once.
{ printf '%s' "$say"; cat <<'END'; } >twice.lua
say()
flow.threads(1):submit(function() while true do end end):result()
END
rm -f pid
(
   while [ ! -s pid ]; do sleep 0.01; done
   pid=$(cat pid)
   for _ in 1 2 3 4 5 6 7 8 9 10; do kill -s INT "$pid" 2>/dev/null; done
) &
run perl -e 'my $s = system { $ARGV[0] } @ARGV; print "by ", $s & 127, "\n"' \
   "$flowrun" twice.lua
wait
out_has '^by 2$'

# A signal that comes while the script, or a task in a thread, waits in
# os.execute: the C library's system would let it pass.
for where in 'os.execute(...)' 'flow.threads(1):submit(os.execute, ...):wait()' \
   'flow.threads(2):map(os.execute, { ..., ... })'; do
   for number in 2 3; do
      printf 'local flow = require "flowrun"\n%s\nflow.sleep(0)\nprint "went on"\n' "$where" >execute.lua
      run perl -e 'my $s = system { $ARGV[0] } @ARGV; print "by ", $s & 127, "\n"' \
         "$flowrun" execute.lua "ulimit -c 0; kill -$number \$PPID"
      label="$number in $where"
      out_has "^by $number\$"; out_lacks 'went on'
   done
done
write execute.lua <<'END'
local flow = require "flowrun"
local function all()
   local r = {}
   for i, command in ipairs { "true", "exit 3", "kill -9 $$", "echo said" } do
      local a, b, c = os.execute(command)
      r[i] = ("%s %s %s"):format(tostring(a), tostring(b), tostring(c))
   end
   return table.concat(r, ", ")
end
print(os.execute() ~= nil, pcall(os.execute, {}))
local here = all()
print(here)
for _, kind in ipairs { "threads", "forks" } do print(flow[kind](1):submit(all):result() == here) end
END
run "$flowrun" execute.lua;               is 0; quiet
case $flowrun in
*luajit) out_has '^0 nil nil, 768 nil nil, 9 nil nil, 0 nil nil$' ;;
*) out_has '^true exit 0, nil exit 3, nil signal 9, true exit 0$' ;;
esac
holds "$(grep -c '^true$' out)" = 2; holds "$(grep -c '^said$' out)" = 3

# What was ignored at the start stays ignored.
{ printf '%s' "$say"; cat <<'END'; } >ignores.lua
local stat = io.open("/proc/self/stat")
local pid = stat:read("*n")
stat:close()
local signal = ...
os.execute(("kill -s %s %d"):format(signal, pid))
flow.sleep(0.05)
print(flow.threads(1):submit(function() return "went on" end):result())
END
for signal in INT HUP; do
   run sh -c 'trap "" "$1"; exec "$0" ignores.lua "$1"' "$flowrun" $signal
   is 0; out 'went on'; quiet
done
run sh -c 'trap "" PIPE; exec "$0" ignores.lua PIPE' "$flowrun"
is 0; out 'went on'

finish
