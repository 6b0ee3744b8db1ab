#!/bin/sh
# rock.sh: the rockspec names the sources that there are; `luarocks make` takes
# it where nothing was built; and stock Lua runs everything with the rock alone.
# What needs a program says which one is missing.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
luas=${LUAS-lua5.4 luajit}
command -v luarocks >/dev/null || { echo "no luarocks"; exit 77; }
[ -n "$luas" ] || { echo "no Lua"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$root" || exit 1
passed=0 failed=0 rock=flowrun-scm-1.rockspec

pass() { passed=$((passed + 1)); }
fail() {
   failed=$((failed + 1))
   echo "rock.sh: $1"
   tail -n 20 "$work/log" | sed 's/^/   /'
}
# prints NAME COMMAND...: it succeeds and prints what stands on stdin.
prints() {
   name=$1; shift
   cat >"$work/wanted"
   if timeout 60 "$@" >"$work/got" 2>"$work/log" &&
      diff "$work/wanted" "$work/got" >>"$work/log"; then pass
   else fail "$name"; fi
}

make -s "$BUILD/$rock" BUILD="$BUILD" >"$work/log" 2>&1
if diff $rock "$BUILD/$rock" >>"$work/log"; then pass
else fail "$rock has other sources: make rockspec"; fi

finish() { echo "$passed passed, $failed failed"; exit $((failed > 0)); }
# What a sanitizer built needs its library first; luarocks builds without.
case $BUILD in */asan|*/tsan) finish ;; esac

# Both at once, each in a tree of its own; what is compiled with -O0 is there in
# half of the time.
make_rock() {
   mkdir "$work/$1" && cp -R engine lua $rock "$work/$1" && cd "$work/$1" || return
   find . -name '*.o' -exec rm {} +
   HOME=$work/home luarocks "--lua-version=$2" make --tree "$work/$1/tree" \
      CFLAGS="-O0 -fPIC" LUA_INCDIR="$3"
}
for lua in $luas; do
   version=5.4; [ "$lua" = lua5.4 ] || version=5.1
   include=$(${PKG_CONFIG:-pkg-config} --cflags-only-I "$lua")
   include=${include#-I} include=${include%% *}
   make_rock "$lua" $version "$include" >"$work/$lua.log" 2>&1 &
done
wait

cat >"$work/all.lua" <<'EOF'
local flow = require("flowrun")
flow.options { journal = "run.journal", report = "run.html" }
local function twice(n) return 2 * n end
for _, pool in ipairs { flow.threads(2), flow.forks(2) } do
   print(table.concat(pool:map(twice, { 1, 2, 3 }), " "))
end
io.write(flow.commands(1):submit{ "echo", "3" }:result().out)
EOF

# A host with a thread of its own cannot be copied.
cat >"$work/thread.c" <<'EOF'
#include <pthread.h>
#include <unistd.h>
static void *idle(void *user) { for (;;) pause(); return user; }
int luaopen_thread(void *L);
int luaopen_thread(void *L)
{
    pthread_t thread;
    (void)L;
    return pthread_create(&thread, NULL, idle, NULL) != 0;
}
EOF
${CC:-cc} -shared -fPIC -pthread -o "$work/thread.so" "$work/thread.c"
cat >"$work/threaded.lua" <<'EOF'
require("thread")
local flow = require("flowrun")
print(flow.threads(1):submit(function() return "threads" end):result())
for _, kind in ipairs { "forks", "commands" } do
   print(select(2, pcall(function()
      if kind == "forks" then
         return flow.forks(1):submit(function() return "forks" end):result()
      end
      return flow.commands(1):submit{ "echo", "commands" }:result().out
   end)))
end
EOF
install="install flowrun $(sed -n 's/#define FRUN_VERSION "\(.*\)"/\1/p' engine/flowrun.h)"
missing="resource: no processes can be started"
threads="$missing: this process has threads, so a program must start them: $install"
stranger="$missing: the flowrun that was found is of another version: $install"
mkdir "$work/bin" "$work/other" "$work/tools"
ln -s /bin/echo "$work/tools/"
printf '#!/bin/sh\nexit 0\n' >"$work/other/flowrun"
cp "$work/other/flowrun" "$work/other/flowrun-luajit"
chmod +x "$work/other/"*

for lua in $luas; do
   tree=$work/$lua/tree version=5.4 program=$BUILD/flowrun
   [ "$lua" = lua5.4 ] || version=5.1 program=$BUILD/flowrun-luajit
   cp "$work/$lua.log" "$work/log"
   so=$tree/lib/lua/$version/flowrun.so
   if [ -f "$so" ]; then pass; else fail "luarocks make, $lua"; continue; fi
   if grep -q 'warning:' "$work/log"; then fail "warnings, $lua"; else pass; fi
   LUA_CPATH="$work/?.so;$so"; export LUA_CPATH
   stock=$(command -v "$lua")
   cd "$work/$lua" || exit 1
   prints "stock $lua" "$lua" "$work/all.lua" <<'EOF'
2 4 6
2 4 6
3
EOF
   if [ -s run.journal ] && grep -q '</html>' run.html; then pass
   else fail "journal and report, $lua"; fi
   # Where Lua looks for modules there is nothing that has not our name: LuaRocks
   # copies lua/ as it is.
   (cd "$tree" && find lib/lua share/lua -type f ! -path '*/flowrun/*' | sort) \
      >"$work/modules"
   prints "modules of $lua" cat "$work/modules" <<EOF
lib/lua/$version/flowrun.so
share/lua/$version/flowrun.d.lua
EOF
   prints "no program, $lua" env PATH="$work/tools" "$stock" "$work/threaded.lua" <<EOF
threads
$threads
$threads
EOF
   prints "another program, $lua" env PATH="$work/other:$work/tools" "$stock" "$work/threaded.lua" <<EOF
threads
$stranger
$stranger
EOF
   ln -s "$program" "$work/bin/"
   prints "a program in PATH, $lua" env PATH="$work/bin:$work/tools" "$stock" "$work/threaded.lua" <<EOF
threads
forks
commands

EOF
done
cd "$root" && finish
