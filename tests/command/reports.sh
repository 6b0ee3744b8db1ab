#!/bin/sh
# reports.sh: --report, --trace, --joblog, flow.options{ report = }: what stands
# in the files, whatever the names are, and what becomes of an old file.
. "$(dirname "$0")/common"

# What the readers below need: JSON by our own reader, XML by a strict one.
write check.lua <<'END'
local flow = require "flowrun"
local kind, path, wanted = arg[1], arg[2], arg[3]
local checks = {}

local function utf8_only(text)
   assert(not text:find("[%z\1-\8\11\12\14-\31]"), "a control character")
end

function checks.json()
   local run = flow.yaml.read(path)
   local states = {}
   for _, task in ipairs(run.tasks) do
      assert(task.finished >= task.submitted, "times")
      states[#states + 1] = task.state
   end
   table.sort(states)
   return table.concat(states, " ") .. "; " .. run.totals.done .. " done, "
      .. run.totals.failed .. " failed"
end

-- Slices of a track are nested or apart; arrows begin before they end.
function checks.trace()
   local events, open, n, arrows = flow.yaml.read(path).traceEvents, {}, 0, {}
   for _, e in ipairs(events) do
      if e.ph == "X" then
         n = n + 1
         local stack = open[e.pid .. " " .. e.tid] or {}
         open[e.pid .. " " .. e.tid] = stack
         while stack[1] and stack[#stack] <= e.ts + 0.0011 do stack[#stack] = nil end
         assert(not stack[1] or e.ts + e.dur <= stack[#stack] + 0.0011, "overlap of " .. e.name)
         stack[#stack + 1] = e.ts + e.dur
      elseif e.ph == "s" then
         arrows[e.id] = e.ts
      elseif e.ph == "f" then
         assert(arrows[e.id] <= e.ts, "an arrow backwards")
         arrows[#arrows + 1] = nil
      end
   end
   return n .. " slices"
end

function checks.xml()
   local file = assert(io.open(path))
   local text, stack, cases = file:read("*a"), {}, 0
   file:close()
   utf8_only(text)
   assert(text:sub(1, 38) == '<?xml version="1.0" encoding="UTF-8"?>')
   local rest = text:sub(39):gsub("<!%-%-.-%-%->", "")
   for close, name, words, own in rest:gmatch("<(/?)([%w]+)([^<>]-)(/?)>") do
      words = words:gsub('%s+[%w]+="([^"<]*)"', function(value)
         assert(not value:gsub("&[%a]+;", ""):gsub("&#%d+;", ""):find("&"), value)
         return ""
      end)
      assert(words == "", "attributes of " .. name .. ": " .. words)
      if close == "/" then assert(table.remove(stack) == name, name)
      elseif own == "" then stack[#stack + 1] = name end
      if name == "testcase" and close == "" then cases = cases + 1 end
   end
   assert(#stack == 0, "open: " .. table.concat(stack, " "))
   local plain = rest:gsub("<[^<>]*>", "")
   assert(not plain:find("[<>]"), "a stray bracket")
   return cases .. " cases"
end

print(checks[kind]())
END
read_as() {
   run "$flowrun" check.lua "$1" "$2"; is 0; out "$3"
}

write run.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(2)
local hostile = {
   "<script>alert(1)</script>", "]]>", "a\tb\nc", "\27[31mred\7", "quote \" ' & \\",
   "--><!--", "\0nul", "\255\254 no utf8", "\226\128\168", "\194\155 c1", "%s %n",
   string.rep("long ", 2000), "=cmd()", "", "../../etc/passwd",
}
local futures = {}
for i, name in ipairs(hostile) do
   futures[i] = pool:with { name = name }:submit(function(n)
      if n % 3 == 0 then error("raised <b>" .. string.char(n) .. "\n& \255 ]]>", 0) end
      return n
   end, i)
end
local after = pool:with { after = { futures[1] } }:submit(function() return 1 end)
local tried = pool:with { retries = 2, retry_on = { "error" } }:submit(function()
   if flow.attempt() < 3 then error("not yet") end
end)
local keyed = pool:scatter(function(v) return v end, { ["<k>"] = 1, [7] = 2, [true] = 3 })
local mapped = pool:with { chunk = 2 }:map(function(x) return x end, { 1, 2, 3, 4, 5 })
flow.settle(futures) flow.settle(keyed) after:wait() tried:wait()
print(#mapped)
END
run "$flowrun" --report r.json --report=r.xml --trace t.json --joblog j.tsv run.lua
is 0; quiet; out 5

# 15 names, one after, one tried, three keys, and three slices of the map.
read_as json r.json "$(printf 'done %.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18)$(
   printf 'failed %.0s' 1 2 3 4 5)retried retried; 20 done, 5 failed"
read_as trace t.json '25 slices'
read_as xml r.xml '23 cases'
if command -v xmllint >/dev/null; then
   run xmllint --noout r.xml;             is 0; quiet
fi
run cat t.json r.json r.xml;              out_lacks '<script'

# GNU parallel's columns, one line a task.
run head -n 1 j.tsv
out "$(printf 'Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand')"
run awk -F '\t' 'NF != 9 || (NR > 1 && ($1 !~ /^[0-9]+$/ || $2 != ":" ||
   $3 !~ /^[0-9]+\.[0-9][0-9][0-9]$/ || $4 !~ /^ *[0-9]+\.[0-9][0-9][0-9]$/))' j.tsv
is 0; out ''
holds "$(wc -l <j.tsv)" = 24
holds "$(cut -f 7 j.tsv | grep -c '^1$')" = 5
holds "$(sed 1d j.tsv | cut -f 1 | sort -un | wc -l)" = 23
holds "$(LC_ALL=C tr -d '\11\12\40-\176\200-\377' <j.tsv | wc -c)" = 0

# What happened to a task, in each.
write ends.lua <<'END'
local flow = require "flowrun"
local pool = flow.forks(1)
local dies = pool:submit(function() os.exit(7) end)
local late = pool:with { timeout = 0.05 }:submit(function() while true do end end)
local never = flow.threads(1):with { after = { dies } }:submit(print)
flow.settle { dies, late, never }
END
run "$flowrun" --report r.json --report r.xml --joblog j.tsv ends.lua; is 0; quiet
run cut -f 7,8 j.tsv;                     out_has '^7	0$'; out_has '^-1	15$'; out_has '^-1	0$'
run cat r.xml;                            out_has '<error type="crashed"'; out_has '<error type="timeout"'
out_has 'errors="3"'
run cat r.json;                           out_has '"kind":"dependency"'; out_has '"status":7'

# A run that is ended says so, and its files are whole.
write stop.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(1)
for i = 1, 5 do pool:submit(function() flow.sleep(1000) end) end
END
run "$flowrun" --timeout 1 --report r.json --trace t.json stop.lua; is 124
run cat r.json;                           out_has '"ended_by":"the run.s deadline'
out_has '"cancelled":5'
run "$flowrun" check.lua trace t.json;    is 0

# JUnit has a case for a run that ended before its time, since what did not run
# is no failure there.
run "$flowrun" --timeout 1 --report r.xml stop.lua; is 124
run "$flowrun" check.lua xml r.xml;       is 0; out '6 cases'
run cat r.xml;                            out_has 'tests="6" failures="0" errors="1" skipped="5"'
out_has '<error type="run" message="the run.s deadline of 1 s passed"/>'
write raises.lua <<'END'
local flow = require "flowrun"
flow.threads(1):submit(function() return 1 end):result()
error("no <mesh>\nat all", 0)
END
run "$flowrun" --report r.xml --report r.json raises.lua; is 1
run cat r.xml r.json;                     out_has '<error type="run" message="no &lt;mesh&gt;"/>'
out_has '"ended_by":"no .u003cmesh.u003e"'; out_has 'tests="2" failures="0" errors="1"'
run "$flowrun" check.lua xml r.xml;       is 0; out '2 cases'

# A dry run is none: the files of the last one stay.
cp r.json before.json
run "$flowrun" --dry-run --report r.json --joblog new.tsv stop.lua; is 0; err_has '^dry run: 5 tasks'
holds "$(cat r.json)" = "$(cat before.json)"; holds ! -e new.tsv

# A run without a task, or without the module, leaves its reports all the same:
# an old file would pass for one of this run.
write nothing.lua <<'END'
print "nothing"
END
write early.lua <<'END'
local flow = require "flowrun"
error("early")
END
for file in none.json none.xml none.html; do echo old >$file; done
run "$flowrun" --report none.json --report none.xml --report none.html --trace none.trace \
   --joblog none.tsv nothing.lua;         is 0; quiet; out nothing
run "$flowrun" check.lua json none.json;  is 0; out '; 0 done, 0 failed'
run "$flowrun" check.lua xml none.xml;    is 0; out '0 cases'
run "$flowrun" check.lua trace none.trace; is 0; out '0 slices'
holds "$(grep -c '^old' none.html)" = 0; holds "$(wc -l <none.tsv)" = 1
run "$flowrun" --report none.json --report none.xml early.lua; is 1
run cat none.json none.xml;               out_has '"ended_by":"early.lua:2: early"'
out_has '<error type="run" message="early.lua:2: early"/>'

# Where it cannot be written: status 3, one line, and the old file stays.
write short.lua <<'END'
local flow = require "flowrun"
print(flow.threads(1):submit(function() return 1 end):result())
END
refused() {
   run "$flowrun" "$@" short.lua; is 3; out 1; lines 1
}
refused --joblog /dev/full;               err_has '/dev/full.*[Nn]o space'
holds -c /dev/full
ln -s /dev/full full.json
refused --report full.json --report r2.json
run "$flowrun" check.lua json r2.json;    is 0
# What can be known at the start ends the run there, before days of work.
early() {
   run "$flowrun" "$@" short.lua; is "$wanted"; out ''; lines 1
}
wanted=3
early --report no/such/dir/r.json;        err_has "cannot write 'no/such/dir/r\\.json'"
mkdir dir.json
early --report dir.json;                  err_has 'dir\.json.*directory'
early --report short.lua/r.json;          err_has "short\\.lua/r\\.json'"
early --trace "$(printf 'no/\033[31m')"; err_has 'no/.27\[31m'
wanted=2
early --report r2.json --report ./r2.json; err_has "'\\./r2\\.json' is asked for twice"
early --report new.json --trace "$work/new.json"; err_has 'twice'
early --trace short.lua;                  err_has "'short\\.lua' is the script"
early --journal run.db --joblog ./run.db; err_has 'is the journal'
holds -s short.lua; holds ! -e new.json; holds ! -e run.db
run "$flowrun" --trace /dev/null --joblog /dev/null short.lua; is 0; out 1
echo old >r.json
run sh -c '(trap "" XFSZ; ulimit -f 0; "$0" --report r.json short.lua) 2>&1 | cat' "$flowrun"
out_has '^1$'; out_has 'cannot write .r\.json'
holds "$(cat r.json)" = old
holds -z "$(find . -name '*~')"

# A link stays one, a mode stays what it was.
echo old >target.json; chmod 640 target.json; ln -s target.json link.json
run "$flowrun" --report link.json short.lua; is 0
holds -h link.json
holds "$(stat -c %a target.json)" = 640
run "$flowrun" check.lua json target.json; is 0

# Where it is the file that stdout goes to, it comes behind what stands there,
# and neither that file nor the link to it is replaced.
ln -s /proc/self/fd/1 stdout.json
run "$flowrun" --joblog /dev/stdout --report stdout.json short.lua; is 0
out_has '^Seq	Host'; out_has '^\{"flowrun":1'; holds "$(head -n 1 out)" = 1; holds -h stdout.json
run "$flowrun" --report out.json --trace out.json short.lua; is 2
write data.lua <<'END'
local flow = require "flowrun"
io.write("before\n") io.flush()
flow.json.write("stdout.json", { 1 })
flow.csv.write(arg[1], { { a = 2 } })
print "behind"
END
run "$flowrun" data.lua out;              is 0; holds -h stdout.json
out "$(printf 'before\n[1]\na\n2\nbehind')"

# From inside the script; the command line wins.
write inside.lua <<'END'
local flow = require "flowrun"
flow.options { report = { "one.json", "two.xml" } }
flow.threads(1):submit(function() return 1 end):result()
local ok, err = pcall(flow.options, { report = "late.json" })
assert(not ok and err:find "before the first pool", err)
END
run "$flowrun" inside.lua;                is 0; quiet
run "$flowrun" check.lua json one.json;   is 0
run "$flowrun" check.lua xml two.xml;     is 0
rm one.json two.xml
run "$flowrun" --report three.json inside.lua; is 0
holds -e three.json; holds ! -e one.json
run "$flowrun" --joblog four.tsv inside.lua; is 0
holds -e one.json; holds -e two.xml; holds "$(wc -l <four.tsv)" = 2
# Under a stock Lua, too; there nothing is said but what was asked for.
case $flowrun in
*luajit) stock=luajit version=5.1 ;;
*) stock=lua5.4 version=5.4 ;;
esac
case $flowrun in */asan/*|*/tsan/*) stock=none ;; esac
if command -v $stock >/dev/null; then
   write stock.lua <<'END'
local flow = require "flowrun"
flow.options { progress = "json", report = "stock.json" }
flow.threads(1):submit(function(x) error("no " .. x, 0) end, "mesh")
END
   run env LUA_CPATH="${flowrun%/*}/lua/$version/?.so" $stock stock.lua; is 0
   err_has '^\{.*"last":true\}$'; err_has '^flowrun: 1 task: 1 failed'; err_has '^arguments: "mesh"$'
   run "$flowrun" check.lua json stock.json; is 0; out 'failed; 0 done, 1 failed'
fi
for bad in '"x.pdf"' '"no/such/r.xml"' '"dir.json"' '5' '{ "a.json", "b" }' '""'; do
   printf 'require "flowrun".options { report = %s }\n' "$bad" >bad.lua
   run "$flowrun" bad.lua;                is 1; err_has 'report'
done
run "$flowrun" --report x.pdf short.lua;  is 2; out ''; err_has 'html'
run "$flowrun" --trace '' short.lua;      is 2; out ''

# Tasks that wait let others run in their worker: no overlap all the same.
write waits.lua <<'END'
local flow = require "flowrun"
local pool = flow.threads(2)
local function nested(depth)
   if depth == 0 then return 1 end
   local here, sum = flow.pool(), 0
   for _, f in ipairs(here:scatter(nested, { depth - 1, depth - 1 })) do sum = sum + f:result() end
   return sum
end
print(pool:submit(nested, 5):result())
END
run "$flowrun" --trace t.json waits.lua;  is 0; out 32
run "$flowrun" check.lua trace t.json;    is 0; out '63 slices'

finish
