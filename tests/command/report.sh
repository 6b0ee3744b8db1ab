#!/bin/sh
# report.sh: --report FILE.html of a real run; what the page does with it in a
# browser is in tests/page.sh.
. "$(dirname "$0")/common"

write grid.lua <<'END'
local flow = require("flowrun")
local pool = flow.threads(2)
local solver = flow.limit("solver", 1)
local names = { "</script><script>alert(1)</script>", "<!--", "a\226\128\168b", "\27[31mred", "\255" }
local good = pool:with{ limit = solver, name = function(v) return v end }:scatter(function(v) return v end, names)
flow.settle(good)
local bad = pool:with{ name = "bad" }:submit(function() error("no <b>mesh</b>") end)
bad:try()
print(pool:map(function(x) return x + 1 end, { 1, 2, 3 })[3])
END

run "$flowrun" --report run.html grid.lua
is 0
out 4
holds -s run.html
json=$(sed -n 's/.*<script type="application\/json" id="run">\(.*\)/\1/p' run.html)
json=${json%%</script>*}
has() { checks=$((checks + 1)); printf '%s' "$json" | grep -qF -e "$1" || fault "the page's data have no $1"; }
lacks() { checks=$((checks + 1)); ! printf '%s' "$json" | grep -qF -e "$1" || fault "the page's data have $1"; }
has '"script":"grid.lua"'
has '"name":"solver","count":1'
has '"kind":"threads","workers":2'
has 'no \u003cb\u003emesh\u003c/b\u003e'
has '\u003c/script\u003e\u003cscript\u003ealert(1)'
has '\u003c!--'
has 'a\u2028b'
has '\u001b[31mred'
lacks '<'
lacks "$(printf '\033')"
# The JSON is JSON: the engine's own reader takes it.
printf '%s' "$json" >run.json
write read.lua <<'END'
local flow = require("flowrun")
local run = flow.yaml.read("run.json")
local sum = 0
for _, part in ipairs(run.costs.parts) do sum = sum + part.ns end
print(math.abs(sum - run.costs.makespan) < 100, #run.columns, #run.lanes % 3)
END
run "$flowrun" read.lua
is 0
out 'true	15	0'

# A page is the same whatever was there before; a script that fails leaves one.
echo old >run.html
echo 'require("flowrun").threads(1)' >none.lua
run "$flowrun" --report run.html none.lua
is 0
holds "$(grep -c 'application/json' run.html)" = 1
write fails.lua <<'END'
local flow = require("flowrun")
flow.threads(1):submit(function() error("first") end):result()
END
run "$flowrun" --report fails.html fails.lua
is 1
holds "$(grep -c 'first' fails.html)" -gt 0
finish
