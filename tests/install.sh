#!/bin/sh
# install.sh: what `make install` leaves, as those find it who build on it: the
# header, the libraries by pkg-config, the host programs of workflows/embed,
# stock Lua, LuaJIT's FFI, the library as one file; `make uninstall`.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$root" || exit 1
cc=${CC:-cc} passed=0 failed=0
luas=${LUAS-lua5.4 luajit}
warnings="-Wall -Wextra -Wshadow -Wconversion -Werror"

pass() { passed=$((passed + 1)); }
fail() {
   failed=$((failed + 1))
   echo "install.sh: $1"
   [ ! -s "$work/log" ] || sed 's/^/   /' "$work/log" | head -30
   : >"$work/log"
}
# ok NAME COMMAND...: it succeeds.
ok() {
   name=$1; shift
   if "$@" >"$work/log" 2>&1; then pass; else fail "$name: status $?"; fi
}
# prints NAME COMMAND...: it succeeds and prints what stands on stdin.
prints() {
   name=$1; shift
   cat >"$work/wanted"
   if timeout 60 "$@" >"$work/got" 2>"$work/log"; then :
   else fail "$name: status $?"; return; fi
   if cmp -s "$work/wanted" "$work/got"; then pass
   else diff "$work/wanted" "$work/got" >"$work/log"; fail "$name"; fi
}

: >"$work/log"
# As Debian lays it out.
layout="DESTDIR=$work/at PREFIX=/usr LIBDIR=/usr/lib/arch-linux-gnu"
ok "make install" make -s install BUILD="$BUILD" $layout
lib=$work/at/usr/lib/arch-linux-gnu
PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/at
LD_LIBRARY_PATH=$lib
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH
flags() { ${PKG_CONFIG:-pkg-config} --cflags --libs "$@"; }

# The header, alone -----------------------------------------------------------
echo '#include <flowrun.h>' >"$work/header.c"
ok "header as C11" $cc -std=c11 -pedantic $warnings -fsyntax-only \
   -I"$work/at/usr/include" "$work/header.c"
if command -v c++ >/dev/null; then
   ok "header as C++17" c++ -std=c++17 -pedantic -Wall -Wextra -Wshadow \
      -Wconversion -Werror -x c++ -fsyntax-only -I"$work/at/usr/include" \
      "$work/header.c"
fi

# The files -------------------------------------------------------------------
(cd "$work/at" && find . ! -type d | sort) >"$work/files"
while read -r file; do
   case $file in
   */bin/*) mode=755 ;; */libflowrun*.so) mode=777 ;; *) mode=644 ;;
   esac
   [ "$(stat -c %a "$work/at/$file")" = $mode ] || echo "mode of $file"
   ! grep -qF "$root" "$work/at/$file" || echo "build directory in $file"
   case $file in
   */bin/*|*.so.0|*/flowrun.so)
      ! readelf -d "$work/at/$file" | grep -E 'R(UN)?PATH|TEXTREL' || echo "in $file"
      ! readelf -W -l "$work/at/$file" | grep -E 'GNU_STACK.*E' || echo "in $file" ;;
   esac
done <"$work/files" >"$work/log"
if [ -s "$work/log" ]; then fail "installed files"; else pass; fi
if [ "$(wc -l <"$work/files")" -gt 9 ]; then pass; else fail "few files"; fi
prints "library directory in flowrun.pc" sed -n 's/^libdir=//p' \
   "$lib/pkgconfig/flowrun.pc" <<'EOF'
/usr/lib/arch-linux-gnu
EOF

# What the library shows ------------------------------------------------------
shown() { nm -D --defined-only "$1" | awk '$2 ~ /[TDBR]/ { sub(/@.*/, "", $3)
   print $3 }' | LC_ALL=C sort; }
shown "$lib/libflowrun.so.0" >"$work/shown"
prints "names of libflowrun.so.0" cat "$work/shown" <engine/flowrun.abi
for lua in $luas; do
   { cat engine/flowrun.abi
     echo frun_engine_run_script; echo frun_pool_script; } |
      LC_ALL=C sort >"$work/abi"
   shown "$lib/libflowrun-$lua.so.0" >"$work/shown"
   prints "names of libflowrun-$lua.so.0" cat "$work/shown" <"$work/abi"
done
readelf -d "$lib/libflowrun.so.0" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p' \
   >"$work/soname"
prints "soname" cat "$work/soname" <<'EOF'
libflowrun.so.0
EOF
needs_lua() { readelf -d "$lib/libflowrun.so.0" | grep -i 'NEEDED.*lua'; }
if needs_lua >"$work/log"; then fail "the core needs a Lua"; else pass; fi

# Host programs ---------------------------------------------------------------
cd workflows/embed || exit 1
# build NAME LIBRARY FLAGS...
build() {
   name=$1 library=$2; shift 2
   ok "build $name" $cc $warnings ${CFLAGS:-} -pthread -o "$work/$name" \
      "$name.c" $(flags "$library" "$@")
}
build chunks flowrun
prints chunks "$work/chunks" <<'EOF'
threads: 49999995000000
forks: 49999995000000
EOF
build guest flowrun
prints guest "$work/guest" <<'EOF'
work: done
world: as it was
handler: called
child: ours to reap
others: none
EOF
if command -v c++ >/dev/null; then
   ok "build host" c++ -std=c++17 -Wall -Wextra -Werror ${CFLAGS:-} -pthread \
      -o "$work/host" host.cpp $(flags flowrun)
   prints host "$work/host" <<'EOF'
1
2
3
task 2, item 3: no root of -1
EOF
fi
echo 'while true do end' >"$work/loop.lua"
echo 'return #("x"):rep(1e9)' >"$work/big.lua"
echo 'local x = = 2' >"$work/bad.lua"
# A host with a thread cannot be copied: what was installed starts its workers.
cat >"$work/threaded.c" <<'EOF'
#include <flowrun.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *idle(void *user) { for (;;) pause(); return user; }
int main(int argc, char **argv)
{
    frun_engine *engine = NULL;
    frun_pool *pool = NULL;
    frun_future *future = NULL;
    const frun_value *result = NULL;
    pthread_t thread;
    if (argc < 2 || pthread_create(&thread, NULL, idle, NULL) != 0
        || frun_engine_open(NULL, &engine) != FRUN_OK
        || frun_pool_open(engine, FRUN_FORKS, NULL, &pool) != FRUN_OK
        || frun_pool_script(pool, argv[1], NULL, NULL, &future) != FRUN_OK
        || frun_future_result(future, -1, &result) != FRUN_OK)
        fprintf(stderr, "%s\n", frun_engine_message(engine));
    puts(frun_value_as_str(result));
    frun_engine_close(engine);
    return 0;
}
EOF
echo 'return jit and "luajit" or "lua5.4"' >"$work/which.lua"
# Of the answers the order is that of their coming.
answers() { cat "$work/requests" | timeout 60 "$1" | sed "s|$work/||" | sort; }
# An allocator of the host's own, by a host that counts and refuses.
for lua in $luas; do
   ok "build memory" $cc $warnings ${CFLAGS:-} -pthread -o "$work/memory" \
      "$root/tests/hosts/memory.c" $(flags "flowrun-$lua") -ldl
   for what in counts "starves 997" unlucky two; do
      ok "memory $what [$lua]" timeout 300 "$work/memory" $what \
         "$root/tests/hosts/memory.lua"
   done
done
for lua in $luas; do
   build native "flowrun-$lua"
   prints "native [$lua]" "$work/native" native.lua 1.5 <<'EOF'
threads: 15120000 J, twice that is 30240000 J; error: strain -1 is below 0
forks: 15120000 J, twice that is 30240000 J; error: strain -1 is below 0
commands: 15120000 J
EOF
   ok "build threaded" $cc $warnings ${CFLAGS:-} -pthread \
      -o "$work/threaded" "$work/threaded.c" $(flags "flowrun-$lua")
   prints "threaded [$lua]" "$work/threaded" "$work/which.lua" <<EOF
$lua
EOF
   build server "flowrun-$lua"
   { echo ann hello.lua; echo bob nothere.lua; echo "carl $work/loop.lua"
     echo "dora $work/big.lua"; echo eve hello.lua
     echo "fred $work/bad.lua"; } >"$work/requests"
   answers "$work/server" >"$work/answers"
   prints "server [$lua]" cat "$work/answers" <<'EOF'
ann: hello ann
bob: refused: cannot read 'nothere.lua': No such file or directory
carl: failed: timeout
dora: failed: resource
eve: hello eve
fred: refused: bad.lua:1: unexpected symbol near '='
EOF
   ${PKG_CONFIG:-pkg-config} --exists libuv || continue
   build server_uv "flowrun-$lua" libuv
   { echo hello.lua; echo "$work/loop.lua"; echo nothere.lua; } \
      >"$work/requests"
   answers "$work/server_uv" >"$work/answers"
   prints "server_uv [$lua]" cat "$work/answers" <<'EOF'
hello.lua: libuv
loop.lua: failed: timeout
nothere.lua: refused: cannot read 'nothere.lua': No such file or directory
EOF
done
cd "$root" || exit 1

# Stock Lua, with nothing but the module --------------------------------------
cat >"$work/stock.lua" <<'EOF'
local flow = require("flowrun")
local function twice(n) return 2 * n end
print(flow.threads(2):submit(twice, 1):result())
print(flow.forks(2):submit(twice, 2):result())
print(flow.commands(2):submit{ "echo", "3" }:result().out)
EOF
for lua in $luas; do
   command -v "$lua" >/dev/null || continue
   version=5.4; [ "$lua" = lua5.4 ] || version=5.1
   prints "stock $lua" env -u LUA_PATH LUA_CPATH="$lib/lua/$version/?.so" \
      "$lua" "$work/stock.lua" <<'EOF'
2
4
3

EOF
done

# LuaJIT's FFI ----------------------------------------------------------------
if command -v luajit >/dev/null; then
   cat >"$work/tasks.c" <<'EOF'
#include <flowrun.h>
frun_status square(frun_task *task, const frun_value *n, frun_value **result);
frun_status square(frun_task *task, const frun_value *n, frun_value **result)
{
    (void)task;
    *result = frun_value_int(frun_value_as_int(n) * frun_value_as_int(n));
    return FRUN_OK;
}
EOF
   ok "tasks.so" $cc ${CFLAGS:-} -shared -fPIC -o "$work/tasks.so" \
      "$work/tasks.c" $(flags flowrun)
   $cc -E -P -I"$work/at/usr/include" "$work/header.c" >"$work/header.i"
   cat >"$work/ffi.lua" <<'EOF'
local ffi = require("ffi")
local file = assert(io.open(arg[1] .. "/header.i"))
ffi.cdef(file:read("*a"))
ffi.cdef("frun_status square(frun_task *, const frun_value *, frun_value **);")
local frun = ffi.load(arg[2])
local tasks = ffi.load(arg[1] .. "/tasks.so")
local engine, pool = ffi.new("frun_engine *[1]"), ffi.new("frun_pool *[1]")
local results = ffi.new("frun_value *[1]")
assert(frun.frun_engine_open(nil, engine) == frun.FRUN_OK)
assert(frun.frun_pool_open(engine[0], frun.FRUN_THREADS, nil, pool) == 0)
local list, sum = frun.frun_value_list(), 0
for i = 1, 100 do assert(frun.frun_value_push(list, frun.frun_value_int(i)) == 0) end
assert(frun.frun_pool_map(pool[0], tasks.square, list, nil, results) == 0)
for i = 0, 99 do
   sum = sum + tonumber(frun.frun_value_as_int(frun.frun_value_at(results[0], i)))
end
print(sum)
frun.frun_value_free(list)
frun.frun_value_free(results[0])
frun.frun_pool_close(pool[0])
frun.frun_engine_close(engine[0])
EOF
   case ${CFLAGS:-} in
   *sanitize*) ;; # its library would have to be loaded first
   *) prints "luajit, ffi" luajit "$work/ffi.lua" "$work" \
         "$lib/libflowrun.so.0" <<'EOF'
338350
EOF
      ;;
   esac
fi

# The library as one file -----------------------------------------------------
if [ -n "$luas" ]; then
   ok "make amalgamation" make -s amalgamation BUILD="$BUILD"
   cd "$BUILD" || exit 1
   for journal in "" -DFRUN_NO_JOURNAL; do
      libs="-pthread -ldl -lm"
      [ -n "$journal" ] || libs="-lsqlite3 $libs"
      ok "flowrun-all.c $journal" $cc -std=c11 -Wall -Wextra -Werror \
         ${CFLAGS:-} $journal -c -o "$work/all.o" flowrun-all.c
      if command -v clang >/dev/null; then
         ok "flowrun-all.c $journal, clang" clang -std=c11 -Wall -Wextra \
            -Werror $journal -fsyntax-only flowrun-all.c
      fi
      ok "one file in C $journal" $cc ${CFLAGS:-} -I. -o "$work/one" \
         "$root/workflows/embed/chunks.c" "$work/all.o" $libs
      prints "one file in C $journal" "$work/one" <<'EOF'
threads: 49999995000000
forks: 49999995000000
EOF
      command -v c++ >/dev/null || continue
      ok "one file in C++ $journal" c++ -std=c++17 ${CFLAGS:-} -I. \
         -o "$work/one" "$root/workflows/embed/host.cpp" "$work/all.o" $libs
      prints "one file in C++ $journal" "$work/one" <<'EOF'
1
2
3
task 2, item 3: no root of -1
EOF
   done
   cd "$root" || exit 1
fi

# Nothing stays ---------------------------------------------------------------
ok "make uninstall" make -s uninstall BUILD="$BUILD" $layout
find "$work/at" ! -type d >"$work/log"
find "$work/at" -name '*flowrun*' >>"$work/log"
if [ -s "$work/log" ]; then fail "left by uninstall"; else pass; fi
# Elsewhere all directories go, but those of others.
mkdir -p "$work/a b/opt/share/other"
ok "make install elsewhere" make -s install BUILD="$BUILD" \
   DESTDIR="$work/a b" PREFIX=/opt
ok "make uninstall elsewhere" make -s uninstall BUILD="$BUILD" \
   DESTDIR="$work/a b" PREFIX=/opt
(cd "$work/a b" && find .) >"$work/left"
prints "left by uninstall elsewhere" cat "$work/left" <<'EOF'
.
./opt
./opt/share
./opt/share/other
EOF

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
