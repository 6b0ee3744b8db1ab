#!/bin/sh
# limits.sh: two runs at once, and a limit that they share.
. "$(dirname "$0")/common"
export HOME="$work/home"
mkdir "$HOME"
unset XDG_STATE_HOME

# Tasks say that they are there by a file, and wait for another.
gates='local flow = require "flowrun"
local function exists(name)
   local file = io.open(name)
   if file then file:close() end
   return file ~= nil
end
local function touch(name) io.open(name, "w"):close() end
local function await(name)
   while not exists(name) do flow.sleep(0.005) end
end
'
gated() { { printf '%s' "$gates"; cat; } >"$1"; }

# until COMMAND...: waits for it, some seconds at most.
await() {
   tries=0
   while [ ! -e "$1" ] && [ $tries -lt 3000 ]; do
      sleep 0.01
      tries=$((tries + 1))
   done
   checks=$((checks + 1))
   [ -e "$1" ] || fault "no file $1"
}

# ---- one waits for the other -----------------------------------------------
gated holds.lua <<'END'
local one = flow.limit { "one seat", 1, shared = true }
flow.threads(2):with { limit = one }:submit(function()
   touch "held"
   await "release"
   touch "released"
end):result()
END
gated waits.lua <<'END'
local one = flow.limit { "one seat", 1, shared = true }
local a, b = flow.threads(1), flow.threads(1)
local seats = flow.gather {
   a:with { limit = one }:submit(function()
      return exists "released" and flow.seat "one seat"
   end),
   b:with { limit = one }:submit(function()
      return exists "released" and flow.seat "one seat"
   end),
   a:submit(function() touch "free" end), -- what needs no seat goes on
}
print(seats[1], seats[2])
END
"$flowrun" holds.lua &
holder=$!
await held
(await free; touch release) &
run "$flowrun" waits.lua;                 is 0; out '1	1'; quiet
wait "$holder"; status=$?;                is 0
wait
holds -e free
file=$(ls "$HOME"/.local/state/flowrun/limits/*/)
label="the file: $file"
checks=$((checks + 1))
case $file in one_seat+????????????????.limit) ;; *) fault "its name" ;; esac

# ---- a run that is killed ---------------------------------------------------
rm -f held release released
"$flowrun" holds.lua 2>/dev/null &
holder=$!
await held
write other.lua <<'END'
local flow = require "flowrun"
local ok, err = pcall(flow.limit, { "one seat", 2, shared = true })
print(ok, err.kind, (err.message:gsub("^.*limit: ", "")))
END
run "$flowrun" other.lua;                 is 0; quiet
out 'false	resource	the limit has the count 1 in a run that holds seats of it, not 2'
kill -KILL "$holder"
wait "$holder" 2>/dev/null
touch released
run "$flowrun" waits.lua;                 is 0; out '1	1'
run "$flowrun" other.lua;                 is 1 # nobody holds one: it is 2 now
sed 's/"one seat", 2/"one seat", 1/' other.lua >again.lua
sed -i 's/print.*/print(ok)/' again.lua
run "$flowrun" again.lua;                 is 0; out true

# ---- misuse, and places that will not do ------------------------------------
write misuse.lua <<'END'
local flow = require "flowrun"
local function says(...) print((select(2, pcall(flow.limit, ...)))) end
says { 3, shared = true }
says { "", 3, shared = true }
says { "x", 3, shared = 1 }
flow.limit("here", 1)
says { "here", 1, shared = true }
flow.limit { "there", 1, shared = true }
says("there", 1)
says { "there", 2, shared = true }
print(flow.limit { "there", 1, shared = true })
END
run "$flowrun" misuse.lua;                is 0
out 'limit: what runs share needs a name
limit: what runs share needs a name
limit: shared: true or false expected, got number
limit here is open as not shared
limit there is open as shared
limit there is open with another count: 1, not 2
limit (there, 1)'
write place.lua <<'END'
local flow = require "flowrun"
local ok, err = pcall(flow.limit, { "x", 1, shared = true })
print(err.kind, err.message)
END
run env XDG_STATE_HOME="$work/misuse.lua" "$flowrun" place.lua; is 0
out "resource	$work/misuse.lua: Not a directory"
run env -u HOME "$flowrun" place.lua;     is 0
out 'resource	$HOME: no directory for shared limits'

finish
