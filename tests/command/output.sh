#!/bin/sh
# output.sh: where output goes, and what happens when it cannot be written.
. "$(dirname "$0")/common"

write prints.lua <<'END'
print("one line")
END
write many.lua <<'END'
for i = 1, 200000 do print("line " .. i) end
END
write tasks.lua <<'END'
local flow = require "flowrun"
flow.threads(2):map(function(i) print("task", i) end, { 1, 2, 3, 4, 5 })
END
write silent.lua <<'END'
local flow = require "flowrun"
flow.threads(1):submit(function() return 1 end):result()
END
write complains.lua <<'END'
error("to stderr")
END

# Output that is lost is never a success.
for script in prints.lua many.lua tasks.lua; do
   run sh -c '"$0" "$1" >/dev/full' "$flowrun" $script
   is 3; holds -s err
   # A stream that is closed at the start is one to nowhere, as /dev/null is.
   run sh -c '"$0" "$1" >&-' "$flowrun" $script
   is 0; quiet
done
run sh -c '"$0" silent.lua >/dev/full' "$flowrun"; is 0; quiet
run sh -c '"$0" silent.lua >&-' "$flowrun";        is 0; quiet
run sh -c '{ "$0" many.lua; echo $? >status; } | head -n 1' "$flowrun"
out 'line 1'
case $(cat status) in 3 | 141) ;; *) fault "status $(cat status) for a closed pipe" ;; esac
write fails.lua <<'END'
print("lost")
error("and an error")
END
run sh -c '"$0" fails.lua >/dev/full' "$flowrun"
holds "$status" != 0; err_has 'and an error'

# Streams that are closed at the start are not taken for something else.
run sh -c '"$0" prints.lua <&-' "$flowrun";        is 0; out 'one line'; quiet
run sh -c '"$0" prints.lua 2>&-' "$flowrun";       is 0; out 'one line'
run sh -c '"$0" complains.lua 2>&-' "$flowrun";    is 1; out ''
run sh -c '"$0" silent.lua <&- >&- 2>&-' "$flowrun"; is 0
write opens.lua <<'END'
local file = assert(io.open("kept.txt", "w"))
print("printed")
io.stderr:write("complained\n")
file:write("kept")
file:close()
END
for close in '<&-' '<&- 2>&-' '2>&-'; do
   run sh -c "\"\$0\" opens.lua $close" "$flowrun"
   is 0; out printed
   holds "$(cat kept.txt)" = kept
done

# stdout is the script's alone.
write failing.lua <<'END'
local flow = require "flowrun"
flow.threads(1):with { name = "mesh 200" }:submit(function() error("no elements") end)
END
run "$flowrun" failing.lua;    is 1; out ''; err_has 'mesh 200'; err_has 'no elements'
run "$flowrun" -q failing.lua; is 1; out ''; err_has 'no elements'
run "$flowrun" -v failing.lua; is 1; out ''; err_has 'no elements'

# No colour where it is not wanted.
esc=$(printf '\033')
for environment in NO_COLOR=1 TERM=dumb TERM=xterm; do
   run env -u NO_COLOR "$environment" "$flowrun" failing.lua
   is 1; err_lacks "$esc"
done
run env -u NO_COLOR "$flowrun" --color never failing.lua; is 1; err_lacks "$esc"
run env -u NO_COLOR CLICOLOR_FORCE=1 "$flowrun" --color never failing.lua
is 1; err_lacks "$esc"
if script --version >/dev/null 2>&1; then
   for environment in NO_COLOR=1 TERM=dumb; do
      run env -u NO_COLOR "$environment" script -qec "'$flowrun' failing.lua" /dev/null
      out_has 'no elements'; out_lacks "$esc"
   done
fi

# Names and messages cannot drive the terminal.
write rude.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
pool:with { name = "a\27[31mb\nc" }:submit(function() error("x\27]0;title\7y", 0) end)
END
run "$flowrun" rude.lua; is 1; err_lacks "$esc"

# Tasks print by lines.
write lines.lua <<'END'
local flow = require "flowrun"
local items = {}
for i = 1, 500 do items[i] = i end
flow.gather(flow.threads():scatter(function(n)
   for line = 1, 4 do io.write("<", n, " ", line) io.write(">\n") end
end, items))
END
run "$flowrun" -j 4 lines.lua; is 0; quiet; out_lacks '^[^<]|[^>]$|>.|.<'
holds "$(wc -l <out)" = 2000
holds "$(sort -u out | wc -l)" = 2000
holds "$(grep -c '^<77 [1-4]>$' out)" = 4
holds "$(grep '^<77 ' out | tr -d '\n')" = '<77 1><77 2><77 3><77 4>'
run sh -c '"$0" -j 4 lines.lua | cat' "$flowrun"; is 0; holds "$(wc -l <out)" = 2000

finish
