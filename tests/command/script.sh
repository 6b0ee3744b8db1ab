#!/bin/sh
# script.sh: how a script is found, loaded, called and judged.
. "$(dirname "$0")/common"

# What a script returns.
returns() {
   write r.lua <<END
$2
END
   run "$flowrun" r.lua; is "$1"; out ''
}
returns 0 '';               quiet
returns 0 'return';         quiet
returns 0 'return true';    quiet
returns 0 'return nil';     quiet
returns 0 'return 0';       quiet
returns 0 'return "x", 1';  quiet
returns 0 'return {}';      quiet
returns 1 'return false'
returns 1 'return false, "why"'
returns 3 'os.exit(3)';     quiet
returns 0 'os.exit()';      quiet
returns 0 'os.exit(true)';  quiet
returns 1 'os.exit(false)'; quiet
returns 7 'require("flowrun").threads(2):map(print, {}) os.exit(7, true)'; quiet
returns 4 'pcall(os.exit, 4)'
returns 5 'coroutine.wrap(function() os.exit(5) end)()'
returns 6 'require("flowrun").async(function() os.exit(6) end):result()'

# A script that cannot be compiled: status 2, its place, nothing run.
write syntax.lua <<'END'
print("not run")
local x = = 1
END
run "$flowrun" syntax.lua;  is 2; out ''; err_has 'syntax\.lua:2:.*='; lines 2
write unfinished.lua <<'END'
for i = 1, 2 do
END
run "$flowrun" unfinished.lua; is 2; err_has 'unfinished\.lua:[12]:'
printf '\033Lua' >binary.lua
run "$flowrun" binary.lua;  is 2; out ''; err_has 'binary'; err_has 'binary\.lua'
cat >dump.lua <<'END'
local file = io.open("dumped.lua", "wb")
file:write(string.dump(function() print("not run") end))
file:close()
END
run "$flowrun" dump.lua;    is 0
run "$flowrun" dumped.lua;  is 2; out ''; err_has 'binary'; err_has 'dumped\.lua'
input=dumped.lua
run "$flowrun" -;           is 2; out ''; err_has 'binary'
input=/dev/null
: >empty.lua
run "$flowrun" empty.lua;   is 0; out ''; quiet
printf 'print("no newline")' >noline.lua
run "$flowrun" noline.lua;  is 0; out 'no newline'
printf 'print("a")\r\nprint("b")\r\n' >dos.lua
run "$flowrun" dos.lua;     is 0; out 'a
b'

# A script that raises: status 1; file, line, message and traceback on stderr.
write raises.lua <<'END'
local function deeper()
   error("no such mesh")
end
local function deep() deeper() return 1 end
deep()
print("not reached")
END
run "$flowrun" raises.lua;  is 1; out ''
err_has 'raises\.lua:2: no such mesh'
err_has 'traceback'
err_has 'raises\.lua:4'
err_has 'raises\.lua:5'
write nilcall.lua <<'END'
local t = {}
t.missing()
END
run "$flowrun" nilcall.lua; is 1; err_has "nilcall\.lua:2:.*missing"
write table.lua <<'END'
error(setmetatable({}, { __tostring = function() return "shown by __tostring" end }))
END
run "$flowrun" table.lua;   is 1; out ''; err_has 'shown by __tostring'
for value in '{ 1 }' 'nil' '42' 'print' 'true' \
             'setmetatable({}, { __tostring = function() error("again") end })'; do
   echo "error($value)" >value.lua
   run "$flowrun" value.lua; is 1; out ''; holds -s err
done
# A table is shown by what is in it, in the same order in each run.
says() {
   echo "error($2)" >value.lua
   run "$flowrun" value.lua; is 1; label="error($2)"; holds "$(head -n 1 err)" = "flowrun: $1"
}
says '{code=42, deck="a", step={1, 2}}' '{ step = { 1, 2 }, deck = "a", code = 42 }'
says '{a=1}' 'setmetatable({ a = 1 }, { __index = error })'
says '(error object is a table value)' '{ io.stdout }'
echo 'error("no position", 0)' >level.lua
run "$flowrun" level.lua;   is 1; err_has 'no position'
echo 'local function f() return 1 + f() end f()' >overflow.lua
run "$flowrun" overflow.lua; is 1; err_has 'stack overflow'
write printed.lua <<'END'
print("before")
io.write("half")
error("then this")
END
run "$flowrun" printed.lua; is 1; out_has '^before'; out_has '^half'; err_has 'then this'

# arg and ... as in stock Lua.
write args.lua <<'END'
local low = 0
while arg[low - 1] do low = low - 1 end
for i = low + 1, #arg do io.write(i, "=", arg[i], " ") end
print(select("#", ...), ...)
END
run "$flowrun" args.lua;              is 0; out '0=args.lua 0'
run "$flowrun" args.lua a 'b c' '';   is 0; out '0=args.lua 1=a 2=b c 3= 3	a	b c	'
run "$flowrun" -j 2 args.lua -x;      is 0; out '-2=-j -1=2 0=args.lua 1=-x 1	-x'
write self.lua <<'END'
local low = 0
while arg[low - 1] do low = low - 1 end
print(arg[low])
END
run "$flowrun" self.lua;              is 0; out "$flowrun"
run "$flowrun" ./self.lua;            is 0
input=args.lua
run "$flowrun" - one;                 is 0; out '0=- 1=one 1	one'
input=/dev/null

# From stdin.
write stdin.txt <<'END'
local flow = require "flowrun"
print(flow.threads(1):submit(function(x) return x * 2 end, 21):result())
END
input=stdin.txt
run "$flowrun" -;                     is 0; out 42; quiet
write stdin.txt <<'END'
print(1)
error("from stdin")
END
run "$flowrun" -;                     is 1; out 1; err_has 'stdin:2: from stdin'
input=/dev/null
run "$flowrun" -;                     is 0; out ''; quiet

# A script that is a program.
mkdir bin 'a dir'
ln -s "$flowrun" bin/flowrun
write 'a dir/my script.lua' <<'END'
#!/usr/bin/env flowrun
-- line 2
print("hello", arg[0], ...)
if ... == "raise" then error("at line 4") end
END
chmod +x 'a dir/my script.lua'
PATH=$work/bin:$PATH
run './a dir/my script.lua' x 'y z';  is 0; out 'hello	./a dir/my script.lua	x	y z'
run './a dir/my script.lua' raise;    is 1; err_has 'my script\.lua:4: at line 4'
run flowrun 'a dir/my script.lua';    is 0; out 'hello	a dir/my script.lua'
printf '#!only this line' >hash.lua
run flowrun hash.lua;                 is 0; out ''
printf '\357\273\277print("after a mark")\n' >mark.lua
run flowrun mark.lua;                 is 0; out 'after a mark'

# From another directory; modules by LUA_PATH; nothing is left behind.
mkdir -p far/away
write far/mod.lua <<'END'
return { name = "mod" }
END
write far/use.lua <<'END'
local flow, mod = require "flowrun", require "mod"
print(mod.name, flow.threads(1):submit(function() return mod.name end):result())
END
cd far/away
LUA_PATH="$work/far/?.lua;;"; export LUA_PATH
run "$flowrun" ../use.lua;            is 0; out 'mod	mod'; quiet
unset LUA_PATH
rm -f out err wanted
holds -z "$(ls -A)"
cd "$work"
: >out; : >err

# Names that a shell or a pattern would mind.
for name in '-dash.lua' 'a%b.lua' "quo'te.lua" 'ümlaut.lua'; do
   echo 'print "ok"' >"./$name"
   run "$flowrun" "./$name";          is 0; out ok
done

# No global of ours beside arg.
write names.lua <<'END'
local known = {}
for name in ([[_G _VERSION arg assert bit collectgarbage coroutine debug dofile
   error gcinfo getfenv getmetatable io ipairs jit load loadfile loadstring math
   module newproxy next os package pairs pcall print rawequal rawget rawlen
   rawset require select setfenv setmetatable string table tonumber tostring
   type unpack utf8 warn xpcall]]):gmatch("%S+") do known[name] = true end
require "flowrun"
for name in pairs(_G) do if not known[name] then print(name) end end
assert(table.pack and table.unpack)
END
run "$flowrun" names.lua;             is 0; out ''

finish
